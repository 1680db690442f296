// Flat: every search looks at every row. Exact for the codes it keeps.
#pragma once

#include <functional>
#include <optional>

#include "annkit/codec/codec.h"
#include "annkit/index/row_index.h"

namespace annkit {

class Flat final : public RowIndex {
  public:
    Flat(const Codec& codec, Metric metric);
    static std::unique_ptr<Index> load(const Reader& in);

    std::string_view kind() const override { return "flat"; }
    void save(Writer& out) const override;
    std::string repr() const override;
    std::string factory() const override;

    void fit(const Rows& rows, const Fit& fit) override {
        this->fit(rows, fit, [] {});
    }
    // last: what has to succeed too, once all else has that may fail. In add, searches go on meanwhile and see the
    // rows, unless some are replaced.
    void fit(const Rows& rows, const Fit& fit, const std::function<void()>& last);

    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) override {
        add(rows, ids, replace, call, [] {});
    }
    void add(const Rows& rows, const Ids& ids, bool replace, const Call& call, const std::function<void()>& last);
    // The k best by their own scores of a number of ids a query; -1 and ids that are not here are passed over.
    void rescore(const Rows& queries, std::span<const int64_t> ids, size_t k, const Call& call,
                 const Answer& out) const;
    // Has their codes travel to the caches; nothing where a change goes on. Rows that are not here are passed over.
    void fetch(std::span<const Hit> hits) const;
    // Of one query, all of the ids within the radius, nearest first, behind what answer holds.
    void rescore_within(const Rows& query, std::span<const int64_t> ids, float radius, RangeAnswer& answer) const;
    const Codec& codec() const { return *codec_; }
    void reserve(size_t rows) override;
    Undo undo() override;

  private:
    bool has_learned() const override { return codec_->is_fitted(); }
    void run(const Rows& queries, const TopK& empty, const Request& request, Take take) const override;
    void decode(std::span<const uint32_t> rows, std::byte* out) const override { decode_from(*codes_, rows, out); }
    void measure(std::vector<MemoryEntry>& entries) const override;
    bool is_view() const override { return codes_ && codes_->is_view(); }
    void keep(const std::vector<uint32_t>& live, Lock& lock, const Call& call) override;

    struct Before {
        IdTable::Mark members;
        size_t dim;
        bool coded;
    };
    Before before() const { return {members_.mark(), dim_, codes_.has_value()}; }
    void take_back(const Before& before);
    std::vector<uint32_t> rows_here(std::span<const int64_t> ids) const;  // those of the ids that are here
    void rescore(Scorer& scorer, std::span<const uint32_t> rows, TopK& top) const;
    void fetch(uint32_t row) const;
    TieOrder tie_order() const { return {members_.ids().order().ids, true}; }

    std::optional<Codes> codes_;  // from the first rows on, when the dimension is known
};

}  // namespace annkit
