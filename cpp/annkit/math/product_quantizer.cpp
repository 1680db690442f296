#include "annkit/math/product_quantizer.h"

#include <algorithm>
#include <numeric>

#include "annkit/core/errors.h"
#include "annkit/core/random.h"
#include "annkit/math/group_trainer.h"
#include "annkit/math/middle.h"
#include "annkit/math/sample.h"
#include "annkit/math/transpose.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Where a middle's square is so many times that of centroids from it, float sums lose digits that tell these apart.
// (Below, of normal rows, one code in 10^4 names a centroid that is farther, by half a percent at most.)
constexpr float kFarMiddle = 1 << 16;
constexpr size_t kBlock = 4 * simd::kGroupPoints;  // rows that pass by a codebook while it is in the cache

float median(std::vector<float> values) {
    const auto middle = values.begin() + ptrdiff_t(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// The same rows, every fourth of them first.
std::vector<uint32_t> interleaved(const std::vector<uint32_t>& rows) {
    std::vector<uint32_t> out;
    out.reserve(rows.size());
    for (size_t part = 0; part < GroupRows::kParts; ++part)
        for (size_t i = part; i < rows.size(); i += GroupRows::kParts) out.push_back(rows[i]);
    return out;
}

}  // namespace

ProductQuantizer::ProductQuantizer(size_t m, size_t bits) : m_(m), bits_(bits) {
    check(m > 0, "PQ has m = 0, expected at least 1");
    check(bits >= kLeastBits && bits <= kMostBits, "PQ has ", bits, " bits, expected ", kLeastBits, " to ", kMostBits);
}

ProductQuantizer::ProductQuantizer(size_t m, size_t bits, size_t dim, std::span<const float> codebooks)
    : ProductQuantizer(m, bits) {
    check(dim > 0 && dim % m == 0, "PQ has m = ", m, " groups, which do not divide the dimension ", dim);
    check(codebooks.size() == entries() * dim, "PQ has codebooks of ", codebooks.size(), " values, expected ",
          entries() * dim);
    dim_ = dim;
    set(codebooks);
}

void ProductQuantizer::set(std::span<const float> codebooks) {
    const size_t d = group(), k = entries();
    middles_.resize(dim_);
    norms_.resize(m_ * k);
    has_far_middle_.resize(m_);
    columns_.resize(codebooks.size());
    for (size_t g = 0; g < m_; ++g) {
        const auto centroid = [&](size_t c) { return &codebooks[(g * k + c) * d]; };
        transpose(centroid(0), d, k, d, &columns_[g * d * k], k);
        const Middle middle = middle_of(k, d, centroid);
        std::copy_n(middle.point.begin(), d, &middles_[g * d]);
        for (size_t c = 0; c < k; ++c) {
            float norm = 0;
            for (size_t j = 0; j < d; ++j) {
                const float x = centroid(c)[j] - middles_[g * d + j];
                norm += x * x;
            }
            norms_[g * k + c] = norm;
        }
        const float away = std::inner_product(middle.point.begin(), middle.point.end(), middle.point.begin(), 0.0f);
        const auto norms = norms_.begin() + ptrdiff_t(g * k);
        has_far_middle_[g] = away > kFarMiddle * median({norms, norms + ptrdiff_t(k)});
    }
    has_far_ = dim_ > 0 && *std::max_element(norms_.begin(), norms_.end()) > kFar * usual_norm();
}

std::vector<float> ProductQuantizer::codebooks() const {
    std::vector<float> out(columns_.size());
    for (size_t g = 0; g < m_; ++g)
        transpose(columns(g), entries(), group(), entries(), out.data() + g * group() * entries(), group());
    return out;
}

size_t ProductQuantizer::nbytes() const {
    return (columns_.size() + middles_.size() + norms_.size()) * sizeof(float) + has_far_middle_.size();
}

float ProductQuantizer::usual_norm() const {
    std::vector<float> medians;
    for (auto first = norms_.begin(); first != norms_.end(); first += ptrdiff_t(entries()))
        medians.push_back(median({first, first + ptrdiff_t(entries())}));
    return median(std::move(medians));
}

void ProductQuantizer::check_trainable(size_t n, size_t dim) const {
    check(dim > 0 && dim % m_ == 0, "PQ has m = ", m_, " groups, which do not divide the dimension ", dim);
    check(n >= entries(), "PQ with ", bits_, " bits learns ", entries(), " centroids a group, got ", n, " rows");
}

std::vector<uint32_t> ProductQuantizer::sample(size_t n, size_t dim, uint64_t seed) const {
    const size_t least = dim / m_ < kWideGroup ? kLeastSample : 0;
    const auto chosen = sample_of(n, std::max(kSample * entries(), least), seed);
    return {chosen.begin(), chosen.end()};
}

void ProductQuantizer::train(const float* x, size_t n, size_t dim, size_t rounds, std::span<const float> start,
                             const Fit& fit) {
    check_trainable(n, dim);
    const size_t d = dim / m_, k = entries();
    check(start.empty() || start.size() == k * dim, "PQ has ", start.size(), " values to start from, expected ",
          k * dim);
    const GroupRows rows{x, dim, interleaved(sample(n, dim, fit.seed))};
    std::vector<float> codebooks(k * dim);
    Random seeds(fit.seed);
    std::vector<GroupTrainer> groups;
    groups.reserve(m_);
    for (size_t g = 0; g < m_; ++g)
        groups.emplace_back(rows, g * d, d, k, start.empty() ? nullptr : &start[g * k * d], seeds.next());
    train_groups(groups, rounds, fit.call);
    for (size_t g = 0; g < m_; ++g) groups[g].write(&codebooks[g * k * d]);
    dim_ = dim;
    set(codebooks);
}

void ProductQuantizer::encode(const float* x, size_t n, uint16_t* codes) const {
    encode(x, dim_, n, [&](size_t g, size_t first, std::span<const uint32_t> numbers) {
        for (size_t i = 0; i < numbers.size(); ++i) codes[(first + i) * m_ + g] = uint16_t(numbers[i]);
    });
}

std::vector<float> ProductQuantizer::centered(size_t g) const {
    const size_t k = entries();
    std::vector<float> out(columns(g), columns(g) + group() * k);
    for (size_t i = 0; i < out.size(); ++i) out[i] -= middles_[g * group() + i / k];
    return out;
}

void ProductQuantizer::encode(const float* x, size_t stride, size_t n, TakeNumbers take) const {
    const size_t d = group(), k = entries();
    std::vector<float> panels(kBlock * d);
    uint32_t nearest[kBlock];
    for (size_t first = 0; first < n; first += kBlock) {
        const size_t some = std::min(kBlock, n - first), count = (some + simd::kGroupPoints - 1) / simd::kGroupPoints;
        for (size_t g = 0; g < m_; ++g) {
            const std::vector<float> near = has_far_middle_[g] ? centered(g) : std::vector<float>();
            const float* centroids = has_far_middle_[g] ? near.data() : columns(g);
            pack_group(x + first * stride + g * d, stride, some, d, &middles_[g * d], panels.data());
            simd::kernels().nearest_in_group(panels.data(), count, d, centroids, &norms_[g * k], k, nearest);
            take(g, first, std::span(nearest, some));
        }
    }
}

void ProductQuantizer::decode(const uint16_t* codes, size_t n, float* out) const {
    // Values of a centroid lie apart from each other: for many rows they are brought together first.
    const bool many = n >= entries() / 4;
    const size_t d = group(), k = entries();
    std::vector<float> together(many ? k * d : 0);
    for (size_t g = 0; g < m_; ++g, out += d, ++codes) {
        if (many) transpose(columns(g), k, d, k, together.data(), d);
        for (size_t i = 0; i < n; ++i) {
            const size_t c = codes[i * m_];
            float* to = out + i * dim_;
            if (many)
                std::copy_n(&together[c * d], d, to);
            else
                for (size_t j = 0; j < d; ++j) to[j] = columns(g)[j * k + c];
        }
    }
}

void ProductQuantizer::tables(const float* query, bool l2, float times, float* out) const {
    simd::kernels().product_tables({query, columns_.data(), m_, group(), entries(), l2, times}, out);
}

}  // namespace annkit
