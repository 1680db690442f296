// HNSW: a graph over the codes of any codec, which a search walks towards its query.
#pragma once

#include <functional>
#include <optional>

#include "annkit/codec/codec.h"
#include "annkit/index/graph.h"
#include "annkit/index/graph_builder.h"
#include "annkit/index/graph_search.h"
#include "annkit/index/index.h"

namespace annkit {

struct GraphStats {
    std::vector<GraphLayer::Stats> layers;
    size_t removed;  // rows that are still walked through
};

class Hnsw final : public Index {
  public:
    static constexpr size_t kDefaultDegree = 32, kDefaultEfBuild = 200;
    // build_codec: of the codes that rows are compared by while the graph is built; null: the codec's own.
    Hnsw(size_t degree, size_t ef_build, const Codec& codec, const Codec* build_codec, Metric metric);
    static std::unique_ptr<Index> load(const Reader& in);

    std::string_view kind() const override { return "hnsw"; }
    void save(Writer& out) const override;
    std::string repr() const override;
    std::string factory() const override;
    size_t degree() const { return graph_.degree(); }
    size_t ef_build() const { return ef_build_; }
    GraphStats stats() const;

    bool is_fitted() const override;
    bool takes(std::string_view setting) const override { return setting == "ef"; }
    void fit(const Rows& rows, const Fit& fit) override;
    size_t size() const override;
    size_t dim() const override;
    std::vector<MemoryEntry> memory() const override;
    std::unique_ptr<Codec> codec_copy() const override;
    Metric metric() const override { return metric_; }
    Dtype query_type(Dtype given) const override;
    Dtype decoded() const override { return codec_->decoded(); }

    // Searches go on meanwhile; they find the rows when all of them are there.
    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) override;
    void search(const Rows& queries, size_t k, const Request& request, const Answer& out) const override;
    RangeAnswer range_search(const Rows& queries, float radius, const Request& request) const override;
    void remove(std::span<const int64_t> ids) override;
    void compact() override;
    void reconstruct(std::span<const int64_t> ids, void* out) const override;
    std::vector<int64_t> ids() const override;
    Held hold() const override;

  private:
    using Take = std::function<void(size_t, std::span<const Hit>)>;
    Metric inner_metric() const { return unit_ ? Metric::ip : metric_; }
    TieOrder tie_order() const { return {members_.ids().order().ids, false}; }
    void check_ready() const;
    void check_writable() const;
    void check_new_rows(const Rows& rows) const;
    std::optional<Codes> build_codes(const Rows& rows, const Call& call) const;
    void run(const Rows& queries, const TopK& empty, const Request& request, const Take& take) const;
    void remove_rows(std::span<const uint32_t> rows);
    void compact_rows();

    size_t ef_build_;
    std::unique_ptr<Codec> codec_, build_codec_;
    Metric metric_;
    bool unit_;  // rows are scaled to length one and compared by inner product
    size_t dim_ = 0;
    std::optional<Codes> codes_;  // from the first rows on, when the dimension is known
    Graph graph_;
    Members members_;  // its rows are found; while rows are added, the graph has more
    mutable GraphScratches scratches_;
    // A change holds the first from beginning to end, and the second while it writes what searches read.
    mutable FairMutex changing_, mutex_;
};

}  // namespace annkit
