// The lists of IVF: in each the codes of its rows, and which rows they are.
#pragma once

#include <span>
#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/index/index.h"

namespace annkit {

class Lists {
  public:
    // centroids: n * dim, or none where codes are not relative to them (use.residual); they and the codec must outlive
    // the lists.
    Lists(const Codec& codec, size_t n, size_t dim, const CodeUse& use, std::span<const float> centroids);

    size_t size() const { return lists_.size(); }
    size_t length(size_t list) const { return lists_[list].codes.n; }
    const std::vector<Partition>& partitions() const { return partitions_; }
    bool is_view() const { return view_; }

    // Codes rows, which go to list_of, in order; rows of the same number lie one after the other from first_row on.
    // Nothing counts before commit(); without it, drop() takes the places back.
    void encode(const Rows& rows, std::span<const uint32_t> list_of, uint32_t first_row, bool unit, const Call& call);
    void commit();
    void drop();
    void truncate(size_t rows);  // leaves the first ones

    void keep(const std::vector<uint32_t>& live);  // row i becomes what live[i] was; as it was if it throws
    // Where rows lie; list UINT32_MAX for a row that is not there.
    struct Place {
        uint32_t list = UINT32_MAX, position = 0;
    };
    std::vector<Place> places(std::span<const uint32_t> rows) const;

    void memory(std::vector<MemoryEntry>& entries) const;
    void save(Writer& out) const;
    void load(const Reader& in, size_t rows);  // into lists that are empty

  private:
    struct List {
        Codes codes;
        Column rows;
        size_t coming = 0;
    };
    void encode_list(const Rows& rows, std::span<const uint32_t> order, size_t list, uint32_t first_row, bool unit,
                     std::vector<std::byte>& scratch);

    const Codec& codec_;
    size_t dim_;
    bool view_ = false;
    std::vector<List> lists_;
    std::vector<Partition> partitions_;
};

}  // namespace annkit
