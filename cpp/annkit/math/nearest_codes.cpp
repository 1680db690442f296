#include "annkit/math/nearest_codes.h"

#include <algorithm>

#include "annkit/math/smallest.h"
#include "annkit/simd/kernels.h"

namespace annkit {

Rows NearestCodes::rows() const {
    return {reinterpret_cast<const std::byte*>(codes_.data()), size(), 8 * bytes_, Dtype::bits, ptrdiff_t(bytes_), 1};
}

void NearestCodes::find(const Rows& queries, size_t count, const Call& call, uint32_t* numbers,
                        float* distances) const {
    constexpr size_t kQueries = 64;  // of a task
    const double work = double(queries.n) * double(size()) * (double(bytes_) + 16) / 16;
    parallel_blocks(queries.n, kQueries, threads_for(call, work), call, [&](size_t first, size_t n) {
        std::vector<float> all(size());
        std::vector<uint8_t> query(bytes_);
        Smallest smallest;
        for (size_t i = first; i < first + n; ++i) {
            copy_bytes(queries, i, query.data());
            simd::kernels().hamming_scan(query.data(), codes_.data(), bytes_, size(), all.data());
            const uint32_t* near = smallest.of(all.data(), size(), count);
            std::copy_n(near, count, numbers + i * count);
            for (size_t j = 0; distances != nullptr && j < count; ++j) distances[i * count + j] = all[near[j]];
        }
    });
}

}  // namespace annkit
