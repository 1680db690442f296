// Exact search over packed codes, or the sign bits of floats, by tables of their substrings (Norouzi, Punjani, Fleet,
// "Fast exact search in Hamming space with multi-index hashing", TPAMI 2014), or by looking at every row where that is
// faster.
#pragma once

#include <functional>
#include <optional>

#include "annkit/codec/bits.h"
#include "annkit/core/pool.h"
#include "annkit/index/hash_search.h"
#include "annkit/index/row_index.h"
#include "annkit/index/substring_tables.h"

namespace annkit {

class MultiIndexHash final : public RowIndex {
  public:
    explicit MultiIndexHash(const Codec& codec = Bits(), size_t tables = 0);  // 0: as many as suit the rows
    static std::unique_ptr<Index> load(const Reader& in);

    std::string_view kind() const override { return "multi_index_hash"; }
    void save(Writer& out) const override;
    std::string repr() const override;
    std::string factory() const override;
    size_t tables() const;  // 0 before there are any

    void fit(const Rows& rows, const Fit& fit) override;  // tables are learned from the rows that are added

    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) override;

  private:
    bool has_learned() const override { return codec_->is_fitted(); }
    void run(const Rows& queries, const TopK& empty, const Request& request, Take take) const override;
    void decode(std::span<const uint32_t> rows, std::byte* out) const override { decode_from(*codes_, rows, out); }
    void measure(std::vector<MemoryEntry>& entries) const override;
    bool is_view() const override { return codes_ && codes_->is_view(); }
    void keep(const std::vector<uint32_t>& live, Lock& lock, const Call& call) override;

    static size_t bits_of(size_t dim) { return (dim + 7) / 8 * 8; }
    size_t bits() const { return bits_of(dim_); }
    void check_codes(const Rows& rows) const;
    bool wants_tables(size_t rows) const;
    std::optional<SubstringTables> make_tables(const Codes& codes, size_t rows, const Call& call) const;
    void scan(const Rows& queries, const std::vector<uint32_t>& left, const TopK& empty,
              const std::vector<const Bitset*>& allowed, const Call& call, Take take) const;

    Bits bits_;  // compares the codes that codec_ makes
    size_t wanted_tables_;
    std::optional<Codes> codes_;  // from the first rows on, when the dimension is known
    std::optional<SubstringTables> tables_;
    mutable Pool<HashSearch> searches_;  // those of calls past, with what they have learned
};

}  // namespace annkit
