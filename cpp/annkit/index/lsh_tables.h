// LSH tables: rows in the buckets of hash functions that near rows are likely to share, with multi-probe searches.
#pragma once

#include <optional>

#include "annkit/codec/codec.h"
#include "annkit/index/index.h"
#include "annkit/index/lsh_hash.h"
#include "annkit/index/lsh_search.h"
#include "annkit/index/lsh_store.h"

namespace annkit {

class LshTables final : public Index {
  public:
    LshTables(const LshOptions& options, const Codec& codec, Metric metric);
    static std::unique_ptr<Index> load(const Reader& in);

    std::string_view kind() const override { return "lsh_tables"; }
    void save(Writer& out) const override;
    std::string repr() const override;
    const LshOptions& options() const { return options_; }
    std::vector<uint32_t> buckets(const Rows& rows, const Call& call) const;  // a slot a table for each row

    bool is_fitted() const override { return hash_.has_value(); }
    bool takes(std::string_view setting) const override {
        return setting == "probes" || (setting == "candidates" && options_.sketch > 0);
    }
    void fit(const Rows& rows, const Fit& fit) override;
    size_t size() const override;
    size_t dim() const override;
    std::vector<MemoryEntry> memory() const override;
    std::unique_ptr<Codec> codec_copy() const override;
    Metric metric() const override { return metric_; }
    Dtype query_type(Dtype given) const override;
    Dtype decoded() const override { return codec_->decoded(); }

    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) override;
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
    Metric inner_metric() const { return unit_ ? Metric::ip : metric_; }
    TieOrder tie_order() const { return {members_.ids().order().ids, false}; }
    void check_ready() const;
    void check_writable() const;
    void set_up(LshHash&& hash);
    void encode(const Rows& rows, const Call& call);
    LshSettings settings_for(const Settings& given, size_t k) const;
    void run(const Rows& queries, const TopK& empty, size_t k, const Request& request, const Take& take) const;
    void compact_rows();

    LshOptions options_;
    std::unique_ptr<Codec> codec_;
    Metric metric_;
    bool unit_;                    // rows are scaled to length one and compared by inner product
    std::optional<LshHash> hash_;  // these three once fitted
    std::optional<LshStore> store_;
    std::optional<Codes> codes_;
    Members members_;
    mutable Pool<Marks> marks_;  // those of searches past: to zero new ones takes longer than a query
    mutable FairMutex mutex_;
};

}  // namespace annkit
