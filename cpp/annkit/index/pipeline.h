// Pipeline: transforms in front of an index.
#pragma once

#include "annkit/codec/codec.h"
#include "annkit/index/index.h"
#include "annkit/transform/transform.h"

namespace annkit {

class Pipeline final : public Index {
  public:
    Pipeline(std::vector<std::unique_ptr<Transform>> transforms, std::unique_ptr<Index> index);
    static std::unique_ptr<Index> load(const Reader& in);

    std::string_view kind() const override { return "pipeline"; }
    void save(Writer& out) const override;
    std::string repr() const override;
    std::string factory() const override;

    bool is_fitted() const override;
    bool takes(std::string_view setting) const override { return index_->takes(setting); }
    const Hnsw* graph() const override { return index_->graph(); }
    // Fits the transforms that have not been, then the index; rows pass through them one after the other.
    void fit(const Rows& rows, const Fit& fit) override;
    size_t size() const override { return index_->size(); }
    size_t dim() const override;
    std::vector<MemoryEntry> memory() const override;
    std::unique_ptr<Codec> codec_copy() const override { return index_->codec_copy(); }
    std::vector<std::unique_ptr<Transform>> transforms() const;  // copies
    Metric metric() const override { return index_->metric(); }
    Dtype query_type(Dtype given) const override;
    Dtype decoded() const override { return Dtype::f32; }

    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) override;
    void reserve(size_t rows) override;
    Undo undo() override;
    void search(const Rows& queries, size_t k, const Request& request, const Answer& out) const override;
    RangeAnswer range_search(const Rows& queries, float radius, const Request& request) const override;
    void remove(std::span<const int64_t> ids, const Call& call) override;
    void compact(const Call& call) override;
    // What the index gives, taken back through the transforms.
    void reconstruct(std::span<const int64_t> ids, void* out) const override;
    std::vector<int64_t> ids() const override { return index_->ids(); }
    Held hold() const override;
    Held hold_for_reading() const override;

  private:
    void check_ready() const;
    void check_dim(const Rows& rows, std::string_view what) const;
    size_t dim_out(size_t dim) const;
    template <class Body>
    void each_block(const Rows& queries, const Request& request, const Body& body) const;
    std::vector<float> apply(const Rows& rows, const Call& call) const;

    std::vector<std::unique_ptr<Transform>> transforms_;
    std::unique_ptr<Index> index_;
    size_t dim_ = 0;  // from fit on, or the first rows
    // A change holds the first from beginning to end, and the second while it writes what searches read: the transforms
    // and dim_, and rows that come in several steps.
    mutable FairMutex changing_, mutex_;
};

}  // namespace annkit
