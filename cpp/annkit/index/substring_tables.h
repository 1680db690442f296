// The tables of multi-index hashing: for each substring, the rows of codes by the value that it has there.
#pragma once

#include <memory>
#include <span>

#include "annkit/core/memory.h"
#include "annkit/core/parallel.h"
#include "annkit/index/substrings.h"
#include "annkit/simd/kernels.h"

namespace annkit {

class Reader;
class Writer;

// A value's rows lie side by side, rising, with a sketch of each one's other bits beside them: few codes have to be
// looked at themselves. Values address the rows directly.
class SubstringTables {
  public:
    // As many tables as make substrings of about log2(rows) bits (section 3.2 of the paper).
    static size_t tables_for(size_t bits, size_t rows);

    SubstringTables(const Codes& codes, size_t rows, Substrings parts, const Call& call);
    static SubstringTables load(const Reader& in, size_t bits, size_t most_rows);
    void save(Writer& out) const;

    const Substrings& parts() const { return parts_; }
    size_t rows() const { return rows_; }  // the first ones of the codes
    bool is_view() const { return owner_ != nullptr; }
    size_t nbytes() const;

    const uint32_t* starts(size_t table) const { return starts_.data() + first_[table]; }  // of values; and the end
    const uint32_t* sketches(size_t table) const { return sketches_.data() + table * rows_; }
    const uint32_t* members(size_t table) const { return members_.data() + table * rows_; }

  private:
    SubstringTables(Substrings parts, size_t rows);
    size_t values() const { return first_.back(); }
    void fill(const Codes& codes, const Call& call);

    Substrings parts_;
    size_t rows_;
    std::vector<size_t> first_;  // of each table's starts, in starts_
    Buffer memory_;              // unless mapped
    std::span<const uint32_t> starts_, sketches_, members_;
    std::shared_ptr<const void> owner_;
};

}  // namespace annkit
