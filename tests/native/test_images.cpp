// Hashes of pictures of many shapes, with pixels at the end of their memory, for the sanitizers.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "annkit/core/errors.h"
#include "annkit/image/image_hash.h"
#include "checks.h"

using namespace annkit;

namespace {

// Pixels in memory of their own, so that a read beyond them is seen.
struct Owned {
    std::vector<uint8_t> pixels;
    size_t height, width, channels;
    Picture picture() const { return {pixels.data(), height, width, channels}; }
};

std::vector<Owned> pictures(std::mt19937& random) {
    std::vector<Owned> made;
    for (size_t height : {1, 2, 7, 63, 64, 65, 200})
        for (size_t width : {1, 3, 64, 131})
            for (size_t channels : {1, 3}) {
                Owned one{std::vector<uint8_t>(height * width * channels), height, width, channels};
                for (uint8_t& value : one.pixels) value = uint8_t(random());
                made.push_back(std::move(one));
            }
    return made;
}

void every_shape_has_the_same_codes_in_any_batch(const std::string& method, size_t size, std::mt19937& random) {
    const auto hash = image_hash(method, size);
    const std::vector<Owned> owned = pictures(random);
    std::vector<Picture> views;
    for (const Owned& one : owned) views.push_back(one.picture());
    const size_t each = hash->views() * hash->bytes();
    std::vector<uint8_t> together(views.size() * each), alone(each);
    hash_pictures(*hash, views, together.data(), {1, nullptr});
    for (size_t i = 0; i < views.size(); ++i) {
        hash_pictures(*hash, {&views[i], 1}, alone.data(), {1, nullptr});
        checks::expect(std::equal(alone.begin(), alone.end(), together.begin() + std::ptrdiff_t(i * each)),
                       method + " of picture " + std::to_string(i));
    }
}

void thumbnails_keep_the_mean() {
    std::mt19937 random(1);
    for (const Owned& one : pictures(random)) {
        if (one.channels != 1) continue;
        const Thumbnail small = shrink(one.picture(), 13, 8, {1, nullptr});
        double mean = 0, wanted = 0;
        for (const float value : small.values) mean += value / double(small.values.size());
        for (const uint8_t value : one.pixels) wanted += value / double(one.pixels.size());
        checks::expect(std::abs(mean - wanted) < 1e-4, "the mean of a thumbnail");
    }
}

}  // namespace

int main() {
    std::mt19937 random(0);
    for (const char* method : {"copy", "average", "difference", "perceptual", "block", "wavelet", "radial"})
        for (size_t size : {2, 7, 8, 12}) every_shape_has_the_same_codes_in_any_batch(method, size, random);
    thumbnails_keep_the_mean();
    checks::expect_throw<ValueError>([] { image_hash("radial", 13); }, "a size too large", "expects 2 to 12");
    checks::expect_throw<ValueError>([] { image_hash("md5", 8); }, "an unknown method", "expected copy");
    return checks::summary("images");
}
