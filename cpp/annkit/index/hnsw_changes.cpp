// How an HNSW index changes: rows come, go, and are put closer together.
#include <algorithm>

#include "annkit/core/errors.h"
#include "annkit/index/graph_compactor.h"
#include "annkit/index/hnsw.h"

namespace annkit {
namespace {

// With a build_codec, rows that are there are coded anew while others come; not for fewer than one in so many.
constexpr size_t kBuildShare = 4;
constexpr size_t kBlock = 256;  // rows that are coded at a time

// Codes the rows that other codes stand for.
void encode_again(const Codec& codec, const Codes& codes, size_t dim, const Codec& again, Codes& into,
                  const Call& call) {
    const Dtype type = codec.decoded();
    const size_t row_bytes = codec.row_bytes(dim);
    const int threads = threads_for(call, double(codes.n) * double(dim));
    parallel_for((codes.n + kBlock - 1) / kBlock, threads, call, [&](size_t task, int) {
        const size_t first = task * kBlock, n = std::min(kBlock, codes.n - first);
        std::vector<std::byte> rows(n * row_bytes);
        codec.decode_rows(codes, first, n, dim, rows.data());
        again.encode({rows.data(), n, dim, type, ptrdiff_t(row_bytes), ptrdiff_t(element_size(type))}, nullptr, into,
                     first);
    });
}

}  // namespace

// Codes to build by instead of the index's own, for as long as rows are added; none where those do.
std::optional<Codes> Hnsw::build_codes(const Rows& rows, const Call& call) const {
    if (!build_codec_ || rows.n * kBuildShare < codes_->n) return {};
    Codes codes = build_codec_->make_codes(rows.dim, code_use());
    codes.reserve(codes_->n + rows.n);
    encode_again(*codec_, *codes_, rows.dim, *build_codec_, codes, call);
    codes.n = codes_->n;
    append_codes(*build_codec_, rows, codes, call);
    return codes;
}

void Hnsw::add(const Rows& rows, const Ids& ids, bool replace, const Call& call) {
    const Lock change(changing_);
    check_ready();
    check_writable();
    check_dim(rows);
    check(members_.rows() + rows.n < GraphLayer::kNode, "the index would hold ", members_.rows() + rows.n,
          " rows, HNSW takes fewer than 2^31 - 1");
    const std::vector<uint32_t> replaced = members_.check_new(ids, rows.n, replace);
    const size_t before = members_.rows();
    const bool fresh = !codes_;
    GraphJournal journal(graph_);
    Lock lock(mutex_, std::defer_lock);
    try {
        Phase first(call.monitor, 0, 0.05), rest(call.monitor, 0.05, 1);
        const Call encoding{call.threads, first.monitor()};
        lock.lock();
        if (fresh) {
            forget_searches();
            codes_.emplace(codec_->make_codes(rows.dim, code_use())).set_room(members_.room());
        }
        codes_->reserve(codes_->n + rows.n);
        // Rows in one block share bytes with those that searches read.
        if (codes_->block > 1) append_codes(*codec_, rows, *codes_, encoding);
        lock.unlock();
        if (codes_->block == 1) append_codes(*codec_, rows, *codes_, encoding);
        const std::optional<Codes> finer = build_codes(rows, encoding);
        const GraphSource source{finer ? *build_codec_ : *codec_, finer ? *finer : *codes_, rows.dim, inner_metric(),
                                 unit_};
        GraphBuilder(graph_, source, ef_build_, mutex_).add(before + rows.n, journal, {call.threads, rest.monitor()});
        if (call.monitor) call.monitor->progress(rows.n, rows.n);  // before the rows count: a callback may still raise
        lock.lock();
        members_.append(ids, rows.n, !replaced.empty());
        codes_->n += rows.n;
        dim_ = rows.dim;
    } catch (...) {
        if (!lock) lock.lock();
        journal.undo();
        fresh ? codes_.reset() : codes_->release_spare();
        throw;
    }
    remove_rows(replaced, lock, {call.threads, nullptr});  // before a search sees two rows of one id
}

void Hnsw::reserve(size_t rows) {
    check(rows < GraphLayer::kNode, "rows is ", rows, ", HNSW takes fewer than 2^31 - 1");
    reserve_room(rows, [this](size_t room) {
        if (codes_) codes_->set_room(room);
        graph_.set_room(room);
    });
}

// Searches go on while links are repaired.
void Hnsw::keep(const std::vector<uint32_t>& live, Lock& lock, const Call& call) {
    lock.unlock();
    Graph graph = without_removed(graph_, {*codec_, *codes_, dim_, inner_metric(), unit_}, live, call);
    lock.lock();
    forget_searches();
    codes_->keep(live);
    graph_ = std::move(graph);
}

}  // namespace annkit
