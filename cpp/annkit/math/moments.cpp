#include "annkit/math/moments.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <optional>
#include <type_traits>

#include "annkit/core/check_rows.h"
#include "annkit/core/memory.h"
#include "annkit/core/pool.h"
#include "annkit/math/gram.h"
#include "annkit/math/sample.h"
#include "annkit/simd/prefetch.h"

namespace annkit {
namespace {

constexpr size_t kTask = 64;  // rows a thread takes at a time

// Squares of what may be as large as 1e18, or as small as 1e-30, have to stay floats: a power of two scales them.
struct Scale {
    explicit Scale(const Mean& mean)
        : shift(mean.values.begin(), mean.values.end()),
          exponent(mean.largest > 0 ? std::clamp(std::ilogb(mean.largest), -100, 100) : 0) {}
    std::vector<float> shift;
    int exponent;
};

// Rows to add: a stretch of the chosen ones. If all are looked at, each goes with the chosen one before it.
struct Stretch {
    const Rows& rows;
    std::span<const size_t> chosen;
    size_t first, size;
    Look look;

    std::span<const size_t> numbers() const { return chosen.subspan(first, size); }
    Stretch part(size_t from, size_t most) const {
        return {rows, chosen, first + from, std::min(most, size - from), look};
    }
    void check() const {
        if (look == Look::at_chosen) return;
        const auto bound = [&](size_t i) { return i == 0 ? 0 : i == chosen.size() ? rows.n : chosen[i]; };
        check_rows(rows.slice(bound(first), bound(first + size) - bound(first)), "the array");
    }
};

// What rows come to, less shift and times 2^-exponent.
class Sums {
  public:
    // products: room for dim x dim of them, which is cleared.
    Sums(const Scale& scale, double* products) : scale_(scale), sums_(dim()), products_(products, dim() * dim()) {
        std::fill(products_.begin(), products_.end(), 0.0);
    }
    void add(const Stretch& stretch, Gram& gram, const Call& call);
    void add(std::span<const std::optional<Sums>> others, const Call& call);  // one after the other
    // Whether the rows were as large as expected: their squares are floats then.
    bool fits() const { return trace() < 0x1p60; }
    Moments moments(double n, std::vector<double> products, const Call& call) const;  // products: its own

  private:
    size_t dim() const { return scale_.shift.size(); }
    void convert(const Rows& rows, std::span<const size_t> block, size_t first, size_t last, Gram& gram, float* part);
    void check(const Stretch& added, double norm2) const;
    double trace() const {
        double sum = 0;
        for (size_t j = 0; j < dim(); ++j) sum += products_[j * dim() + j];
        return sum;
    }

    const Scale& scale_;
    std::vector<double> sums_;
    std::span<double> products_;
};

// A panel's width of kRows rows to out, and into the sums of their columns. Where the width is that of a panel the
// compiler makes vectors of it; four rows share a store of the sums.
template <size_t kRows>
[[gnu::always_inline]] inline void convert_panel(const float* const* x, const float* __restrict shift, float scale,
                                                 size_t width, float* __restrict out, size_t lanes,
                                                 float* __restrict part) {
    static_assert(kRows == 1 || kRows == 4);
    for (size_t j = 0; j < width; ++j) {
        const float a = (x[0][j] - shift[j]) * scale;
        out[j] = a;
        if constexpr (kRows == 1) {
            part[j] += a;
        } else {
            const float b = (x[1][j] - shift[j]) * scale, c = (x[2][j] - shift[j]) * scale;
            const float d = (x[3][j] - shift[j]) * scale;
            out[lanes + j] = b, out[2 * lanes + j] = c, out[3 * lanes + j] = d;
            part[j] += (a + b) + (c + d);
        }
    }
    for (size_t j = width; j < lanes; ++j)
        for (size_t r = 0; r < kRows; ++r) out[r * lanes + j] = 0;
}

// Rows first to last of a block.
void Sums::convert(const Rows& rows, std::span<const size_t> block, size_t first, size_t last, Gram& gram,
                   float* part) {
    constexpr size_t kAhead = 8, kAheadBytes = 512;
    const size_t lanes = gram.lanes();
    const float* shift = scale_.shift.data();
    const float scale = std::ldexp(1.0f, -scale_.exponent);
    const bool in_place = FloatBlock::in_place(rows);
    std::vector<float> copy(in_place ? 0 : (last - first) * dim());
    if (!in_place) gather_rows(rows, &block[first], last - first, copy.data());
    const auto row = [&](size_t i) {
        return in_place ? reinterpret_cast<const float*>(rows.row(block[i])) : &copy[(i - first) * dim()];
    };
    const auto each_panel = [&]<size_t kRows>(size_t i, std::integral_constant<size_t, kRows>) {
        const float *from[kRows], *x[kRows];
        for (size_t r = 0; r < kRows; ++r) from[r] = row(i + r);
        for (size_t j = 0; j < dim(); j += lanes) {
            for (size_t r = 0; r < kRows; ++r) x[r] = from[r] + j;
            float* out = gram.block() + j * block.size() + i * lanes;
            if (lanes == 16 && j + 16 <= dim())
                convert_panel<kRows>(x, shift + j, scale, 16, out, 16, part + j);
            else
                convert_panel<kRows>(x, shift + j, scale, std::min(lanes, dim() - j), out, lanes, part + j);
        }
    };
    size_t i = first;
    for (; i + 4 <= last; i += 4) {
        for (size_t r = i + kAhead; in_place && r < std::min(i + kAhead + 4, last); ++r)
            for (size_t byte = 0; byte < std::min(dim() * sizeof(float), kAheadBytes); byte += 64)
                simd::prefetch(reinterpret_cast<const std::byte*>(row(r)) + byte);
        each_panel(i, std::integral_constant<size_t, 4>());
    }
    for (; i < last; ++i) each_panel(i, std::integral_constant<size_t, 1>());
}

// The sum of their squares shows whether a row may be one that is not taken: gather_rows names it.
void Sums::check(const Stretch& added, double norm2) const {
    double shift2 = 0;
    for (float value : scale_.shift) shift2 += double(value) * double(value);
    const double most = std::sqrt(shift2) + std::sqrt(norm2) * std::ldexp(1.0, scale_.exponent);
    if (most * most <= double(FLT_MAX) / 8) return;
    std::vector<float> copy(dim());
    for (size_t one : added.numbers()) gather_rows(added.rows, &one, 1, copy.data());
}

void Sums::add(const Stretch& stretch, Gram& gram, const Call& call) {
    std::vector<float> parts((Gram::kRows + kTask - 1) / kTask * dim());
    for (size_t first = 0; first < stretch.size; first += Gram::kRows) {
        const Stretch block = stretch.part(first, Gram::kRows);
        const size_t tasks = (block.size + kTask - 1) / kTask;
        std::fill(parts.begin(), parts.end(), 0.0f);
        parallel_apart(tasks, Gram::threads(block.size, dim(), call), call, [&](size_t task, int) {
            const Stretch some = block.part(task * kTask, kTask);
            some.check();
            convert(some.rows, block.numbers(), task * kTask, task * kTask + some.size, gram, &parts[task * dim()]);
        });
        for (size_t task = 0; task < tasks; ++task)
            for (size_t j = 0; j < dim(); ++j) sums_[j] += double(parts[task * dim() + j]);
        const double before = trace();
        gram.add(block.size, products_, call);
        check(block, trace() - before);
    }
}

// Rows of the lower half, in parallel. A number from memory takes as long as so many multiply-adds.
constexpr double kOfMemory = 16;
template <class Body>
void each_row(size_t dim, double numbers, const Call& call, const Body& body) {
    constexpr size_t kRowsATask = 16;
    parallel_blocks(dim, kRowsATask, threads_for(call, kOfMemory * numbers), call, [&](size_t first, size_t count) {
        for (size_t i = first; i < first + count; ++i) body(i);
    });
}

void Sums::add(std::span<const std::optional<Sums>> others, const Call& call) {
    for (const auto& other : others)
        for (size_t j = 0; j < dim(); ++j) sums_[j] += other->sums_[j];
    each_row(dim(), 0.5 * double(others.size() * products_.size()), call, [&](size_t i) {
        for (const auto& other : others)
            for (size_t j = i * dim(); j <= i * dim() + i; ++j) products_[j] += other->products_[j];
    });
}

// What the shift was off by goes out.
Moments Sums::moments(double n, std::vector<double> products, const Call& call) const {
    const double unit = std::ldexp(1.0, scale_.exponent), over = unit * unit / std::max(n - 1, 1.0);
    Moments out{std::vector<double>(dim()), std::move(products)};
    for (size_t j = 0; j < dim(); ++j) out.mean[j] = double(scale_.shift[j]) + sums_[j] / n * unit;
    each_row(dim(), 0.5 * double(dim() * dim()), call, [&](size_t i) {
        double* row = &out.covariance[i * dim()];
        for (size_t j = 0; j <= i; ++j) row[j] = (row[j] - sums_[i] * sums_[j] / n) * over;
    });
    return out;
}

// Narrow rows: each thread takes a stretch of them, whose blocks stay in its cache; the sums are added in the order of
// the stretches, of which there are as many whatever the threads. Wide ones: all threads take a block.
void add_rows(const Stretch& all, const Scale& scale, Sums& sums, const Call& call) {
    constexpr size_t kNarrow = 256, kStretches = 32;
    const size_t n = all.size, dim = all.rows.dim, blocks = (n + Gram::kRows - 1) / Gram::kRows, size = dim * dim;
    const size_t stretches = dim <= kNarrow ? std::min(blocks, kStretches) : 1;
    if (stretches == 1) {
        Gram gram(dim);
        return sums.add(all, gram, call);
    }
    const Buffer products = allocate(stretches * size * sizeof(double));
    std::vector<std::optional<Sums>> parts(stretches);
    Pool<Gram> grams;
    const int looking = all.look == Look::at_all ? threads_for(call, double(all.rows.n) * double(dim)) : 1;
    parallel_calls(stretches, 1, std::max(Gram::threads(n, dim, call), looking), call,
                   [&](size_t s, size_t, const Call& part) {
                       auto gram = grams.take([&] { return std::make_unique<Gram>(dim); });
                       const size_t first = s * blocks / stretches * Gram::kRows,
                                    last = (s + 1) * blocks / stretches * Gram::kRows;
                       parts[s].emplace(scale, reinterpret_cast<double*>(products.get()) + s * size);
                       parts[s]->add(all.part(first, last - first), *gram, part);
                       grams.give_back(std::move(gram));
                   });
    sums.add(parts, call);
}

}  // namespace

Mean mean_of(const Rows& rows, std::span<const size_t> chosen, const Call& call) {
    constexpr size_t kRowsATask = 1024;
    const size_t dim = rows.dim, tasks = (chosen.size() + kRowsATask - 1) / kRowsATask;
    std::vector<double> parts(tasks * dim);
    std::vector<float> largest(tasks);
    parallel_apart(tasks, threads_for(call, 4.0 * double(chosen.size()) * double(dim)), call, [&](size_t task, int) {
        const size_t first = task * kRowsATask, count = std::min(kRowsATask, chosen.size() - first);
        std::vector<float> block(kTask * dim);
        for (size_t from = 0; from < count; from += kTask) {
            const size_t n = std::min(kTask, count - from);
            gather_rows(rows, &chosen[first + from], n, block.data());
            for (size_t i = 0; i < n; ++i)
                for (size_t j = 0; j < dim; ++j) parts[task * dim + j] += double(block[i * dim + j]);
            for (size_t i = 0; i < n * dim; ++i) largest[task] = std::max(largest[task], std::abs(block[i]));
        }
    });
    Mean mean{std::vector<double>(dim)};
    for (size_t task = 0; task < tasks; ++task) {
        for (size_t j = 0; j < dim; ++j) mean.values[j] += parts[task * dim + j];
        mean.largest = std::max(mean.largest, largest[task]);
    }
    for (double& value : mean.values) value /= double(chosen.size());
    return mean;
}

// In one pass, less the mean of some rows; in two where those gave a wrong idea of how large the others are.
double Moments::variance() const {
    double sum = 0;
    for (size_t j = 0; j < mean.size(); ++j) sum += covariance[j * mean.size() + j];
    return sum;
}

Moments moments_of(const Rows& rows, std::span<const size_t> chosen, const Call& call, Look look) {
    constexpr size_t kSome = 256;
    std::vector<size_t> some;
    for (size_t i = 0; i < chosen.size(); i += (chosen.size() + kSome - 1) / kSome) some.push_back(chosen[i]);
    const Mean start = mean_of(rows, some, call);
    const auto n = double(chosen.size());
    Stretch stretch{rows, chosen, 0, chosen.size(), look};
    std::vector<double> products(rows.dim * rows.dim);
    if (start.largest > 0) {
        const Scale scale(start);
        Sums all(scale, products.data());
        add_rows(stretch, scale, all, call);
        if (all.fits()) return all.moments(n, std::move(products), call);
        stretch.look = Look::at_chosen;
    }
    const Scale scale(mean_of(rows, chosen, call));
    Sums all(scale, products.data());
    add_rows(stretch, scale, all, call);
    return all.moments(n, std::move(products), call);
}

}  // namespace annkit
