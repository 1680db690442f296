// Rows as the lists of an IVF take them: floats scaled to length one for cosine; for hamming as the bits of their
// codes.
#pragma once

#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/index/unit_rows.h"

namespace annkit {

class ListRows {
  public:
    // center: what is taken from rows, or nothing.
    ListRows(const Codec& codec, Metric metric, const Rows& rows, std::string_view what, const Call& call,
             std::span<const float> center = {});
    const Rows& rows() const { return rows_; }

  private:
    InnerRows inner_;
    std::vector<uint8_t> codes_;
    Rows rows_;
};

}  // namespace annkit
