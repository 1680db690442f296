// HNSW: a graph over the codes of any codec, which a search walks towards its query.
#pragma once

#include <functional>
#include <optional>

#include "annkit/codec/codec.h"
#include "annkit/index/graph.h"
#include "annkit/index/graph_builder.h"
#include "annkit/index/graph_search.h"
#include "annkit/index/row_index.h"

namespace annkit {

struct GraphStats {
    std::vector<GraphLayer::Stats> layers;
    size_t removed;  // rows that are still walked through
};

class Hnsw final : public RowIndex {
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

    bool takes(std::string_view setting) const override { return setting == "ef" || setting == "gamma"; }
    const Hnsw* graph() const override { return this; }
    void fit(const Rows& rows, const Fit& fit) override;

    // Searches go on meanwhile; they find the rows when all of them are there.
    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) override;
    void search(const Rows& queries, size_t k, const Request& request, const Answer& out) const override;
    RangeAnswer range_search(const Rows& queries, float radius, const Request& request) const override;
    void reserve(size_t rows) override;

  private:
    bool has_learned() const override;
    void run(const Rows& queries, const TopK& empty, const Request& request, Take take) const override;
    void decode(std::span<const uint32_t> rows, std::byte* out) const override { decode_from(*codes_, rows, out); }
    void measure(std::vector<MemoryEntry>& entries) const override;
    bool is_view() const override { return (codes_ && codes_->is_view()) || graph_.is_view(); }
    void keep(const std::vector<uint32_t>& live, Lock& lock, const Call& call) override;

    // What rounding may take is seen by a distance, and by an inner product only of rows of length one.
    CodeUse code_use() const { return {inner_metric(), false, true, is_l2(metric_) || unit_}; }
    void forget_searches() const {
        for (GraphSearches& idle : searches_) idle.clear();
    }
    WalkLimits limits_for(const Settings& settings, size_t k) const;
    std::optional<Codes> build_codes(const Rows& rows, const Call& call) const;

    size_t ef_build_;
    std::unique_ptr<Codec> build_codec_;
    std::optional<Codes> codes_;  // from the first rows on, when the dimension is known
    Graph graph_;                 // while rows are added, it has more than members_, which searches find
    // Idle ones, which know codec_, codes_ and graph_: where one of these is replaced, they go. [1]: estimates will do.
    mutable GraphSearches searches_[2];
};

}  // namespace annkit
