#include "annkit/image/plain_hashes.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "annkit/image/bit_writer.h"

namespace annkit {
namespace {

// What rounding leaves of the frequencies of pictures without contrast is less.
constexpr double kSilent = 1e-6;

// Of an even count the mean of the two in the middle.
template <class T>
double median(std::vector<T> values) {
    const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2 == 1) return *middle;
    return (double(*middle) + double(*std::max_element(values.begin(), middle))) / 2;
}

// Frequencies from `first` on, a row each, of the cosine transform (type II) of n values.
std::vector<double> cosine_rows(size_t first, size_t count, size_t n) {
    std::vector<double> rows(count * n);
    for (size_t u = 0; u < count; ++u)
        for (size_t i = 0; i < n; ++i)
            rows[u * n + i] = std::cos(std::numbers::pi * double(u + first) * (double(i) + 0.5) / double(n));
    return rows;
}

}  // namespace

void AverageHash::hash(const Thumbnail& thumbnail, double, uint8_t* out) const {
    double sum = 0;
    for (const float value : thumbnail.values) sum += value;
    const double mean = sum / double(thumbnail.values.size());
    BitWriter bits(out);
    for (const float value : thumbnail.values) bits.put(value > mean);
}

void DifferenceHash::hash(const Thumbnail& thumbnail, double, uint8_t* out) const {
    BitWriter bits(out);
    for (size_t y = 0; y < size_; ++y)
        for (size_t x = 0; x < size_; ++x) bits.put(thumbnail.at(y, x + 1) > thumbnail.at(y, x));
}

void BlockHash::hash(const Thumbnail& thumbnail, double, uint8_t* out) const {
    const double middle = median(thumbnail.values);
    BitWriter bits(out);
    for (const float value : thumbnail.values) bits.put(at_median_ ? value >= middle : value > middle);
}

PerceptualHash::PerceptualHash(size_t size) : size_(size), cosines_(cosine_rows(0, size, kFactor * size)) {}

void PerceptualHash::hash(const Thumbnail& thumbnail, double, uint8_t* out) const {
    const size_t n = height();
    std::vector<double> rows(n * size_, 0.0), low(size_ * size_, 0.0);
    for (size_t y = 0; y < n; ++y)
        for (size_t v = 0; v < size_; ++v) {
            double sum = 0;
            for (size_t x = 0; x < n; ++x) sum += cosines_[v * n + x] * double(thumbnail.at(y, x));
            rows[y * size_ + v] = sum;
        }
    for (size_t u = 0; u < size_; ++u)
        for (size_t y = 0; y < n; ++y)
            for (size_t v = 0; v < size_; ++v) low[u * size_ + v] += cosines_[u * n + y] * rows[y * size_ + v];
    const double middle = median(low);
    BitWriter bits(out);
    for (const double value : low) bits.put(value > middle + kSilent);
}

RadialHash::RadialHash(size_t size) : size_(size), cosines_(cosine_rows(1, size * size, kAngles)) {
    constexpr double kCentre = (kSide - 1) / 2.0;
    places_.reserve(kAngles * (kSide - 1));
    for (size_t angle = 0; angle < kAngles; ++angle) {
        const double radians = std::numbers::pi * double(angle) / kAngles;
        for (size_t step = 0; step < kSide - 1; ++step) {
            const double along = double(step) - (kSide - 2) / 2.0;
            const double x = std::floor(kCentre + along * std::cos(radians) + 0.5);
            const double y = std::floor(kCentre - along * std::sin(radians) + 0.5);
            places_.push_back(uint16_t(y * kSide + x));
        }
    }
}

void RadialHash::hash(const Thumbnail& thumbnail, double, uint8_t* out) const {
    std::vector<double> variances(kAngles);
    constexpr size_t kSteps = kSide - 1;
    for (size_t angle = 0; angle < kAngles; ++angle) {
        const uint16_t* line = places_.data() + angle * kSteps;
        double sum = 0, squares = 0;
        for (size_t i = 0; i < kSteps; ++i) {
            const double value = thumbnail.values[line[i]];
            sum += value;
            squares += value * value;
        }
        variances[angle] = squares / kSteps - sum / kSteps * (sum / kSteps);
    }
    BitWriter bits(out);
    for (size_t u = 0; u < size_ * size_; ++u) {
        double sum = 0;
        for (size_t angle = 0; angle < kAngles; ++angle) sum += cosines_[u * kAngles + angle] * variances[angle];
        bits.put(sum > kSilent);
    }
}

}  // namespace annkit
