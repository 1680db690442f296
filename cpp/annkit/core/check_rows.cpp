#include "annkit/core/check_rows.h"

#include <algorithm>

namespace annkit {

void check_rows(const Rows& rows, std::string_view what, const Call& call) {
    if (!is_float(rows.dtype)) return;
    constexpr size_t kTask = 4096;
    Phase no_progress(call.monitor, 0, 0);
    parallel_blocks(rows.n, kTask, threads_for(call, double(rows.n) * double(rows.dim)),
                    {call.threads, no_progress.monitor()},
                    [&](size_t first, size_t count) { check_rows(rows.slice(first, count), what); });
}

void check_rows(const Rows& rows, std::string_view what) {
    constexpr size_t kBlock = 256;
    for (size_t first = 0; is_float(rows.dtype) && first < rows.n; first += kBlock)
        FloatBlock(rows.slice(first, std::min(kBlock, rows.n - first)), what);
}

}  // namespace annkit
