// How an HNSW index changes: rows come, go, and are put closer together.
#include <algorithm>
#include <mutex>

#include "annkit/core/errors.h"
#include "annkit/index/graph_compactor.h"
#include "annkit/index/hnsw.h"
#include "annkit/index/unit_rows.h"

namespace annkit {
namespace {

constexpr size_t kMaxDim = size_t(1) << 24;
// Removed rows cost every search; when a quarter of all are, the graph is repaired.
constexpr size_t kDeadShare = 4;
// With a build_codec, rows that are there are coded anew while others come; not for fewer than one in so many.
constexpr size_t kBuildShare = 4;
constexpr size_t kBlock = 256;  // rows that are coded at a time; tasks end where blocks of codes do

// Codes rows behind those that are there.
void encode(const Codec& codec, const Rows& rows, bool unit, Codes& into, const Call& call) {
    const size_t before = into.n % kBlock;
    const int threads = threads_for(call, double(rows.n) * double(rows.dim));
    parallel_for((before + rows.n + kBlock - 1) / kBlock, threads, call, [&](size_t task, int) {
        const size_t first = std::max(task * kBlock, before) - before;
        const size_t last = std::min((task + 1) * kBlock - before, rows.n);
        const InnerRows inner(rows.slice(first, last - first), unit, "the array");
        codec.encode(inner.rows(), nullptr, into, into.n + first);
    });
}

// Codes the rows that other codes stand for.
void encode_again(const Codec& codec, const Codes& codes, size_t dim, const Codec& again, Codes& into,
                  const Call& call) {
    const Dtype type = codec.decoded();
    const size_t row_bytes = dim * element_size(type);
    const int threads = threads_for(call, double(codes.n) * double(dim));
    parallel_for((codes.n + kBlock - 1) / kBlock, threads, call, [&](size_t task, int) {
        const size_t first = task * kBlock, n = std::min(kBlock, codes.n - first);
        std::vector<std::byte> rows(n * row_bytes);
        for (size_t i = 0; i < n; ++i) codec.decode(codes, first + i, dim, &rows[i * row_bytes]);
        again.encode({rows.data(), n, dim, type, ptrdiff_t(row_bytes), ptrdiff_t(element_size(type))}, nullptr, into,
                     first);
    });
}

}  // namespace

void Hnsw::check_new_rows(const Rows& rows) const {
    check_ready();
    check_writable();
    check(rows.dim > 0 && rows.dim <= kMaxDim, "the array has ", rows.dim, " columns, expected 1 to ", kMaxDim);
    check(dim_ == 0 || rows.dim == dim_, "the array has dimension ", rows.dim, ", the index has ", dim_);
    check(members_.rows() + rows.n < GraphLayer::kNode, "the index would hold ", members_.rows() + rows.n,
          " rows, HNSW takes fewer than 2^31 - 1");
}

// Codes to build by instead of the index's own, for as long as rows are added; none where those do.
std::optional<Codes> Hnsw::build_codes(const Rows& rows, const Call& call) const {
    if (!build_codec_ || rows.n * kBuildShare < codes_->n) return {};
    Codes codes = build_codec_->make_codes(rows.dim, {inner_metric()});
    codes.reserve(codes_->n + rows.n);
    encode_again(*codec_, *codes_, rows.dim, *build_codec_, codes, call);
    codes.n = codes_->n;
    encode(*build_codec_, rows, unit_, codes, call);
    return codes;
}

void Hnsw::add(const Rows& rows, const Ids& ids, bool replace, const Call& call) {
    std::unique_lock change(changing_);
    check_new_rows(rows);
    const std::vector<uint32_t> replaced = members_.check_new(ids, rows.n, replace);
    const size_t before = members_.rows();
    const bool fresh = !codes_;
    GraphJournal journal(graph_);
    try {
        Phase first(call.monitor, 0, 0.05), rest(call.monitor, 0.05, 1);
        const Call encoding{call.threads, first.monitor()};
        {
            std::unique_lock lock(mutex_);
            if (fresh) codes_.emplace(codec_->make_codes(rows.dim, {inner_metric()}));
            codes_->reserve(codes_->n + rows.n);
            // Rows in one block share bytes with those that searches read.
            if (codes_->block > 1) encode(*codec_, rows, unit_, *codes_, encoding);
        }
        if (codes_->block == 1) encode(*codec_, rows, unit_, *codes_, encoding);
        const std::optional<Codes> finer = build_codes(rows, encoding);
        const GraphSource source{finer ? *build_codec_ : *codec_, finer ? *finer : *codes_, rows.dim, inner_metric(),
                                 unit_};
        GraphBuilder(graph_, source, ef_build_, mutex_).add(before + rows.n, journal, {call.threads, rest.monitor()});
        if (call.monitor) call.monitor->progress(rows.n, rows.n);  // before the rows count: a callback may still raise
        std::unique_lock lock(mutex_);
        members_.append(ids, rows.n);
        codes_->n += rows.n;
        dim_ = rows.dim;
    } catch (...) {
        std::unique_lock lock(mutex_);
        journal.undo();
        fresh ? codes_.reset() : codes_->release_spare();
        throw;
    }
    remove_rows(replaced);
}

void Hnsw::remove(std::span<const int64_t> ids) {
    std::unique_lock change(changing_);
    check_writable();
    remove_rows(members_.rows_of(ids));
}

void Hnsw::remove_rows(std::span<const uint32_t> rows) {
    {
        std::unique_lock lock(mutex_);
        members_.remove(rows);
    }
    if (members_.removed() * kDeadShare > members_.rows()) compact_rows();
}

void Hnsw::compact() {
    std::unique_lock change(changing_);
    check_writable();
    if (members_.removed() > 0) compact_rows();
}

// Searches go on while links are repaired.
void Hnsw::compact_rows() {
    const std::vector<uint32_t> live = members_.live_rows();
    Graph graph = without_removed(graph_, {*codec_, *codes_, dim_, inner_metric(), unit_}, live, {});
    std::unique_lock lock(mutex_);
    members_.keep(live);
    codes_->keep(live);
    graph_ = std::move(graph);
}

}  // namespace annkit
