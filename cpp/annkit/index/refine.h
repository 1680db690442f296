// Refine: an index over coarse codes finds candidates, and finer codes of the same rows choose among them.
#pragma once

#include "annkit/index/flat.h"

namespace annkit {

class Refine final : public Index {
  public:
    static constexpr double kDefaultFactor = 4;
    Refine(const Index& base, const Codec& codec, double k_factor);
    static std::unique_ptr<Index> load(const Reader& in);

    std::string_view kind() const override { return "refine"; }
    void save(Writer& out) const override;
    std::string repr() const override;
    std::string factory() const override;
    const Index& base() const { return *base_; }
    double k_factor() const { return k_factor_; }

    bool is_fitted() const override { return base_->is_fitted() && finer_->is_fitted(); }
    bool takes(std::string_view setting) const override { return setting == "k_factor" || base_->takes(setting); }
    const Hnsw* graph() const override { return base_->graph(); }
    void fit(const Rows& rows, const Fit& fit) override;
    size_t size() const override { return base_->size(); }
    size_t dim() const override { return base_->dim(); }
    std::vector<MemoryEntry> memory() const override;
    Metric metric() const override { return base_->metric(); }
    Dtype query_type(Dtype given) const override;
    Dtype decoded() const override { return finer_->decoded(); }

    // Searches go on as the base lets them, unless rows are replaced: what it finds has finer codes already.
    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) override;
    void reserve(size_t rows) override;
    Undo undo() override;
    void search(const Rows& queries, size_t k, const Request& request, const Answer& out) const override;
    // The rows within the radius by the finer codes, of those that the base has in a somewhat larger one.
    RangeAnswer range_search(const Rows& queries, float radius, const Request& request) const override;
    void remove(std::span<const int64_t> ids, const Call& call) override;
    void compact(const Call& call) override;
    void reconstruct(std::span<const int64_t> ids, void* out) const override;
    std::vector<int64_t> ids() const override { return base_->ids(); }
    Held hold() const override;
    Held hold_for_reading() const override;

  private:
    class Range;
    Refine(std::unique_ptr<Index> base, std::unique_ptr<Flat> finer, double k_factor);

    std::unique_ptr<Index> base_;
    std::unique_ptr<Flat> finer_;  // holds the same ids as the base
    double k_factor_;
    // A change holds the first from beginning to end, and the second while it takes out what a search may have found in
    // the base and still looks for among the finer codes.
    mutable FairMutex changing_, mutex_;
};

}  // namespace annkit
