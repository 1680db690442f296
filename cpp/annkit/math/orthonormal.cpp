#include "annkit/math/orthonormal.h"

#include <algorithm>
#include <cmath>

#include "annkit/core/random.h"
#include "annkit/math/product.h"

namespace annkit {
namespace {

constexpr size_t kBlock = 48;  // rows made orthonormal at once

double dot(const float* a, const float* b, size_t dim) {
    double sum[4] = {};
    size_t j = 0;
    for (; j + 4 <= dim; j += 4)
        for (size_t t = 0; t < 4; ++t) sum[t] += double(a[j + t]) * double(b[j + t]);
    for (; j < dim; ++j) sum[0] += double(a[j]) * double(b[j]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void normalise(float* row, size_t dim) {
    const double norm = std::sqrt(dot(row, row, dim));
    for (size_t j = 0; j < dim; ++j) row[j] = float(double(row[j]) / norm);
}

void draw(float* row, size_t dim, Random& random) {
    for (size_t j = 0; j < dim; ++j) row[j] = float(random.normal());
}

// rows -= (rows basis^T) basis
void project_out(float* rows, size_t n, const float* basis, size_t size, size_t dim, const Call& call) {
    if (size == 0) return;
    std::vector<float> weights(n * size), part(n * dim);
    multiply(rows, n, dim, PackedMatrix::of(basis, size, dim), weights.data(), call);
    multiply(weights.data(), n, size, PackedMatrix::of_transposed(basis, size, dim), part.data(), call);
    for (size_t i = 0; i < n * dim; ++i) rows[i] -= part[i];
}

// Rows of one block against each other, twice. Rows of which next to nothing is left are drawn anew: returns whether
// any were. They come in with a norm of 1.
bool reduce(float* block, size_t n, size_t dim, Random& random) {
    constexpr double kNothing = 1e-8;
    bool drawn = false;
    for (size_t i = 0; i < n; ++i) {
        float* row = block + i * dim;
        for (size_t step = 0; step < 2 * i; ++step) {
            const float* other = block + (step % i) * dim;
            const double weight = dot(row, other, dim);
            for (size_t j = 0; j < dim; ++j) row[j] = float(double(row[j]) - weight * double(other[j]));
        }
        if (!(dot(row, row, dim) > kNothing)) {
            draw(row, dim, random);
            drawn = true;
        }
        normalise(row, dim);
    }
    return drawn;
}

}  // namespace

void orthonormalise(std::vector<float>& rows, size_t n, size_t dim, uint64_t seed, const Call& call) {
    Random random(seed);
    for (size_t i = 0; i < n; ++i) {
        float* row = &rows[i * dim];
        if (dot(row, row, dim) == 0) draw(row, dim, random);
        normalise(row, dim);
    }
    for (size_t first = 0; first < n; first += kBlock) {
        const size_t count = std::min(kBlock, n - first);
        for (int rounds = 0; rounds < 2; ++rounds) {
            project_out(&rows[first * dim], count, rows.data(), first, dim, call);
            if (reduce(&rows[first * dim], count, dim, random)) rounds = -1;
        }
    }
}

std::vector<float> random_orthonormal(size_t n, size_t dim, uint64_t seed, const Call& call) {
    Random random(seed);
    std::vector<float> rows(n * dim);
    for (size_t i = 0; i < n; ++i) draw(&rows[i * dim], dim, random);
    orthonormalise(rows, n, dim, random.next(), call);
    return rows;
}

}  // namespace annkit
