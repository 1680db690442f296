// Hashes of pictures: bits that change little where a picture changes little.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "annkit/core/parallel.h"
#include "annkit/image/picture.h"

namespace annkit {

class ImageHash {
  public:
    virtual ~ImageHash() = default;
    virtual size_t bits() const = 0;            // of a view
    virtual size_t views() const { return 1; }  // codes a picture
    virtual size_t height() const = 0;          // of the thumbnail it reads
    virtual size_t width() const { return height(); }
    // Packs its bits, the first one highest. aspect: the picture's width by its height.
    virtual void hash(const Thumbnail& thumbnail, double aspect, uint8_t* out) const = 0;
    size_t bytes() const { return (bits() + 7) / 8; }
};

// average, difference, perceptual, block, wavelet or radial, of size * size bits; copy, which has a size of its own.
std::unique_ptr<ImageHash> image_hash(std::string_view method, size_t size);

// views() codes a picture, side by side.
void hash_pictures(const ImageHash& hash, std::span<const Picture> pictures, uint8_t* out, const Call& call);

}  // namespace annkit
