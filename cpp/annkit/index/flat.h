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
    std::string factory() const override;

    size_t size() const override;
    size_t dim() const override;
    std::vector<MemoryEntry> memory() const override;
    bool is_fitted() const override { return codec_->is_fitted(); }
    void fit(const Rows& rows, const Fit& fit) override {
        this->fit(rows, fit, [] {});
    }
    // last: what has to succeed too, once all else has that may fail.
    void fit(const Rows& rows, const Fit& fit, const std::function<void()>& last);
    std::unique_ptr<Codec> codec_copy() const override;
    Metric metric() const override { return metric_; }
    Dtype query_type(Dtype given) const override;
    Dtype decoded() const override { return codec_->decoded(); }

    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) override {
        add(rows, ids, replace, call, [] {});
    }
    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call, const std::function<void()>& last);
    // The k best by their own scores of a number of ids a query; -1 and ids that are not here are passed over.
    void rescore(const Rows& queries, std::span<const int64_t> ids, size_t k, const Call& call,
                 const Answer& out) const;
    // Of one query, all of the ids within the radius, nearest first, behind what answer holds.
    void rescore_within(const Rows& query, std::span<const int64_t> ids, float radius, RangeAnswer& answer) const;
    const Codec& codec() const { return *codec_; }
    Undo undo() override;
    void search(const Rows& queries, size_t k, const Request& request, const Answer& out) const override;
    RangeAnswer range_search(const Rows& queries, float radius, const Request& request) const override;
    void remove(std::span<const int64_t> ids) override;
    void compact() override;
    void reconstruct(std::span<const int64_t> ids, void* out) const override;
    std::vector<int64_t> ids() const override;
    Held hold() const override;

  private:
    using Take = std::function<void(size_t, std::span<const Hit>)>;
    void check_ready() const;
    void rescore(Scorer& scorer, std::span<const int64_t> ids, TopK& top) const;
    Metric inner_metric() const { return unit_ ? Metric::ip : metric_; }
    void run(const Rows& queries, const TopK& empty, const Request& request, const Take& take) const;
    void encode(const Rows& rows, Codes& into, const Call& call) const;
    void remove_rows(std::span<const uint32_t> rows);
    void compact_rows();
    TieOrder tie_order() const { return {members_.ids().order().ids, true}; }

    std::unique_ptr<Codec> codec_;
    Metric metric_;
    bool unit_;  // rows are scaled to length one and compared by inner product
    size_t dim_ = 0;
    std::optional<Codes> codes_;  // from the first rows on, when the dimension is known
    Members members_;
    mutable FairMutex mutex_;
};

}  // namespace annkit
