// annkit.hamming: searches over arrays of packed codes as they lie, without an index.
#include <bit>

#include "annkit/codec/bits.h"
#include "annkit/core/errors.h"
#include "annkit/index/exhaustive.h"
#include "annkit/index/hamming_pairs.h"
#include "annkit/index/substrings.h"
#include "annkit/simd/kernels.h"
#include "arrays.h"
#include "hamming_documents.h"
#include "module.h"
#include "results.h"

namespace annkit::bindings {
namespace {

// Codes of an array side by side, viewed in place (strided ones are copied).
struct CodesView {
    explicit CodesView(py::handle given) : input(bits_from(given, "codes")) {
        if (!(input.array.flags() & py::array::c_style)) {
            input = bits_from(py::array_t<uint8_t, py::array::c_style>(input.array), "codes");
        }
        const size_t bytes = input.rows.elements();
        const std::span data(input.rows.data, input.rows.n * bytes);
        check(input.rows.n < UINT32_MAX, "got ", input.rows.n, " codes, expected fewer than 2^32 - 1");
        codes.emplace(
            Column::view(bytes, std::bit_ceil(std::max<size_t>(input.rows.n, 1)), data, std::make_shared<int>()));
        codes->n = input.rows.n;
    }
    Input input;
    std::optional<Codes> codes;
};

void check_widths(const Rows& a, const Rows& b) {
    check(a.dim == b.dim, "the queries have ", a.dim, " bits, the codes ", b.dim);
}

ExhaustiveSearch search_for(const Bits& bits, const CodesView& view, const TopK& empty) {
    return {bits, Metric::hamming, *view.codes, view.input.rows.dim, empty, {}};
}

constexpr TieOrder kByRow{{}, true};

py::object topk(py::handle queries, py::handle codes, py::handle k_given, py::handle threads) {
    const Input q = bits_from(queries, "queries");
    const CodesView view(codes);
    check_widths(q.rows, view.input.rows);
    const size_t k = count_from(k_given, "k"), n = view.codes->n;
    PythonMonitor monitor;
    const Call call{threads_from(threads), &monitor};
    SearchArrays out(Metric::hamming, q.rows.n, k);
    run([&] {
        std::fill_n(out.answer.ids, q.rows.n * k, -1);
        std::fill_n(out.answer.counts, q.rows.n * k, INT32_MAX);
        if (n == 0) return;
        const Bits bits;
        search_for(bits, view, TopK(std::min(k, n), kByRow))
            .run(q.rows, call, [&](size_t query, std::span<const Hit> hits) {
                for (size_t i = 0; i < hits.size(); ++i) {
                    out.answer.ids[query * k + i] = hits[i].row;
                    out.answer.counts[query * k + i] = int32_t(hits[i].score);
                }
            });
    });
    return out.result();
}

py::object range(py::handle queries, py::handle codes, int64_t radius, py::handle threads) {
    const Input q = bits_from(queries, "queries");
    const CodesView view(codes);
    check_widths(q.rows, view.input.rows);
    PythonMonitor monitor;
    const Call call{threads_from(threads), &monitor};
    RangeAnswer answer;
    run([&] {
        std::vector<std::vector<Hit>> found(q.rows.n);  // threads share the queries
        const Bits bits;
        const auto empty = TopK::within(float(std::clamp<int64_t>(radius, -1, int64_t(1) << 24)), kByRow);
        search_for(bits, view, empty).run(q.rows, call, [&](size_t query, std::span<const Hit> hits) {
            found[query].assign(hits.begin(), hits.end());
        });
        answer.lims.push_back(0);
        for (const auto& hits : found) {
            for (const Hit& hit : hits) {
                answer.ids.push_back(hit.row);
                answer.distances.push_back(hit.score);
            }
            answer.lims.push_back(int64_t(answer.ids.size()));
        }
    });
    return range_result(Metric::hamming, answer);
}

py::array_t<int32_t> pairwise(py::handle a, py::handle b, py::handle threads) {
    const Input q = bits_from(a, "a");
    const CodesView view(b);
    check_widths(q.rows, view.input.rows);
    const size_t n = view.codes->n, bytes = q.rows.elements();
    py::array_t<int32_t> out = new_array<int32_t>(q.rows.n, n);
    int32_t* data = out.mutable_data();
    PythonMonitor monitor;
    const Call call{threads_from(threads), &monitor};
    run([&] {
        const double work = double(q.rows.n) * double(n) * double(bytes) / 16;
        parallel_for(q.rows.n, threads_for(call, work), call, [&](size_t i, int) {
            constexpr size_t kBlock = 1024;
            float scores[kBlock];
            std::vector<uint8_t> query(bytes);
            copy_bytes(q.rows, i, query.data());
            for (size_t first = 0; first < n; first += kBlock) {
                const size_t count = std::min(kBlock, n - first);
                simd::kernels().hamming_scan(query.data(), view.codes->code(first), bytes, count, scores);
                for (size_t j = 0; j < count; ++j) data[i * n + first + j] = int32_t(scores[j]);
            }
        });
    });
    return out;
}

py::object pairs(py::handle codes, int64_t radius, py::handle progress, py::handle threads) {
    const CodesView view(codes);
    const size_t bits = view.input.rows.dim;
    check(bits <= Substrings::kMostBits, "the codes have ", bits, " bits, expected at most ", Substrings::kMostBits);
    check(radius >= 0, "radius is ", radius, ", expected 0 or more");
    const size_t n = view.codes->n;
    check(n <= kMostPairedCodes, "got ", n, " codes, expected fewer than 2^31");
    PythonMonitor monitor(progress, n);
    const Call call{threads_from(threads), &monitor};
    py::array_t<int64_t> lims(py::ssize_t(n + 1));
    std::optional<py::array_t<int32_t>> j;
    std::optional<py::array_t<int16_t>> distances;
    const auto room = [&](size_t pairs) {
        const py::gil_scoped_acquire locked;
        j.emplace(py::ssize_t(pairs));
        distances.emplace(py::ssize_t(pairs));
        return HammingPairs{lims.mutable_data(), j->mutable_data(), distances->mutable_data()};
    };
    run([&] { hamming_pairs(*view.codes, bits, std::min<size_t>(size_t(radius), bits), call, room); });
    return pairs_result(lims, *distances, *j);
}

}  // namespace

void bind_hamming(py::module_& m) {
    py::module_ hamming = m.def_submodule("hamming", "Hamming search over arrays of packed codes, without an index.");
    using py::arg;
    hamming.def("topk", topk, arg("queries"), arg("codes"), arg("k") = 10, py::kw_only(), arg("threads") = py::none(),
                documents::kHammingTopk);
    hamming.def("range", range, arg("queries"), arg("codes"), arg("radius"), py::kw_only(), arg("threads") = py::none(),
                documents::kHammingRange);
    hamming.def("pairwise", pairwise, arg("a"), arg("b"), py::kw_only(), arg("threads") = py::none(),
                documents::kHammingPairwise);
    hamming.def("pairs", pairs, arg("codes"), arg("radius"), py::kw_only(), arg("progress") = py::none(),
                arg("threads") = py::none(), documents::kHammingPairs);
}

}  // namespace annkit::bindings
