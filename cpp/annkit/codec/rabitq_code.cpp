#include "annkit/codec/rabitq_code.h"

#include <algorithm>
#include <cmath>

namespace annkit {
namespace {

constexpr size_t kLanes = 8;

// Squared cosines of normal entries with the best uniform quantizer of so many bits (Max, Quantizing for minimum
// distortion, 1960: one minus the distortion).
constexpr float kShrink[kMaxRabitqBits] = {0.6366f,  0.8812f,  0.9626f,   0.98846f,
                                           0.99651f, 0.99896f, 0.999696f, 0.999912f};

// The search for the scale: steps of a tenth from where no entry is clipped, then finer steps around the best.
constexpr float kStep = 1.1f;
constexpr int kBefore = 2, kMost = 60, kPatience = 6, kFine = 8;

}  // namespace

float rabitq_shrink(size_t bits) { return kShrink[bits - 1]; }

RabitqCoder::RabitqCoder(size_t bits, size_t dim)
    : bits_(bits), dim_(dim), top_(float((1u << (bits - 1)) - 1)), magnitudes_(dim) {}

RabitqCoder::Sums RabitqCoder::sums(float scale) const {
    float dot[kLanes] = {}, norm2[kLanes] = {};
    for (size_t j = 0; j < dim_; j += kLanes)
        for (size_t l = 0; l < kLanes; ++l) {
            const float a = magnitudes_[j + l];
            const float u = float(int(std::min(a * scale, top_))) + 0.5f;
            dot[l] += a * u;
            norm2[l] += u * u;
        }
    Sums sum;
    for (size_t l = 0; l < kLanes; ++l) {
        sum.dot += dot[l];
        sum.norm2 += norm2[l];
    }
    return sum;
}

// The levels of the best code are those of rounding at one scale. The paper visits every scale at which a level
// changes; the cosine is so flat around its best that a geometric search finds it to within a part in a thousand.
float RabitqCoder::best_scale(float largest) const {
    const float start = (top_ + 1) / largest;
    float best = start, most = 0;
    const auto visit = [&](float scale) {
        const float cosine2 = sums(scale).cosine2();
        if (cosine2 <= most) return false;
        most = cosine2;
        best = scale;
        return true;
    };
    float scale = start / (kStep * kStep);
    for (int i = -kBefore, since = 0; i < kMost && since < kPatience; ++i, scale *= kStep)
        since = visit(scale) || i <= 0 ? 0 : since + 1;
    const float centre = best;
    for (int i = 1; i <= kFine; ++i) {
        const float ratio = 1 + (kStep - 1) * float(i) / (kFine + 1);
        visit(centre * ratio);
        visit(centre / ratio);
    }
    return best;
}

RabitqFactors RabitqCoder::code(const float* r, uint8_t* levels) {
    float largest = 0;
    for (size_t j = 0; j < dim_; ++j) largest = std::max(largest, magnitudes_[j] = std::abs(r[j]));
    const int half = 1 << (bits_ - 1);
    // Entries so small that the scale would overflow are as good as zero.
    const float scale = bits_ > 1 && largest > 1e-30f ? best_scale(largest) : 0.0f;
    double norm2 = 0, sum = 0, dot = 0, u_norm2 = 0, u_sum = 0;
    for (size_t j = 0; j < dim_; ++j) {
        const int level = int(std::min(magnitudes_[j] * scale, top_));
        const double a = magnitudes_[j], u = level + 0.5;
        levels[j] = uint8_t(r[j] >= 0 ? half + level : half - 1 - level);
        norm2 += a * a;
        sum += a;
        dot += a * u;
        u_norm2 += u * u;
        u_sum += u;
    }
    if (sum <= 0) return {};
    const double f1 = norm2 / (0.5 * sum), f = norm2 / dot;
    const double error2 = f1 * f1 * 0.25 * double(dim_) - f1 * f * u_sum + f * f * u_norm2;
    return {float(f1), float(f), float(std::sqrt(std::max(error2, 0.0)))};
}

void pack_plane(const uint8_t* levels, size_t dim, size_t plane, uint8_t* out) {
    for (size_t i = 0; i < dim / 8; ++i) {
        unsigned byte = 0;
        for (size_t j = 0; j < 8; ++j) byte |= (levels[8 * i + j] >> plane & 1u) << j;
        out[i] = uint8_t(byte);
    }
}

void unpack_plane(const uint8_t* bits, size_t dim, size_t plane, uint8_t* levels) {
    for (size_t j = 0; j < dim; ++j) levels[j] = uint8_t(levels[j] | (bits[j / 8] >> j % 8 & 1u) << plane);
}

}  // namespace annkit
