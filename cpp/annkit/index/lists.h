// The lists of IVF: in each the codes of its rows, and which rows they are.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/index/index.h"

namespace annkit {

// Rows that come, by the list they go to.
struct Arrivals {
    Arrivals(std::span<const uint32_t> list_of, size_t lists);
    std::vector<uint32_t> order;  // the first list's rows, then the next one's
    std::vector<size_t> starts;   // in order, of each list; and the end
};

class Lists {
  public:
    // centroids: n * dim, or none where codes are not relative to them (use.residual). The codec must outlive the
    // lists.
    Lists(const Codec& codec, size_t n, size_t dim, const CodeUse& use, std::span<const float> centroids);

    size_t size() const { return lists_.size(); }
    size_t length(size_t list) const { return lists_[list].codes.n; }
    const std::vector<Partition>& partitions() const { return partitions_; }
    bool is_view() const { return view_; }

    // Codes rows. The row at place i of arrivals.order gets the number first_row + numbers[i], which rise in each list.
    // centroid writes that of a list, where codes are relative to it. unit, center: as InnerRows takes them. Nothing
    // counts before commit(); without it, drop() takes the places back.
    using Centroid = std::function<void(size_t list, float* out)>;
    void encode(const Rows& rows, const Arrivals& arrivals, std::span<const uint32_t> numbers, uint32_t first_row,
                bool unit, std::span<const float> center, const Centroid& centroid, const Call& call);
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
        RowNumbers rows;
        size_t coming = 0;
    };
    std::optional<Place> place(uint32_t row) const;
    bool find_few(std::span<const uint32_t> rows, std::span<Place> places) const;
    void encode_list(const Rows& rows, std::span<const uint32_t> order, size_t list, bool unit,
                     std::span<const float> center, const float* centroid, std::vector<std::byte>& scratch);
    void save_rows(Writer& out) const;
    void load_rows(const Reader& in, size_t rows);

    const Codec& codec_;
    size_t dim_;
    bool view_ = false;
    std::vector<List> lists_;
    std::vector<Partition> partitions_;
};

}  // namespace annkit
