// Packs bits into bytes, the first one highest, as numpy.packbits does.
#pragma once

#include <cstddef>
#include <cstdint>

namespace annkit {

class BitWriter {
  public:
    explicit BitWriter(uint8_t* out) : out_(out) {}
    void put(bool bit) {
        if (at_ % 8 == 0) out_[at_ / 8] = 0;
        if (bit) out_[at_ / 8] |= uint8_t(0x80 >> at_ % 8);
        ++at_;
    }

  private:
    uint8_t* out_;
    size_t at_ = 0;
};

}  // namespace annkit
