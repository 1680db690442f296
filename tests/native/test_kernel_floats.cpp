// Kernels of plain floats: conversions, reflections, products of matrices. As in test_kernels.cpp, against plain loops
// over whole numbers.
#include "kernel_rows.h"

namespace {

using namespace kernel_rows;

void floats(Trial& t) {
    for (size_t n : kDims) {
        const Matrix x(t.random, 1, n, -300, 255);
        const std::vector<float> values = x.as<float>();
        for (const int kind : {0, 1}) {
            std::vector<uint16_t> halves(n), wanted;
            std::vector<float> back(n);
            std::vector<float> held = values;  // what 8 bits of bf16's fraction hold
            for (float& value : held)
                if (kind == 1) value = float(int(value) / 4 * 4);
            t.k.narrow[kind](held.data(), n, halves.data());
            t.k.widen[kind](halves.data(), n, back.data());
            for (float value : held) wanted.push_back(kind == 0 ? f16(value) : bf16(value));
            t.expect(halves == wanted && back == held, "narrow and widen", n, size_t(kind));
        }
        const std::vector<float> center(n, 1);
        std::vector<int8_t> codes(n);
        I8Row row;
        t.k.to_i8(values.data(), center.data(), n, 4, codes.data(), row);
        double norm = 0, error = 0;
        bool right = row.scale == 4;
        for (size_t j = 0; j < n; ++j) {
            const double y = x(0, j) - 1, miss = y - 4.0 * codes[j];
            norm += y * y, error += miss * miss;
            right = right && std::fabs(miss) <= 2;
        }
        t.expect(right && row.norm2 == float(norm) && row.error2 == float(error), "to_i8", n, 1);
    }
    for (size_t n = 1; n <= 2048; n *= 2) {
        const Matrix x(t.random, 1, n, -50, 50);
        std::vector<float> values = x.as<float>();
        t.k.hadamard(values.data(), n);
        bool right = true;
        for (size_t i = 0; i < n; i += 1 + n / 16) {
            int sum = 0;
            for (size_t j = 0; j < n; ++j) sum += std::popcount(i & j) % 2 ? -x(0, j) : x(0, j);
            right = right && values[i] == float(sum);
        }
        t.expect(right, "hadamard", n, 1);
    }
    for (size_t n : {0u, 1u, 2u, 9u}) {  // by a right angle: every column goes one back, the first to the end
        const Matrix x(t.random, n + 1, kRotationRows, -50, 50);
        std::vector<double> columns = x.as<double>();
        const std::vector<Rotation> rotations(n, {0, -1});
        t.k.rotate_columns(columns.data(), rotations.data(), n);
        bool right = true;
        for (size_t i = 0; i <= n; ++i)
            for (size_t r = 0; r < kRotationRows; ++r)
                right = right && columns[i * kRotationRows + r] == (i < n ? x(i + 1, r) : (n % 2 ? -x(0, r) : x(0, r)));
        t.expect(right, "rotate_columns", n, 1);
    }
}

void reflections(Trial& t) {
    for (size_t n : {1u, 2u, 5u, 9u, 24u}) {
        const size_t stride = n + kReflectionPadding;
        const Matrix values(t.random, n, n, -9, 9), vectors(t.random, 3, n, -9, 9);
        std::vector<double> a(n * stride), v(stride), w(stride), x(stride), y(stride), wanted(stride);
        for (size_t i = 0; i < n; ++i) {
            v[i] = vectors(0, i), w[i] = vectors(1, i), x[i] = vectors(2, i);
            for (size_t j = 0; j <= i; ++j) a[j * stride + i] = values(i, j);
        }
        t.k.reflect_columns({a.data(), stride, n, 0, n, v.data(), w.data(), x.data(), y.data()});
        bool right = true;
        for (size_t i = 0; i < n; ++i)
            for (size_t j = 0; j <= i; ++j) {
                const double value = values(i, j) - (v[i] * w[j] + w[i] * v[j]);
                right = right && a[j * stride + i] == value;
                wanted[i] += value * x[j];
                if (j < i) wanted[j] += value * x[i];
            }
        t.expect(right && y == wanted, "reflect_columns", n, 1);
    }
}

void sums(Trial& t) {
    for (size_t dim : kDims)
        for (size_t n : {1u, 2u, 6u, 8u, 13u, 29u}) {
            const Matrix x(t.random, n, dim, -9, 9), point(t.random, 1, dim, -9, 9);
            const std::vector<float> rows = x.as<float>(), from = point.as<float>();
            std::vector<const float*> places(n);
            for (size_t i = 0; i < n; ++i) places[i] = &rows[i * dim];
            std::vector<double> total(dim, 1);
            double squares = t.k.sum_differences(from.data(), places.data(), dim, n, total.data());
            std::vector<float> norms(n);
            t.k.squares(rows.data(), dim, dim, n, norms.data());
            bool right = true;
            for (size_t i = 0; i < n; ++i) {
                squares -= square(x, i, point, 0);
                right = right && norms[i] == float(dot(x, i, x, i));
                for (size_t j = 0; j < dim; ++j) total[j] -= x(i, j) - point(0, j);
            }
            for (double left : total) right = right && left == 1;
            t.expect(right && squares == 0, "sums of differences and squares", dim, n);
        }
    const size_t lanes = t.k.product.lanes;
    for (size_t dim : kDims)
        for (size_t outputs : {1u, 4u, 17u, 48u, 130u})
            for (size_t n : {1u, 3u, 12u, 13u}) {
                const Matrix x(t.random, n, dim, -50, 50), m(t.random, outputs, dim, -50, 50);
                std::vector<float> packed((outputs + lanes - 1) / lanes * lanes * dim), out(n * outputs);
                for (size_t j = 0; j < outputs; ++j)
                    for (size_t d = 0; d < dim; ++d)
                        packed[j / lanes * lanes * dim + d * lanes + j % lanes] = float(m(j, d));
                const std::vector<float> rows = x.as<float>();
                std::vector<float> start((outputs + lanes - 1) / lanes * lanes);
                for (size_t j = 0; j < outputs; ++j) start[j] = float(j) - 20;
                for (const float* from :
                     {static_cast<const float*>(nullptr), static_cast<const float*>(start.data())}) {
                    t.k.product.run({rows.data(), dim, n, dim, packed.data(), outputs, out.data(), outputs, from});
                    bool right = true;
                    for (size_t i = 0; i < n; ++i)
                        for (size_t j = 0; j < outputs; ++j) {
                            const auto expected = float(dot(x, i, m, j)) + (from != nullptr ? from[j] : 0);
                            right = right && out[i * outputs + j] == expected;
                        }
                    t.expect(right, "product", dim, outputs);
                }
            }
}

}  // namespace

int main() { return kernel_rows::run("kernels of floats", {floats, reflections, sums}); }
