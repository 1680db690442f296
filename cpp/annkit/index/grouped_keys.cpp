#include "annkit/index/grouped_keys.h"

#include <algorithm>
#include <bit>

namespace annkit {

void GroupedKeys::start(size_t n) {
    // Parts of some 200 entries, which sorting keeps in the first cache.
    shift_ = 64 - unsigned(std::clamp<int>(int(std::bit_width(n / 128)), 1, 14));
    chunks_ = (n + kChunk - 1) / kChunk;
    keys_.resize(n);
    entries_.resize(n);
    counts_.assign(chunks_ * parts(), 0);
}

void GroupedKeys::place() {
    starts_.assign(parts() + 1, 0);
    uint32_t at = 0;
    for (size_t part = 0; part < parts(); ++part) {
        starts_[part] = at;
        for (size_t chunk = 0; chunk < chunks_; ++chunk) {
            const uint32_t count = counts_[chunk * parts() + part];
            counts_[chunk * parts() + part] = at;
            at += count;
        }
    }
    starts_.back() = at;
}

void GroupedKeys::sort_parts(int threads, const Call& call) {
    parallel_blocks(parts(), 64, threads, call, [&](size_t first, size_t count) {
        for (size_t part = first; part < first + count; ++part) {
            const auto begin = entries_.begin() + starts_[part], end = entries_.begin() + starts_[part + 1];
            std::sort(begin, end, [](const Entry& a, const Entry& b) {
                return a.key != b.key ? a.key < b.key : a.number < b.number;
            });
            for (auto i = begin; i != end;) {
                auto last = i;
                while (last != end && last->key == i->key) ++last;
                for (; i != last; ++i) i->end = uint32_t(last - entries_.begin());
            }
        }
    });
}

}  // namespace annkit
