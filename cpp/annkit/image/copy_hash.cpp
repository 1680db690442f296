#include "annkit/image/copy_hash.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "annkit/image/bit_writer.h"

namespace annkit {
namespace {

// Gray levels. What rounding leaves of pictures without contrast is less.
constexpr float kSilent = 1e-3f;

// What a whole picture shows once it is turned by a few degrees: where in it, from -1/2 to 1/2, a turned frame's place
// lies.
struct Turn {
    Turn(double degrees, double aspect, bool enlarged) {
        const double radians = degrees * std::numbers::pi / 180, c = std::cos(radians), s = std::sin(radians);
        double width = aspect, height = 1;
        if (enlarged) {  // the picture is the box around a turned one: of these sides
            const double slope = std::abs(s), both = c * c - s * s;
            width = std::max((aspect * c - slope) / both, 0.5 * aspect);
            height = std::max((c - aspect * slope) / both, 0.5);
        }
        xx = c * width / aspect;
        xy = -s * height / aspect;
        yx = s * width;
        yy = c * height;
    }
    double xx, xy, yx, yy;
};

// Between the four nearest values; what lies outside is as at the border.
std::vector<float> turned(const Thumbnail& from, const Turn& turn) {
    const size_t n = from.width;
    std::vector<float> out(n * n);
    const float last = float(n - 1);
    for (size_t row = 0; row < n; ++row)
        for (size_t column = 0; column < n; ++column) {
            const double p = (double(column) + 0.5) / double(n) - 0.5, q = (double(row) + 0.5) / double(n) - 0.5;
            const float x = std::clamp(float((turn.xx * p + turn.xy * q + 0.5) * double(n) - 0.5), 0.0f, last);
            const float y = std::clamp(float((turn.yx * p + turn.yy * q + 0.5) * double(n) - 0.5), 0.0f, last);
            const size_t left = size_t(x), top = size_t(y);
            const size_t right = std::min(left + 1, n - 1), bottom = std::min(top + 1, n - 1);
            const float dx = x - float(left), dy = y - float(top);
            const float above = from.at(top, left) + dx * (from.at(top, right) - from.at(top, left));
            const float below = from.at(bottom, left) + dx * (from.at(bottom, right) - from.at(bottom, left));
            out[row * n + column] = above + dy * (below - above);
        }
    return out;
}

}  // namespace

CopyHash::CopyHash() {
    for (size_t u = 0; u < kFrequencies; ++u)
        for (size_t v = 0; v < kFrequencies; ++v)
            if (u + v > 0) lowest_.emplace_back(u, v);
    // The first 128 hold (v, u) with (u, v): turning by 90 degrees exchanges those.
    std::sort(lowest_.begin(), lowest_.end(), [](auto a, auto b) {
        const auto key = [](auto f) {
            const size_t apart = f.first > f.second ? f.first - f.second : f.second - f.first;
            return std::array{f.first * f.first + f.second * f.second, apart, f.first};
        };
        return key(a) < key(b);
    });
    lowest_.resize(kBits);
    stretch(0, 1);
    // Crops that keep nine tenths and eight tenths of each side, wherever; less, from the middle; and what a caption
    // that was put above or below leaves.
    struct Crops {
        double share;
        int steps;
    };
    for (const Crops& crops : {Crops{0.9, 3}, {0.8, 5}, {0.7, 1}, {0.6, 1}})
        for (int down = 0; down < crops.steps; ++down)
            for (int across = 0; across < crops.steps; ++across) {
                const auto start = [&](int i) {
                    return (1 - crops.share) * (crops.steps > 1 ? double(i) / (crops.steps - 1) : 0.5);
                };
                const size_t rows = stretch(start(down), start(down) + crops.share);
                parts_.push_back({rows, stretch(start(across), start(across) + crops.share)});
            }
    constexpr double kCaption = 0.13;
    parts_.push_back({stretch(0, 1 - kCaption), 0});
    parts_.push_back({stretch(kCaption, 1), 0});
    of_all_ = PackedMatrix::of(cosines_.data(), stretches_.size() * kFrequencies, kSide);
    of_whole_ = PackedMatrix::of(cosines_.data(), kFrequencies, kSide);
}

size_t CopyHash::stretch(double from, double to) {
    constexpr double kSame = 1e-9;
    for (size_t i = 0; i < stretches_.size(); ++i)
        if (std::abs(stretches_[i].from - from) < kSame && std::abs(stretches_[i].to - to) < kSame) return i;
    stretches_.push_back({from, to});
    const double length = to - from;
    for (size_t u = 0; u < kFrequencies; ++u) {
        const double rate = std::numbers::pi * double(u);
        // The integral of the cosine up to a place; a value's share is that over what of it lies inside.
        const auto integral = [&](double x) {
            const double place = (std::clamp(x, from, to) - from) / length;
            return u == 0 ? place : std::sin(rate * place) / rate;
        };
        for (size_t i = 0; i < kSide; ++i)
            cosines_.push_back(float(integral(double(i + 1) / kSide) - integral(double(i) / kSide)));
    }
    return stretches_.size() - 1;
}

// Both ways, of all pairs of the stretches in `cosines`, which are the first of cosines_: a row for each frequency
// across, where the frequencies down lie side by side.
std::vector<float> CopyHash::transform(std::span<const float> values, const PackedMatrix& cosines) const {
    const size_t rows = cosines.outputs();
    std::vector<float> across(rows * kSide), out(rows * rows);
    PackedMatrix::of(values.data(), kSide, kSide).multiply(cosines_.data(), kSide, rows, across.data(), kSide);
    cosines.multiply(across.data(), kSide, rows, out.data(), rows);
    return out;
}

// Bit 0 of the orientation mirrors left and right, bit 1 top and bottom, bit 2 exchanges rows and columns first: that
// changes the signs of odd frequencies, or their places.
void CopyHash::write(const float* frequencies, size_t stride, unsigned orientation, uint8_t* out) const {
    BitWriter bits(out);
    for (const auto& [u, v] : lowest_) {
        const float value = frequencies[orientation & 4 ? v + u * stride : u + v * stride];
        const bool flipped = ((orientation & 1) && v % 2 == 1) != ((orientation & 2) && u % 2 == 1);
        bits.put((flipped ? -value : value) > kSilent);
    }
}

void CopyHash::hash(const Thumbnail& thumbnail, double aspect, uint8_t* out) const {
    const std::vector<float> all = transform(thumbnail.values, of_all_);
    const size_t stride = of_all_.outputs();
    for (unsigned orientation = 0; orientation < kOrientations; ++orientation, out += bytes())
        write(all.data(), stride, orientation, out);
    for (const Part& part : parts_) {
        write(&all[kFrequencies * (part.across * stride + part.down)], stride, 0, out);
        out += bytes();
    }
    for (const bool enlarged : {false, true})
        for (const double degrees : {5.0, -5.0}) {
            const std::vector<float> whole = transform(turned(thumbnail, {degrees, aspect, enlarged}), of_whole_);
            write(whole.data(), kFrequencies, 0, out);
            out += bytes();
        }
}

}  // namespace annkit
