// LSH tables: rows in the buckets of hash functions that near rows are likely to share, with multi-probe searches.
#pragma once

#include <optional>

#include "annkit/codec/codec.h"
#include "annkit/index/lsh_hash.h"
#include "annkit/index/lsh_search.h"
#include "annkit/index/lsh_store.h"
#include "annkit/index/row_index.h"

namespace annkit {

class LshTables final : public RowIndex {
  public:
    LshTables(const LshOptions& options, const Codec& codec, Metric metric);
    static std::unique_ptr<Index> load(const Reader& in);

    std::string_view kind() const override { return "lsh_tables"; }
    void save(Writer& out) const override;
    std::string repr() const override;
    const LshOptions& options() const { return options_; }
    std::vector<uint32_t> buckets(const Rows& rows, const Call& call) const;  // a slot a table for each row

    bool takes(std::string_view setting) const override {
        return setting == "probes" || (setting == "candidates" && options_.sketch > 0);
    }
    void fit(const Rows& rows, const Fit& fit) override;

    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) override;
    Undo undo() override;

  private:
    bool has_learned() const override { return hash_.has_value(); }
    void run(const Rows& queries, const TopK& empty, const Request& request, Take take) const override;
    void decode(std::span<const uint32_t> rows, std::byte* out) const override { decode_from(*codes_, rows, out); }
    void measure(std::vector<MemoryEntry>& entries) const override;
    bool is_view() const override { return store_ && store_->is_view(); }
    void keep(const std::vector<uint32_t>& live, Lock& lock, const Call& call) override;

    void set_up(LshHash&& hash, std::unique_ptr<Codec> codec);
    void hash_and_encode(const Rows& rows, const Call& call);
    LshSettings settings_for(const Settings& given, size_t k) const;

    LshOptions options_;
    std::optional<LshHash> hash_;  // these three once fitted
    std::optional<LshStore> store_;
    std::optional<Codes> codes_;
    mutable Pool<Marks> marks_;  // those of searches past: to zero new ones takes longer than a query
};

}  // namespace annkit
