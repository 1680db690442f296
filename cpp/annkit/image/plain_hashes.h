// The hashes of one view that compare values with their mean, median or neighbour.
#pragma once

#include <vector>

#include "annkit/image/image_hash.h"

namespace annkit {

// Values beyond their mean: "aHash" (Krawetz 2011).
class AverageHash final : public ImageHash {
  public:
    explicit AverageHash(size_t size) : size_(size) {}
    size_t bits() const override { return size_ * size_; }
    size_t height() const override { return size_; }
    void hash(const Thumbnail& thumbnail, double aspect, uint8_t* out) const override;

  private:
    size_t size_;
};

// Values beyond their left neighbour: "dHash" (Krawetz 2013).
class DifferenceHash final : public ImageHash {
  public:
    explicit DifferenceHash(size_t size) : size_(size) {}
    size_t bits() const override { return size_ * size_; }
    size_t height() const override { return size_; }
    size_t width() const override { return size_ + 1; }
    void hash(const Thumbnail& thumbnail, double aspect, uint8_t* out) const override;

  private:
    size_t size_;
};

// Means of blocks beside their median: Yang, Gu and Niu, "Block mean value based image perceptual hashing" (2006),
// whose bit is set at the median; the wavelet hash keeps the Haar approximation, which is the same means up to a
// factor, and sets it beyond the median only.
class BlockHash final : public ImageHash {
  public:
    BlockHash(size_t size, bool at_median) : size_(size), at_median_(at_median) {}
    size_t bits() const override { return size_ * size_; }
    size_t height() const override { return size_; }
    void hash(const Thumbnail& thumbnail, double aspect, uint8_t* out) const override;

  private:
    size_t size_;
    bool at_median_;
};

// Low frequencies of a cosine transform beyond their median: "pHash" (Krawetz 2011).
class PerceptualHash final : public ImageHash {
  public:
    explicit PerceptualHash(size_t size);
    size_t bits() const override { return size_ * size_; }
    size_t height() const override { return kFactor * size_; }
    void hash(const Thumbnail& thumbnail, double aspect, uint8_t* out) const override;

  private:
    static constexpr size_t kFactor = 4;  // values a side for each frequency
    size_t size_;
    std::vector<double> cosines_;  // size_ x height()
};

// Signs of the cosine transform of the variances along 180 lines through the centre: De Roover, De Vleeschouwer,
// Lefebvre and Macq, "Robust image hashing based on radial variance of pixels" (2005), of which this keeps the signs.
class RadialHash final : public ImageHash {
  public:
    explicit RadialHash(size_t size);
    size_t bits() const override { return size_ * size_; }
    size_t height() const override { return kSide; }
    void hash(const Thumbnail& thumbnail, double aspect, uint8_t* out) const override;

    static constexpr size_t kAngles = 180, kSide = 128;

  private:
    size_t size_;
    std::vector<double> cosines_;   // bits() x kAngles, from frequency 1 on
    std::vector<uint16_t> places_;  // kAngles x (kSide - 1): which values lie on a line
};

}  // namespace annkit
