// A hash for finding edited copies: the signs of a picture's low frequencies, as a whole in its eight orientations and
// of its parts. A copy's whole is near a part of the original where it was cropped, the other way round where it has a
// border.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "annkit/image/image_hash.h"
#include "annkit/math/product.h"

namespace annkit {

class CopyHash final : public ImageHash {
  public:
    CopyHash();
    static constexpr size_t kBits = 128, kOrientations = 8;
    size_t bits() const override { return kBits; }
    // The whole, upright, then its seven other orientations; then the parts, upright.
    size_t views() const override { return kOrientations + parts_.size() + kTurns; }
    size_t height() const override { return kSide; }
    void hash(const Thumbnail& thumbnail, double aspect, uint8_t* out) const override;

  private:
    static constexpr size_t kSide = 64, kTurns = 4;
    static constexpr size_t kFrequencies = 13;  // a side; enough for the 128 lowest
    struct Stretch {                            // shares of a side
        double from, to;
    };
    struct Part {
        size_t down, across;  // stretches
    };
    size_t stretch(double from, double to);
    std::vector<float> transform(std::span<const float> values, const PackedMatrix& cosines) const;
    // frequencies: value (u, v) at u + v * stride
    void write(const float* frequencies, size_t stride, unsigned orientation, uint8_t* out) const;

    std::vector<std::pair<size_t, size_t>> lowest_;
    std::vector<Stretch> stretches_;  // the first is the whole side
    std::vector<Part> parts_;
    std::vector<float> cosines_;  // of each stretch kFrequencies rows of kSide: the cosine transform of what lies in it
    PackedMatrix of_all_, of_whole_;
};

}  // namespace annkit
