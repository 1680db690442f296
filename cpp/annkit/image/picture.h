// Pictures as they come, and the gray thumbnails that hashes are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "annkit/core/parallel.h"

namespace annkit {

// Rows of pixels side by side, of one byte (gray) or three (red, green, blue).
struct Picture {
    const uint8_t* pixels;
    size_t height, width, channels;
};

// Gray values from 0 to 255, row by row.
struct Thumbnail {
    size_t height, width;
    std::vector<float> values;
    float at(size_t y, size_t x) const { return values[y * width + x]; }
};

// Each value is the mean of the area that it covers; gray is ITU-R 601 luma as Pillow rounds it. Large pictures poll.
Thumbnail shrink(const Picture& picture, size_t height, size_t width, const Call& call);

}  // namespace annkit
