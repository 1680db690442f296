#include "annkit/codec/near_finder.h"

#include <algorithm>
#include <bit>

namespace annkit {
namespace {

constexpr size_t kWord = simd::TileArgs::kWord;
constexpr size_t kMany = 3;

// The places of bits that are set. kAtOnce of each word are written without a branch, whether there are any or not.
template <size_t kAtOnce>
size_t places(std::span<const uint64_t> bits, size_t first, uint32_t* out) {
    size_t found = 0;
    for (uint64_t word : bits) {
        const auto take = [&] {
            out[found] = uint32_t(first + size_t(std::countr_zero(word)));
            found += word != 0;
            word &= word - 1;
        };
        for (size_t i = 0; i < kAtOnce; ++i) take();
        while (word != 0) take();
        first += kWord;
    }
    return found;
}

// A thread keeps it from search to search. It is half a megabyte, which a C library may give back to the system each
// time (see core/freed_memory.h): to have it mapped again takes longer than to scan thousands of rows.
TileScratch& sums_scratch() {
    static thread_local TileScratch scratch;
    return scratch;
}

}  // namespace

const uint16_t* NearFinder::sums(size_t lane) const { return sums_ + lane * simd::TileArgs::words(n_) * kWord; }

void NearFinder::find_sums(const simd::Tile& tile, simd::TileArgs args) {
    sums_scratch().reserve(tile.lanes * simd::TileArgs::words(args.n) * kWord * sizeof(uint16_t));
    rows_.resize(std::max(rows_.size(), args.n + kMany));
    sums_ = args.sums = reinterpret_cast<uint16_t*>(sums_scratch().bytes());
    tile.run(args);
    n_ = args.n;
}

std::span<uint32_t> NearFinder::within(size_t lane, uint16_t least, uint16_t most) {
    return {rows_.data(), simd::kernels().select16(sums(lane), n_, least, most, rows_.data())};
}

void NearFinder::find_near(const simd::Tile& tile, simd::TileArgs args) {
    bits_.reserve(tile.lanes * simd::TileArgs::words(args.n) * sizeof(uint64_t));
    rows_.resize(std::max(rows_.size(), args.n + kMany));
    args.near = reinterpret_cast<uint64_t*>(bits_.bytes());
    tile.run(args);
    first_ = args.first, n_ = args.n;
}

std::span<uint32_t> NearFinder::near(size_t lane, bool many) {
    const size_t words = simd::TileArgs::words(n_), before = first_ / kWord;
    const auto* bits = reinterpret_cast<const uint64_t*>(bits_.bytes()) + lane * words;
    const std::span of(bits + before, words - before);
    const size_t found =
        many ? places<kMany>(of, before * kWord, rows_.data()) : places<1>(of, before * kWord, rows_.data());
    return {rows_.data(), found};
}

}  // namespace annkit
