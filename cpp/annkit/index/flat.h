// Flat: every search looks at every row. Exact for the codes it keeps.
#pragma once

#include <functional>
#include <optional>
#include <shared_mutex>

#include "annkit/codec/codec.h"
#include "annkit/index/index.h"

namespace annkit {

class Flat final : public Index {
  public:
    Flat(const Codec& codec, Metric metric);
    static std::unique_ptr<Index> load(const Reader& in);

    std::string_view kind() const override { return "flat"; }
    void save(Writer& out) const override;
    std::string repr() const override;

    size_t size() const override;
    size_t dim() const override;
    size_t nbytes() const override;
    Metric metric() const override { return metric_; }
    Dtype query_type(Dtype given) const override;
    Dtype decoded() const override { return codec_->decoded(); }

    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) override;
    void search(const Rows& queries, size_t k, const std::vector<Filter>& filters, const Call& call,
                const Answer& out) const override;
    RangeAnswer range_search(const Rows& queries, float radius, const std::vector<Filter>& filters,
                             const Call& call) const override;
    void remove(std::span<const int64_t> ids) override;
    void compact() override;
    void reconstruct(std::span<const int64_t> ids, void* out) const override;
    std::vector<int64_t> ids() const override;
    std::shared_lock<FairMutex> hold() const override { return std::shared_lock(mutex_); }

  private:
    void check_queries(const Rows& queries, const std::vector<Filter>& filters) const;
    void run(const Rows& queries, const TopK& empty, const std::vector<Filter>& filters, const Call& call,
             const std::function<void(size_t, std::span<const Hit>)>& take) const;
    void encode(const Rows& rows, Codes& into, const Call& call) const;
    void remove_rows(std::span<const uint32_t> rows);
    void compact_rows();
    TieOrder tie_order() const { return {members_.ids().order().ids, true}; }

    std::unique_ptr<Codec> codec_;
    Metric metric_;
    size_t dim_ = 0;
    std::optional<Codes> codes_;  // from the first rows on, when the dimension is known
    Members members_;
    mutable FairMutex mutex_;
};

}  // namespace annkit
