// Every kernel of every level that this machine has but the tiles (test_kernel_tiles.cpp) and those of plain floats
// (test_kernel_floats.cpp), against plain loops over whole numbers; tests/test_kernels.py has the floats, with NumPy.
// Needs no Python, so an instruction set that is emulated, or that has just been written, can be tried with little.
#include "kernel_rows.h"

namespace {

using namespace kernel_rows;

void scores_of_rows(Trial& t) {
    for (int element = 0; element < kElements; ++element)
        for (size_t dim : kDims)
            for (size_t n : {1u, 3u, 9u}) {
                const Matrix x = matrix(t.random, n, dim, element), q = matrix(t.random, 1, dim, element);
                const auto rows = stored(x, element), query = stored(q, is_bytes(element) ? element : kF32);
                const auto places = pointers(rows, n);
                std::vector<float> l2(n), ip(n), scan_l2(n), scan_ip(n);
                t.k.l2[element](query.data(), places.data(), dim, n, l2.data());
                t.k.ip[element](query.data(), places.data(), dim, n, ip.data());
                t.k.scan_l2[element](query.data(), rows.data(), dim, n, scan_l2.data());
                t.k.scan_ip[element](query.data(), rows.data(), dim, n, scan_ip.data());
                bool right = l2 == scan_l2 && ip == scan_ip;
                for (size_t i = 0; i < n; ++i)
                    right = right && l2[i] == float(square(q, 0, x, i)) && ip[i] == float(-dot(q, 0, x, i));
                t.expect(right, "scores of rows", dim, n);
            }
}

void bits_of_rows(Trial& t) {
    for (size_t width : kDims)
        for (size_t n : {1u, 4u, 77u, 600u}) {
            const Matrix x(t.random, n, width, 0, 255), q(t.random, kMaxLanes, width, 0, 255);
            const auto rows = stored(x, kU8), queries = stored(q, kU8);
            std::vector<float> rowwise(n), scan(n);
            t.k.hamming(queries.data(), pointers(rows, n).data(), width, n, rowwise.data());
            t.k.hamming_scan(queries.data(), rows.data(), width, n, scan.data());
            bool right = rowwise == scan;
            for (size_t i = 0; i < n; ++i) right = right && scan[i] == float(different_bits(q, 0, x, i));
            t.expect(right, "hamming", width, n);
        }
}

void codes(Trial& t) {
    for (size_t dim : kDims) {
        constexpr size_t kRows = 13;
        const size_t whole = (dim + 63) / 64 * 64;
        const Matrix x(t.random, kRows, dim, 0, 255), low(t.random, 1, dim, -9, 9);
        const auto rows = stored(x, kU8);
        const std::vector<float> lows = low.as<float>(), steps(dim, 0.5f), inverse(dim, 2);
        std::vector<float> decoded(dim);
        t.k.decode_u8(reinterpret_cast<const uint8_t*>(rows.data()), lows.data(), steps.data(), dim, decoded.data());
        bool right = true;
        for (size_t j = 0; j < dim; ++j) right = right && decoded[j] == lows[j] + 0.5f * float(x(0, j));
        t.expect(right, "decode_u8", dim, 1);
        std::vector<uint8_t> encoded(dim);
        t.k.encode_u8(decoded.data(), lows.data(), inverse.data(), 100, dim, encoded.data());
        for (size_t j = 0; j < dim; ++j) right = right && encoded[j] == std::min(x(0, j), 100);
        t.expect(right, "encode_u8", dim, 1);
        std::vector<float> scores(kRows);
        const int most = t.k.byte_query_levels;
        const Matrix q(t.random, 1, 2 * whole, -most, most);
        std::vector<int8_t> query = q.as<int8_t>();
        std::fill(query.begin() + ptrdiff_t(dim), query.begin() + ptrdiff_t(whole), int8_t(0));
        std::fill(query.begin() + ptrdiff_t(whole + dim), query.end(), int8_t(0));
        const auto check_scores = [&](Kernels::CodeScores kernel, auto&& part, const char* name) {
            kernel({query.data(), dim, 3, -2}, pointers(rows, kRows).data(), kRows, scores.data());
            bool all = true;
            for (size_t i = 0; i < kRows; ++i) {
                int sum = 0;
                for (size_t j = 0; j < dim; ++j) sum += part(x(i, j), j);
                all = all && scores[i] == 3 - 2 * float(sum);
            }
            t.expect(all, name, dim, kRows);
        };
        check_scores(t.k.byte_scores, [&](int code, size_t j) { return code * query[j]; }, "byte_scores");
        check_scores(
            t.k.nibble_scores,
            [&](int code, size_t j) { return (code & 15) * query[j] + (code >> 4) * query[whole + j]; },
            "nibble_scores");
        if (dim % 4 == 0) {
            const std::vector<float> add(kRows, 5);
            const CodeRows run{reinterpret_cast<const uint8_t*>(rows.data()), dim, kRows, add.data()};
            t.k.byte_run({query.data(), dim, 3, -2}, run, scores.data());
            bool same = true;
            for (size_t i = 0; i < kRows; ++i) {
                int sum = 0;
                for (size_t j = 0; j < dim; ++j) sum += x(i, j) * query[j];
                same = same && scores[i] == 8 - 2 * float(sum);
            }
            t.expect(same, "byte_run", dim, kRows);
        }
        const std::vector<float> nothing(dim);
        std::vector<float> weights(dim);
        WeightSums weighed{};
        t.k.weigh(lows.data(), {nothing.data(), lows.data(), steps.data(), dim}, weights.data(), weighed);
        std::vector<int8_t> weight_codes(dim);
        RoundedWeights rounded{weight_codes.data(), most};
        t.k.round_weights(weights.data(), nothing.data(), dim, rounded);
        bool near = weighed.low == float(dot(low, 0, low, 0)) && weighed.norm2 == weighed.low;
        for (size_t j = 0; j < dim; ++j)
            near = near && weights[j] == lows[j] / 2 &&
                   std::abs(weights[j] - rounded.scale * float(weight_codes[j])) <= 0.51f * rounded.scale;
        t.expect(near, "round_weights", dim, 1);
        std::vector<float> sums(kRows);
        t.k.dot_u8(lows.data(), pointers(rows, kRows).data(), dim, kRows, sums.data());
        for (size_t i = 0; i < kRows; ++i) right = right && sums[i] == float(dot(low, 0, x, i));
        t.expect(right, "dot_u8", dim, kRows);
        // Canonical scores: files are read at either level.
        if (const Kernels* below = kernels_at(Level::avx2); t.k.level == Level::avx512 && below != nullptr) {
            std::vector<float> uneven(dim), same(kRows);
            for (size_t j = 0; j < dim; ++j) uneven[j] = lows[j] / 7 + 1 / float(j + 3);
            t.k.dot_u8(uneven.data(), pointers(rows, kRows).data(), dim, kRows, sums.data());
            below->dot_u8(uneven.data(), pointers(rows, kRows).data(), dim, kRows, same.data());
            t.expect(sums == same, "dot_u8 as below", dim, kRows);
        }
        std::vector<int16_t> levels(whole);
        for (size_t j = 0; j < dim; ++j) levels[j] = int16_t(low(0, j));
        const std::vector<Sq8Row> sides(kRows, {2, 1, 3, 4});
        t.k.sq8_lower({levels.data(), 0.5f, 5, 2, -2, 1, 1, 7}, reinterpret_cast<const uint8_t*>(rows.data()),
                      sides.data(), dim, kRows, sums.data());
        for (size_t i = 0; i < kRows; ++i)
            right = right && sums[i] == -2 * (float(dot(low, 0, x, i)) + 1 * 5 + 3 * 2 + 7) + 1 + 4;
        t.expect(right, "sq8_lower", dim, kRows);
        if (dim % 4) continue;
        std::vector<uint8_t> six(dim * 6 / 8), codes(dim);
        for (size_t j = 0; j < 6 * dim; ++j) six[j / 8] |= uint8_t((x(0, j / 6) >> j % 6 & 1) << j % 8);
        t.k.unpack6(six.data(), dim, codes.data());
        for (size_t j = 0; j < dim; ++j) right = right && codes[j] == (x(0, j) & 63);
        t.expect(right, "unpack6", dim, 1);
    }
}

void groups(Trial& t) {
    for (size_t dim : {1u, 2u, 3u, 4u, 5u, 8u, 16u})
        for (size_t k : {4u, 16u, 20u, 256u}) {
            constexpr size_t kPanels = 3, kPoints = kPanels * kGroupPoints;
            const Matrix points(t.random, kPoints, dim, -5, 5), columns(t.random, dim, k, -5, 5);
            std::vector<float> panels(kPoints * dim), norms(k);
            for (size_t i = 0; i < kPoints; ++i)
                for (size_t j = 0; j < dim; ++j)
                    panels[(i / kGroupPoints * dim + j) * kGroupPoints + i % kGroupPoints] = float(points(i, j));
            for (size_t c = 0; c < k; ++c) norms[c] = float(int(c % 7));
            std::vector<uint32_t> found(kPoints);
            t.k.nearest_in_group(panels.data(), kPanels, dim, columns.as<float>().data(), norms.data(), k,
                                 found.data());
            bool right = true;
            for (size_t i = 0; i < kPoints; ++i) {
                uint32_t best = 0;
                const auto score = [&](size_t c) {
                    float sum = norms[c];
                    for (size_t j = 0; j < dim; ++j) sum += float(points(i, j) * columns(j, c));
                    return sum;
                };
                for (uint32_t c = 1; c < k; ++c)
                    if (score(c) < score(best)) best = c;
                right = right && found[i] == best;
            }
            t.expect(right, "nearest_in_group", dim, k);
        }
}

void tables(Trial& t) {
    for (size_t dim : {1u, 2u, 3u, 4u, 8u})
        for (const auto& [entries, kGroups] :
             std::vector<std::pair<size_t, size_t>>{{16, 5}, {16, 8}, {16, 19}, {32, 5}, {256, 5}}) {
            const Matrix q(t.random, 1, kGroups * dim, -5, 5), columns(t.random, kGroups * dim, entries, -5, 5);
            const std::vector<float> query = q.as<float>(), centroids = columns.as<float>();
            std::vector<float> out(kGroups * entries), least(kGroups), largest(kGroups);
            for (const bool l2 : {false, true}) {
                t.k.product_tables({query.data(), centroids.data(), kGroups, dim, entries, l2, -2}, out.data());
                bool right = true;
                for (size_t g = 0; g < kGroups; ++g)
                    for (size_t c = 0; c < entries; ++c) {
                        int sum = 0;
                        for (size_t j = g * dim; j < (g + 1) * dim; ++j)
                            sum += l2 ? (q(0, j) - columns(j, c)) * (q(0, j) - columns(j, c))
                                      : -2 * q(0, j) * columns(j, c);
                        right = right && out[g * entries + c] == float(sum);
                    }
                t.expect(right, "product_tables", dim, entries);
            }
            t.k.table_ranges(out.data(), kGroups, entries, least.data(), largest.data());
            std::vector<uint8_t> rounded(out.size());
            t.k.round_tables(out.data(), kGroups, entries, least.data(), 0.75f, rounded.data());
            bool right = true;
            for (size_t g = 0; g < kGroups; ++g) {
                const auto from = out.begin() + ptrdiff_t(g * entries), to = from + ptrdiff_t(entries);
                right = right && least[g] == *std::min_element(from, to) && largest[g] == *std::max_element(from, to);
                for (size_t c = g * entries; c < (g + 1) * entries; ++c)
                    right = right && rounded[c] == uint8_t(std::min((out[c] - least[g]) * 0.75f, 255.0f));
            }
            t.expect(right, "ranges and rounding of tables", dim, entries);
        }
}

void planes(Trial& t) {
    for (size_t dim : kDims) {
        const Matrix x(t.random, 2, dim, -2, 2);
        const std::vector<float> floats = x.as<float>();
        std::vector<uint8_t> plane((dim + 7) / 8), above((dim + 7) / 8);
        t.k.planes_above(floats.data(), dim, 1, &floats[dim], dim, plane.data());
        for (size_t j = 0; j < dim; ++j) above[j / 8] |= uint8_t((x(0, j) > x(1, j)) << j % 8);
        t.expect(plane == above, "planes_above", dim, 1);
        if (dim % 8) continue;
        for (size_t count : {1u, 2u, 3u, 8u}) {
            const Matrix bytes(t.random, count, dim / 8, 0, 255);  // the highest plane first, then the lowest
            const std::vector<uint8_t> all = bytes.as<uint8_t>();
            const float got = t.k.plane_dot(floats.data(), all.data(), count > 1 ? &all[dim / 8] : nullptr, count, dim);
            float sum = 0;
            for (size_t j = 0; j < dim; ++j) {
                int level = 0;
                for (size_t p = 0; p < count; ++p)
                    level |= (bytes(p, j / 8) >> j % 8 & 1) << (p == 0 ? count - 1 : p - 1);
                sum += float(x(0, j)) * (float(level) - float((1 << count) - 1) / 2);
            }
            t.expect(got == sum, "plane_dot", dim, count);
        }
    }
}

// Whole numbers, whose sums are exact in any order.
void sums_of_entries(Trial& t) {
    for (size_t m : {1u, 2u, 3u, 4u, 7u, 16u, 25u, 32u, 33u, 64u, 130u}) {
        constexpr size_t kRows = 3 * kBlockRows;
        const size_t stored = (m + 1) / 2 * 2;
        const Matrix codes(t.random, kRows, m, 0, 15), entries(t.random, m, 16, -50, 50);
        const std::vector<float> tables = entries.as<float>();
        std::vector<uint8_t> blocks(kRows / kBlockRows * stored * 16);
        for (size_t i = 0; i < kRows; ++i)
            for (size_t g = 0; g < m; ++g)
                blocks[(i / kBlockRows * stored + g) * 16 + i % 16] |=
                    uint8_t(codes(i, g) << (i % kBlockRows < 16 ? 0 : 4));
        for (size_t n : {1u, 3u, 16u, 17u, 40u}) {
            std::vector<const void*> at(n);
            std::vector<uint8_t> rows(n);
            std::vector<float> got(n), wanted(n);
            for (size_t i = 0; i < n; ++i) {
                const size_t row = t.random.below(kRows);
                at[i] = &blocks[row / kBlockRows * stored * 16];
                rows[i] = uint8_t(row % kBlockRows);
                for (size_t g = 0; g < m; ++g) wanted[i] += float(entries(g, size_t(codes(row, g))));
            }
            t.k.sum_nibbles(tables.data(), m, at.data(), rows.data(), n, got.data());
            t.expect(got == wanted, "sum_nibbles", m, n);
        }
    }
}

void choices(Trial& t) {
    for (size_t n : {0u, 1u, 7u, 8u, 15u, 16u, 17u, 33u, 100u, 1024u}) {
        const Matrix m(t.random, 1, n, -3, 3);
        std::vector<float> scores = m.as<float>();
        for (size_t i = 0; i < n; i += 9) scores[i] = std::numeric_limits<float>::quiet_NaN();
        for (float bound : {-4.0f, -1.0f, 3.0f, kInfinity, -kInfinity}) {
            std::vector<uint32_t> found(n), expected;
            found.resize(t.k.select(scores.data(), n, bound, found.data()));
            for (uint32_t i = 0; i < n; ++i)
                if (scores[i] <= bound) expected.push_back(i);
            t.expect(found == expected && t.k.count(scores.data(), n, bound) == found.size(), "select", 1, n);
        }
    }
    for (size_t most : {1u, 15u, 16u, 64u, 200u}) {
        const size_t n = 500;
        const std::vector<float> scores = Matrix(t.random, 1, n, -50, 50).as<float>();
        std::vector<NearBlock> blocks(most / kNearBlock + 1);
        NearNodes near{blocks.data(), 0, most, n};
        std::vector<uint32_t> nodes(n), order(n);
        for (uint32_t i = 0; i < n; ++i) nodes[i] = order[i] = i;
        for (size_t first = 0, size = 0; first < n; first += size, size = t.random.below(40))
            t.k.push_near(near, &scores[first], &nodes[first], std::min(size, n - first), 100.0f);
        std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return scores[a] < scores[b]; });
        bool same = near.n == most;
        for (size_t i = 0; i < near.n; ++i)
            same = same && near.node(i) == order[i] && near.score(i) == scores[order[i]];
        t.expect(same, "push_near", most, n);
    }
    for (size_t n : {1u, 2u, 31u, 32u, 33u, 64u, 65u, 128u, 300u, 2048u})
        for (int most : {3, 5000, 65535}) {
            const std::vector<uint16_t> numbers = Matrix(t.random, 1, n, 0, most).as<uint16_t>();
            std::vector<uint32_t> found(n), expected;
            found.resize(t.k.select16(numbers.data(), n, uint16_t(most / 9), uint16_t(most / 3), found.data()));
            for (uint32_t i = 0; i < n; ++i)
                if (numbers[i] >= most / 9 && numbers[i] <= most / 3) expected.push_back(i);
            t.expect(found == expected, "select16", 1, n);
            for (size_t k : {size_t(1), std::min<size_t>(n, 10), n}) {
                const uint16_t bound = t.k.bound16(numbers.data(), n, k);
                const auto within = size_t(std::count_if(numbers.begin(), numbers.end(),
                                                         [bound](uint16_t number) { return number <= bound; }));
                t.expect(within >= k, "bound16", k, n);
            }
        }
    for (size_t n : {1u, 16u, 17u, 40u, 64u, 65u, 128u, 150u}) {
        const std::vector<float> numbers = Matrix(t.random, 1, n, 0, int(2 * n)).as<float>();
        std::vector<uint32_t> ranks(n), expected(n);
        size_t sum = 0;
        for (size_t i = 0; i < n; ++i) {
            expected[i] =
                uint32_t(std::count_if(numbers.begin(), numbers.end(), [&](float x) { return x < numbers[i]; }));
            sum += expected[i];
        }
        const bool differ = t.k.rank(numbers.data(), n, ranks.data());
        t.expect(ranks == expected && differ == (2 * sum == n * (n - 1)), "rank", 1, n);
    }
    std::vector<uint32_t> words(3000);
    for (uint32_t& word : words) word = uint32_t(t.random.next() & t.random.next());
    std::vector<WordRun> runs;
    for (uint32_t length = 0; length < 60; ++length) {
        const auto first = uint32_t(t.random.below(words.size() - length));
        runs.push_back({first, first + length});
    }
    for (uint32_t most : {0u, 5u, 10u, 32u}) {
        std::vector<uint32_t> found(60 * 60 + kMoreWords), expected;
        found.resize(t.k.near_words(words.data(), runs.data(), runs.size(), words[7], most, found.data()));
        for (const WordRun& run : runs)
            for (uint32_t i = run.first; i < run.last; ++i)
                if (uint32_t(std::popcount(words[i] ^ words[7])) <= most) expected.push_back(i);
        t.expect(found == expected, "near_words", most, words.size());
    }
}

}  // namespace

int main() {
    return kernel_rows::run("kernels",
                            {scores_of_rows, bits_of_rows, codes, groups, tables, planes, sums_of_entries, choices});
}
