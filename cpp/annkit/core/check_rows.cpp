#include "annkit/core/check_rows.h"

#include <algorithm>

namespace annkit {

void check_rows(const Rows& rows, std::string_view what, const Call& call) {
    if (!is_float(rows.dtype)) return;
    constexpr size_t kBlock = 256, kTask = 4096;
    Phase no_progress(call.monitor, 0, 0);
    parallel_blocks(rows.n, kTask, threads_for(call, double(rows.n) * double(rows.dim)),
                    {call.threads, no_progress.monitor()}, [&](size_t from, size_t count) {
                        for (size_t first = from; first < from + count; first += kBlock)
                            FloatBlock(rows.slice(first, std::min(kBlock, from + count - first)), what);
                    });
}

}  // namespace annkit
