#include "annkit/image/image_hash.h"

#include "annkit/core/errors.h"
#include "annkit/image/copy_hash.h"
#include "annkit/image/plain_hashes.h"

namespace annkit {

std::unique_ptr<ImageHash> image_hash(std::string_view method, size_t size) {
    if (method == "copy") return std::make_unique<CopyHash>();
    constexpr size_t kMost = 64, kMostRadial = 12;  // the radial hash has 179 frequencies
    const size_t most = method == "radial" ? kMostRadial : kMost;
    check(size >= 2 && size <= most, "size is ", size, ", method ", method, " expects 2 to ", most);
    if (method == "average") return std::make_unique<AverageHash>(size);
    if (method == "difference") return std::make_unique<DifferenceHash>(size);
    if (method == "perceptual") return std::make_unique<PerceptualHash>(size);
    if (method == "block") return std::make_unique<BlockHash>(size, true);
    if (method == "wavelet") return std::make_unique<BlockHash>(size, false);
    if (method == "radial") return std::make_unique<RadialHash>(size);
    fail("method is ", method, ", expected copy, average, difference, perceptual, block, wavelet or radial");
}

void hash_pictures(const ImageHash& hash, std::span<const Picture> pictures, uint8_t* out, const Call& call) {
    double pixels = 0;
    for (const Picture& picture : pictures) pixels += double(picture.height) * double(picture.width);
    // Beside its pixels, a picture costs about as much as the transforms of its views.
    const double work = 4 * pixels + 2e4 * double(hash.views()) * double(pictures.size());
    parallel_calls(pictures.size(), 1, threads_for(call, work), call, [&](size_t i, size_t, const Call& part) {
        const Picture& picture = pictures[i];
        const Thumbnail thumbnail = shrink(picture, hash.height(), hash.width(), part);
        hash.hash(thumbnail, double(picture.width) / double(picture.height), out + i * hash.views() * hash.bytes());
    });
}

}  // namespace annkit
