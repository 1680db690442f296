// IVF: rows in lists, each around a centroid of k-means; a query looks at the lists nearest to it (Jegou, Douze, Schmid
// 2011, section IV). Any codec, of rows or of what is left of them beyond their centroid. For hamming, all of it is
// about the bits of the rows' codes: centroids are bits, and near is what differs in few bits.
#pragma once

#include <functional>
#include <optional>

#include "annkit/codec/bits.h"
#include "annkit/index/bit_lists.h"
#include "annkit/index/hnsw.h"
#include "annkit/index/list_finder.h"
#include "annkit/index/lists.h"
#include "annkit/index/row_index.h"
#include "annkit/math/nearest.h"

namespace annkit {

class Ivf final : public RowIndex {
  public:
    // residual: none for the codec's own way. coarse: a graph to hold the centroids, empty so far; null: all of them
    // are compared.
    Ivf(size_t lists, const Codec& codec, Metric metric, std::optional<bool> residual, const Hnsw* coarse = nullptr);
    static std::unique_ptr<Index> load(const Reader& in);

    std::string_view kind() const override { return "ivf"; }
    void save(Writer& out) const override;
    std::string repr() const override;
    std::string factory() const override;
    size_t lists() const { return n_lists_; }
    bool residual() const { return use_.residual; }

    bool takes(std::string_view setting) const override {
        return setting == "nprobe" || setting == "spread" || (coarse_ && setting == "ef");
    }
    void fit(const Rows& rows, const Fit& fit) override;

    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) override;
    Undo undo() override;
    void search(const Rows& queries, size_t k, const Request& request, const Answer& out) const override;

  private:
    bool has_learned() const override { return lists_.has_value(); }
    void run(const Rows& queries, const TopK& empty, const Request& request, Take take) const override;
    void decode(std::span<const uint32_t> rows, std::byte* out) const override;
    void measure(std::vector<MemoryEntry>& entries) const override;
    bool is_view() const override { return lists_ && lists_->is_view(); }
    void keep(const std::vector<uint32_t>& live, Lock& lock, const Call& call) override;

    bool binary() const { return metric_ == Metric::hamming; }
    bool by_direction() const { return metric_ == Metric::cosine; }       // so that lists are of rows of length one
    bool centers() const { return use_.residual && is_l2(use_.metric); }  // where rows lie far from the origin
    // What makes the codes in the lists.
    const Codec& stored() const { return binary() ? static_cast<const Codec&>(bits_) : *codec_; }
    void fit_bits(const Rows& rows, const Fit& fit);
    std::unique_ptr<Index> graph_of(const Rows& centroids, const Call& call) const;
    void set_up(size_t dim, std::unique_ptr<Codec> codec, std::vector<float> centroids, std::unique_ptr<Index> graph,
                std::vector<float> center);
    void set_up_bits(size_t dim, std::unique_ptr<Codec> codec, NearestCodes centroids, std::unique_ptr<Index> graph);
    void load_bits(const Reader& in, size_t dim);
    std::unique_ptr<Index> load_graph_of_lists(const Reader& in, size_t dim) const;
    void fit_codec(Codec& codec, const Rows& rows, const std::vector<float>& centroids, const Fit& fit) const;
    void copy_centroid(size_t list, float* out) const;
    std::vector<float> centroids() const;
    void assign(const Rows& rows, std::vector<uint32_t>& list_of, const Call& call);

    size_t n_lists_;
    std::unique_ptr<Index> coarse_;  // what a graph of the centroids begins as, or null
    CodeUse use_;
    // What is taken from rows and queries before anything else, where they lie far from the origin: centroids are, too.
    std::vector<float> center_;
    std::optional<Nearest> nearest_;  // where rows go: made for adding, and kept where few came
    // Which lists a query visits, and the centroids:
    std::optional<ListFinder> finder_;  // this has both,
    std::unique_ptr<Index> graph_;      // or this finds them,
    std::vector<float> graph_rows_;     // and here they are;
    Bits bits_;
    std::optional<BitLists> bit_lists_;  // for hamming, in place of nearest and finder
    std::optional<Lists> lists_;         // once fitted
};

}  // namespace annkit
