#include "annkit/index/substrings.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "annkit/core/errors.h"

namespace annkit {
namespace {

// Rows from which correlations are learned: noise of 0.02, or of 0.04 where there are so many bits that more rows would
// take longer than a key press may wait.
size_t sample_of(size_t bits) { return bits <= 512 ? 2048 : 512; }

// Whether each of the bits is set, over a sample of the rows.
std::vector<uint64_t> columns_of(const Codes& codes, size_t rows, size_t bits, size_t sample) {
    const size_t words = (sample + 63) / 64;
    std::vector<uint64_t> columns(bits * words);
    for (size_t i = 0; i < sample; ++i) {
        const auto* code = reinterpret_cast<const uint8_t*>(codes.code(i * rows / sample));
        for (size_t b = 0; b < bits; ++b)
            columns[b * words + i / 64] |= uint64_t((code[b / 8] >> (b % 8)) & 1) << (i % 64);
    }
    return columns;
}

// |phi| of every two bits; 1 for bits that never change, which tell nothing wherever they are.
std::vector<float> correlations(const std::vector<uint64_t>& columns, size_t bits, size_t sample) {
    const size_t words = columns.size() / std::max<size_t>(bits, 1);
    const auto count = [&](size_t a, size_t b) {
        size_t both = 0;
        for (size_t w = 0; w < words; ++w)
            both += size_t(std::popcount(columns[a * words + w] & columns[b * words + w]));
        return double(both) / double(sample);
    };
    std::vector<double> mean(bits);
    for (size_t b = 0; b < bits; ++b) mean[b] = count(b, b);
    std::vector<float> out(bits * bits, 1.0f);
    for (size_t a = 0; a < bits; ++a)
        for (size_t b = 0; b < a; ++b) {
            const double spread = mean[a] * (1 - mean[a]) * mean[b] * (1 - mean[b]);
            if (spread <= 0) continue;
            out[a * bits + b] = out[b * bits + a] =
                float(std::abs(count(a, b) - mean[a] * mean[b]) / std::sqrt(spread));
        }
    return out;
}

}  // namespace

Substrings::Substrings(std::vector<uint32_t> order, size_t tables) : order_(std::move(order)) {
    for (size_t t = 0; t <= tables; ++t) starts_.push_back(t * order_.size() / tables);
}

// Substrings take turns; each takes the bit whose closest relative among its own is the most distant.
Substrings Substrings::learned(const Codes& codes, size_t rows, size_t bits, size_t tables) {
    Substrings made(std::vector<uint32_t>(bits), tables);
    const size_t sample = std::min(rows, sample_of(bits));
    const std::vector<float> related = correlations(columns_of(codes, rows, bits, sample), bits, sample);
    std::vector<float> closest(tables * bits);
    std::vector<bool> taken(bits);
    std::vector<size_t> next(made.starts_.begin(), made.starts_.end() - 1);
    for (size_t left = bits; left > 0;)
        for (size_t t = 0; t < tables; ++t) {
            if (next[t] == made.starts_[t + 1]) continue;
            float* own = &closest[t * bits];
            size_t best = bits;
            for (size_t b = 0; b < bits; ++b)
                if (!taken[b] && (best == bits || own[b] < own[best])) best = b;
            made.order_[next[t]++] = uint32_t(best);
            taken[best] = true;
            --left;
            for (size_t b = 0; b < bits; ++b) own[b] = std::max(own[b], related[best * bits + b]);
        }
    return made;
}

void Substrings::permute(const std::byte* code, uint64_t* words) const {
    const auto* bytes = reinterpret_cast<const uint8_t*>(code);
    const size_t n = order_.size();
    std::fill_n(words, kWords, 0);
    for (size_t i = 0; i < n; ++i) words[i / 64] |= uint64_t((bytes[order_[i] / 8] >> (order_[i] % 8)) & 1) << (i % 64);
    for (size_t i = 0; i < 32; ++i) words[(n + i) / 64] |= (words[(i % n) / 64] >> (i % n % 64) & 1) << ((n + i) % 64);
}

uint64_t Substrings::hash(const uint64_t* words, size_t table) const {
    uint64_t out = 0;
    for (size_t first = starts_[table]; first < starts_[table + 1]; first += 32) {
        out = (out ^ part(words, first, std::min<size_t>(32, starts_[table + 1] - first))) * 0x9e3779b97f4a7c15u;
        out ^= out >> 29;
    }
    return out;
}

}  // namespace annkit
