// Hamming distances, AVX-512 (VPOPCNTDQ). Bottleneck: see below.
#pragma once

#include <immintrin.h>

#include "annkit/simd/hamming_planes.h"

namespace annkit::simd {
namespace {

struct Planes512 {
    using Reg [[gnu::vector_size(64), gnu::may_alias]] = uint64_t;
    static Reg sum(Reg a, Reg b, Reg c) { return Reg(_mm512_ternarylogic_epi64(__m512i(a), __m512i(b), __m512i(c), 0x96)); }
    static Reg majority(Reg a, Reg b, Reg c) { return Reg(_mm512_ternarylogic_epi64(__m512i(a), __m512i(b), __m512i(c), 0xe8)); }
    static Reg select(Reg mask, Reg a, Reg b) { return Reg(_mm512_ternarylogic_epi64(__m512i(mask), __m512i(a), __m512i(b), 0xca)); }
    static bool all_set(Reg a) { return _mm512_cmpneq_epi64_mask(__m512i(a), _mm512_set1_epi64(-1)) == 0; }
};

// Codes in contiguous memory, eight at a time: one register a code (or 64 bytes of it), then sums across registers.
class Scan512 {
  public:
    static void scan(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out) {
        switch (bytes) {
            case 8: return run(Scan8{repeat<8>(query)}, query, codes, 8, n, out);
            case 16: return run(Scan16{repeat<16>(query)}, query, codes, 16, n, out);
            case 32: return run(Scan32{repeat<32>(query)}, query, codes, 32, n, out);
            case 64: return run(ScanAny<64>{query, 64}, query, codes, 64, n, out);
            case 128: return run(ScanAny<128>{query, 128}, query, codes, 128, n, out);
            default: return run(ScanAny<0>{query, bytes}, query, codes, bytes, n, out);
        }
    }

  private:
    using Words = Planes512::Reg;

    template <size_t kBytes>
    static Words repeat(const uint8_t* query) {
        uint64_t words[8];
        for (size_t i = 0; i < 8; ++i) words[i] = load_bits(query, kBytes, i % (kBytes / 8));
        return Words(_mm512_loadu_si512(words));
    }
    static Words count(Words bits) { return Words(_mm512_popcnt_epi64(__m512i(bits))); }
    static Words count(Words query, const uint8_t* p) { return count(query ^ Words(_mm512_loadu_si512(p))); }
    // Sums of neighbours: of a in the even places, of b in the odd ones.
    static Words pairs(Words a, Words b) {
        return __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14) +
               __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
    }
    // The same, two words wide: of a in the lower half, of b in the upper one.
    static Words quads(Words a, Words b) {
        return __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13) +
               __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
    }
    static __m256 floats(Words sums) { return _mm512_maskz_cvtepi64_ps(0xff, __m512i(sums)); }

    struct Scan8 {
        Words query;
        __m256 eight(const uint8_t* p, size_t) const { return floats(count(query, p)); }
    };
    struct Scan16 {
        Words query;
        __m256 eight(const uint8_t* p, size_t) const {
            const __m256 sums = floats(pairs(count(query, p), count(query, p + 64)));
            return _mm256_permutevar8x32_ps(sums, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
        }
    };
    struct Scan32 {
        Words query;
        __m256 eight(const uint8_t* p, size_t) const {
            const Words a = pairs(count(query, p), count(query, p + 64));
            const Words b = pairs(count(query, p + 128), count(query, p + 192));
            return _mm256_permutevar8x32_ps(floats(quads(a, b)), _mm256_setr_epi32(0, 2, 1, 3, 4, 6, 5, 7));
        }
    };
    template <size_t kBytes>  // 0: any
    struct ScanAny {
        const uint8_t* query;
        size_t width;
        [[gnu::always_inline]] __m256 eight(const uint8_t* p, size_t n) const {
            const size_t bytes = kBytes == 0 ? width : kBytes;
            Words sums[8] = {};
            for (size_t at = 0; at < bytes; at += 64) {
                const __mmask64 mask = bytes - at >= 64 ? ~uint64_t(0) : (uint64_t(1) << (bytes - at)) - 1;
                const Words q = Words(_mm512_maskz_loadu_epi8(mask, query + at));
                for (size_t i = 0; i < 8; ++i)
                    sums[i] += count(q ^ Words(_mm512_maskz_loadu_epi8(i < n ? mask : 0, p + i * bytes + at)));
            }
            const Words a = quads(pairs(sums[0], sums[1]), pairs(sums[2], sums[3]));
            const Words b = quads(pairs(sums[4], sums[5]), pairs(sums[6], sums[7]));
            return floats(quads(a, b));
        }
    };

    template <class Scan>
    static void run(Scan scan, const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out) {
        size_t i = 0;
        for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, scan.eight(codes + i * bytes, 8));
        if (i == n) return;
        const __m256 last = ScanAny<0>{query, bytes}.eight(codes + i * bytes, n - i);
        _mm256_mask_storeu_ps(out + i, __mmask8((1u << (n - i)) - 1), last);
    }
};

void fill_hamming(Kernels& k) {
    k.hamming_scan = scan_codes<Scan512::scan>;
    k.hamming_tiles = {HammingPlanes<Planes512>::tile(), HammingPlanes<Planes512>::tile()};
}

}  // namespace
}  // namespace annkit::simd
