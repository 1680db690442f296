#include "annkit/index/list_rows.h"

#include <cstring>

namespace annkit {

ListRows::ListRows(const Codec& codec, Metric metric, const Rows& rows, std::string_view what, const Call& call,
                   std::span<const float> center)
    : inner_(rows, codec.wants_unit_rows(metric), what, center), rows_(inner_.rows()) {
    if (metric != Metric::hamming || rows.dtype == Dtype::bits) return;
    constexpr size_t kBlock = 256;
    const size_t bytes = codec.make_codes(rows.dim, {metric}).code_bytes();
    codes_.resize(rows.n * bytes);
    const int threads = threads_for(call, double(rows.n) * double(rows.dim));
    parallel_blocks(rows.n, kBlock, threads, call, [&](size_t first, size_t n) {
        const FloatBlock block(rows.slice(first, n), what);
        const Rows floats{reinterpret_cast<const std::byte*>(block.row(0)),
                          n,
                          rows.dim,
                          Dtype::f32,
                          ptrdiff_t(block.stride() * sizeof(float)),
                          sizeof(float),
                          rows.first + first};
        Codes codes = codec.make_codes(rows.dim, {metric});
        codes.reserve(n);
        codec.encode(floats, nullptr, codes, 0);
        for (size_t i = 0; i < n; ++i) std::memcpy(&codes_[(first + i) * bytes], codes.code(i), bytes);
    });
    rows_ = {reinterpret_cast<const std::byte*>(codes_.data()),
             rows.n,
             8 * bytes,
             Dtype::bits,
             ptrdiff_t(bytes),
             1,
             rows.first};
}

}  // namespace annkit
