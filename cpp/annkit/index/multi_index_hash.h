// Exact search over packed codes by tables of their substrings (Norouzi, Punjani, Fleet, "Fast exact search in Hamming
// space with multi-index hashing", TPAMI 2014), or by looking at every row where that is faster.
#pragma once

#include <functional>
#include <optional>
#include <shared_mutex>

#include "annkit/codec/bits.h"
#include "annkit/index/index.h"
#include "annkit/index/substring_tables.h"

namespace annkit {

class MultiIndexHash final : public Index {
  public:
    explicit MultiIndexHash(size_t tables = 0);  // 0: as many as suit the rows
    static std::unique_ptr<Index> load(const Reader& in);

    std::string_view kind() const override { return "multi_index_hash"; }
    void save(Writer& out) const override;
    std::string repr() const override;
    size_t tables() const;  // 0 before there are any

    bool is_fitted() const override { return true; }
    void fit(const Rows&, const Fit&) override {}  // tables are learned from the rows that are added
    size_t size() const override;
    size_t dim() const override;
    std::vector<MemoryEntry> memory() const override;
    Metric metric() const override { return Metric::hamming; }
    Dtype query_type(Dtype given) const override;
    Dtype decoded() const override { return Dtype::bits; }

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
    void check_dim(const Rows& rows) const;
    void check_writable() const;
    bool wants_tables(size_t rows) const;
    std::optional<SubstringTables> make_tables(const Codes& codes, size_t rows, size_t dim, const Call& call) const;
    void run(const Rows& queries, const TopK& empty, const Request& request, const Take& take) const;
    void scan(const Rows& queries, const std::vector<uint32_t>& left, const TopK& empty,
              const std::vector<const Bitset*>& allowed, const Call& call, const Take& take) const;
    void compact_rows();

    Bits codec_;
    size_t wanted_tables_, dim_ = 0;
    std::optional<Codes> codes_;  // from the first rows on, when the dimension is known
    std::optional<SubstringTables> tables_;
    Members members_;
    mutable FairMutex mutex_;
};

}  // namespace annkit
