// Groups of product quantization in plain C++.
#pragma once

#include "annkit/simd/groups.h"

namespace annkit::simd {
namespace {

template <class V>
struct PlainChoice {
    struct Index {
        uint32_t v[V::kLanes];
    };
    static Index numbers(uint32_t i) {
        Index out;
        for (uint32_t& x : out.v) x = i;
        return out;
    }
    static Index next(Index i) {
        for (uint32_t& x : i.v) ++x;
        return i;
    }
    static void keep(typename V::Reg score, Index number, typename V::Reg& best, Index& index) {
        for (size_t i = 0; i < V::kLanes; ++i) {
            const bool less = score.v[i] < best.v[i];
            index.v[i] = less ? number.v[i] : index.v[i];
            best.v[i] = less ? score.v[i] : best.v[i];
        }
    }
    static void store(uint32_t* p, Index index) {
        for (size_t i = 0; i < V::kLanes; ++i) p[i] = index.v[i];
    }
};

}  // namespace
}  // namespace annkit::simd
