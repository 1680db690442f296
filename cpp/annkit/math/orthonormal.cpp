#include "annkit/math/orthonormal.h"

#include <algorithm>
#include <cmath>

#include "annkit/core/random.h"
#include "annkit/math/product.h"

namespace annkit {
namespace {

constexpr size_t kBlock = 48;        // rows made orthonormal at once
constexpr size_t kReflections = 32;  // applied at once

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

// count reflections I - v v^T: v is zero before its own number, then takes a Gaussian vector to its first axis. That
// axis of the rows gets the sign which makes the product of all uniform.
std::vector<float> reflections(size_t count, size_t dim, Random& random, float* axes, size_t axis_stride) {
    std::vector<float> v(count * dim);
    for (size_t i = 0; i < count; ++i) {
        float *own = &v[i * dim + i], *end = v.data() + (i + 1) * dim;
        draw(own, size_t(end - own), random);
        const double norm = std::sqrt(dot(own, own, size_t(end - own)));
        const double first = std::copysign(std::abs(double(*own)) + norm, double(*own));
        const double scale = first != 0 ? 1 / std::sqrt(norm * std::abs(first)) : 0;
        axes[i * axis_stride] = *own < 0 ? 1.0f : -1.0f;
        *own = float(first);
        for (; own < end; ++own) *own = float(double(*own) * scale);
    }
    return v;
}

// rows <- rows (I - V^T T V): the reflections from the last to the first, as two products. T is the inverse of the
// lower half of V V^T with a halved diagonal (Puglisi: Modification of the Householder method based on the compact WY
// representation, 1992).
void reflect(float* rows, size_t n, size_t stride, const std::vector<float>& v, size_t count, const Call& call) {
    constexpr size_t kTask = 72;
    const size_t dim = v.size() / count;
    std::vector<double> inverse(count * count);
    for (size_t i = 0; i < count; ++i) {
        double* row = &inverse[i * count];
        row[i] = 1;
        for (size_t j = 0; j < i; ++j) {
            const double weight = dot(&v[i * dim], &v[j * dim], dim);
            for (size_t c = 0; c <= j; ++c) row[c] -= weight * inverse[j * count + c];
        }
        const double half = 0.5 * dot(&v[i * dim], &v[i * dim], dim);
        for (size_t c = 0; c <= i; ++c) row[c] /= half;
    }
    const std::vector<float> t(inverse.begin(), inverse.end());
    std::vector<float> tv(count * dim);
    multiply(t.data(), count, count, PackedMatrix::of_transposed(v.data(), count, dim), tv.data(), call);
    const auto weights = PackedMatrix::of(v.data(), count, dim),
               back = PackedMatrix::of_transposed(tv.data(), count, dim);
    const double work = 2 * double(n) * double(dim) * double(count);
    parallel_for((n + kTask - 1) / kTask, threads_for(call, work), call, [&](size_t task, int) {
        const size_t first = task * kTask, here = std::min(kTask, n - first);
        std::vector<float> w(here * count), part(here * dim);
        weights.multiply(rows + first * stride, stride, here, w.data(), count);
        back.multiply(w.data(), count, here, part.data(), dim);
        for (size_t i = 0; i < here; ++i)
            for (size_t j = 0; j < dim; ++j) rows[(first + i) * stride + j] -= part[i * dim + j];
    });
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
    std::vector<float> rows(n * dim);
    std::vector<uint64_t> seeds((n + kReflections - 1) / kReflections);
    Random random(seed);
    for (uint64_t& one : seeds) one = random.next();
    for (size_t block = seeds.size(); block-- > 0;) {
        const size_t first = block * kReflections, count = std::min(kReflections, n - first);
        Random own(seeds[block]);
        const std::vector<float> v = reflections(count, dim - first, own, &rows[first * dim + first], dim + 1);
        reflect(&rows[first * dim + first], n - first, dim, v, count, call);
    }
    return rows;
}

}  // namespace annkit
