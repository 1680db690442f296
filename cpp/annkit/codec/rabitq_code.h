// How RaBitQ turns one vector into levels: Gao and Long, RaBitQ (SIGMOD 2024), for one bit a dimension; Gao et al.,
// Practical and asymptotically optimal quantization of high-dimensional vectors (SIGMOD 2025), for more.
//
// The levels v of a vector r stand for the direction of u = v - (2^bits - 1) / 2. The factor f = |r|^2 / <r, u> makes
// f <u, q> an unbiased estimate of <r, q> when r and q have been rotated at random.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace annkit {

inline constexpr size_t kMaxRabitqBits = 8;

struct RabitqFactors {
    float sign_rescale = 0;  // f of the signs alone, where u is -1/2 or 1/2
    float rescale = 0;       // f of all bits
    float sign_error = 0;    // |f u of the signs - f u of all bits|
};

// Finds levels; it owns its scratch, so one a thread.
class RabitqCoder {
  public:
    RabitqCoder(size_t bits, size_t dim);  // dim is a multiple of 8

    // levels: dim of them. The top bit of a level says that the entry is not negative.
    RabitqFactors code(const float* r, uint8_t* levels);

  private:
    struct Sums {
        float dot = 0, norm2 = 0;  // of |u| with |r|, and of u with itself
        float cosine2() const { return dot / norm2 * dot; }
    };
    Sums sums(float scale) const;
    float best_scale(float largest) const;

    size_t bits_, dim_;
    float top_;  // the largest level of a magnitude
    std::vector<float> magnitudes_;
};

// What a decoded vector is shortened by, so that it is the nearest one on average: the expected squared cosine between
// a vector of normal entries and its code.
float rabitq_shrink(size_t bits);

// The levels' bit `plane` (0: the lowest) of dim dimensions as dim / 8 bytes, dimension 8 i + j in bit j of byte i.
void pack_plane(const uint8_t* levels, size_t dim, size_t plane, uint8_t* out);
void unpack_plane(const uint8_t* bits, size_t dim, size_t plane, uint8_t* levels);  // adds the bit to the levels

}  // namespace annkit
