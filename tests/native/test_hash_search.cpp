// The tables of multi-index hashing, asked to the end whatever it costs: an index would scan such few rows instead.
#include <algorithm>
#include <bit>
#include <limits>

#include "annkit/codec/bits.h"
#include "annkit/core/errors.h"
#include "annkit/core/random.h"
#include "annkit/index/hash_search.h"
#include "checks.h"

namespace {

using namespace annkit;

// Codes around few centers, some of them equal.
Codes skewed(size_t n, size_t bytes, Random& random) {
    Codes codes = Bits().make_codes(8 * bytes, {Metric::hamming});
    codes.reserve(n);
    for (size_t i = 0; i < n; ++i) {
        auto* code = codes.columns[0].at<uint8_t>(i);
        if (i < 20) {
            for (size_t b = 0; b < bytes; ++b) code[b] = uint8_t(random.below(256));
            continue;
        }
        std::copy_n(codes.columns[0].at<uint8_t>(random.below(20)), bytes, code);
        for (size_t flips = random.below(bytes + 3); flips > 0; --flips) {
            const size_t bit = random.below(8 * bytes);
            code[bit / 8] ^= uint8_t(1u << (bit % 8));
        }
    }
    codes.n = n;
    return codes;
}

std::vector<Hit> all_sorted(const Codes& codes, size_t bytes, const uint8_t* query) {
    std::vector<Hit> hits;
    for (uint32_t row = 0; row < codes.n; ++row) {
        int distance = 0;
        for (size_t b = 0; b < bytes; ++b)
            distance += std::popcount(uint8_t(*(codes.columns[0].at<uint8_t>(row) + b) ^ query[b]));
        hits.push_back({float(distance), row});
    }
    std::stable_sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.score < b.score; });
    return hits;
}

bool same(std::span<const Hit> a, std::span<const Hit> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const Hit& x, const Hit& y) { return x.score == y.score && x.row == y.row; });
}

void every_answer_is_exact(size_t bytes, size_t rows, size_t tabled, size_t tables) {
    Random random(bytes + tables);
    const Codes codes = skewed(rows, bytes, random);
    const SubstringTables made(codes, tabled, Substrings::learned(codes, tabled, 8 * bytes, tables), {1, nullptr});
    const Bits bits;
    HashSearch search(made, bits, codes);
    search.limit(std::numeric_limits<double>::infinity());
    Bitset allowed(rows);
    for (size_t i = 0; i < rows; ++i)
        if (random.below(3) > 0) allowed.set(i);
    for (size_t at = 0; at < 12; ++at) {
        std::vector<uint8_t> query(bytes);
        std::copy_n(codes.columns[0].at<uint8_t>(random.below(rows)), bytes, query.data());
        query[0] ^= uint8_t(at);
        const Rows one{
            reinterpret_cast<const std::byte*>(query.data()), 1, 8 * bytes, Dtype::bits, ptrdiff_t(bytes), 1, 0};
        const std::vector<Hit> wanted = all_sorted(codes, bytes, query.data());
        const std::string what = concat(8 * bytes, " bits, ", tables, " tables, query ", at);
        for (const Bitset* filter : {static_cast<const Bitset*>(nullptr), static_cast<const Bitset*>(&allowed)}) {
            std::vector<Hit> left;
            for (const Hit& hit : wanted)
                if (filter == nullptr || filter->test(hit.row)) left.push_back(hit);
            for (size_t k : {size_t(1), size_t(10), size_t(150)}) {
                TopK top(k, {{}, false});
                checks::expect(search.find(one, filter, top), what + ": given up");
                checks::expect(same(top.sorted(), std::span(left).first(std::min(k, left.size()))),
                               what + concat(", k=", k));
            }
            for (float radius : {0.0f, 1.0f, 3.0f, 6.0f, 11.0f}) {
                TopK top = TopK::within(radius, {{}, false});
                checks::expect(search.find(one, filter, top), what + ": given up");
                size_t within = 0;
                while (within < left.size() && left[within].score <= radius) ++within;
                checks::expect(same(top.sorted(), std::span(left).first(within)), what + concat(", radius=", radius));
            }
        }
    }
}

void dear_searches_are_given_up() {
    Random random(3);
    const Codes codes = skewed(2000, 8, random);
    const SubstringTables made(codes, 2000, Substrings::learned(codes, 2000, 64, 6), {1, nullptr});
    const Bits bits;
    HashSearch search(made, bits, codes);
    search.limit(1);
    const Rows one{codes.code(7), 1, 64, Dtype::bits, 8, 1, 0};
    TopK top(10, {{}, false});
    checks::expect(!search.find(one, nullptr, top), "a search of a nanosecond");
}

}  // namespace

int main() {
    every_answer_is_exact(1, 600, 600, 2);
    every_answer_is_exact(3, 1500, 1400, 3);
    every_answer_is_exact(4, 3000, 3000, 2);
    every_answer_is_exact(8, 3000, 2900, 4);
    every_answer_is_exact(8, 3000, 3000, 9);
    every_answer_is_exact(9, 2000, 2000, 6);
    every_answer_is_exact(16, 2000, 1999, 13);
    dear_searches_are_given_up();
    return checks::summary("hash search");
}
