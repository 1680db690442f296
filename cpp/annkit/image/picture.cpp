#include "annkit/image/picture.h"

#include <algorithm>

namespace annkit {
namespace {

// Along one axis: the pixels that a value covers, and how much of each, in parts of 1 / values: whole numbers, so that
// sums are exact and pictures without contrast have thumbnails without any.
class Cover {
  public:
    Cover(size_t pixels, size_t values) : spans_(values) {
        for (size_t i = 0; i < values; ++i) {
            // The bounds i * pixels / values, and what of each pixel lies between them, as whole numbers.
            const size_t low = i * pixels, high = low + pixels;
            Span& span = spans_[i];
            span.first = low / values;
            for (size_t at = span.first; at * values < high; ++at) {
                const size_t covered = std::min(high, (at + 1) * values) - std::max(low, at * values);
                span.weights.push_back(float(covered));
            }
        }
    }
    struct Span {
        size_t first;
        std::vector<float> weights;
    };
    const Span& operator[](size_t i) const { return spans_[i]; }

  private:
    std::vector<Span> spans_;
};

// sums += weight * gray
void add_row(const uint8_t* row, size_t width, size_t channels, float weight, float* sums) {
    if (channels == 1) {
        for (size_t x = 0; x < width; ++x) sums[x] += weight * float(row[x]);
        return;
    }
    for (size_t x = 0; x < width; ++x) {
        const int gray = (19595 * row[3 * x] + 38470 * row[3 * x + 1] + 7471 * row[3 * x + 2] + 0x8000) >> 16;
        sums[x] += weight * float(gray);
    }
}

}  // namespace

Thumbnail shrink(const Picture& picture, size_t height, size_t width, const Call& call) {
    Thumbnail out{height, width, std::vector<float>(height * width)};
    const Cover down(picture.height, height), across(picture.width, width);
    const double area = double(picture.height) * double(picture.width);  // that a value covers, in the same parts
    std::vector<float> sums(picture.width);
    const size_t stride = picture.width * picture.channels;
    parallel_for(height, 1, call, [&](size_t y, int) {
        std::fill(sums.begin(), sums.end(), 0.0f);
        const Cover::Span& rows = down[y];
        for (size_t i = 0; i < rows.weights.size(); ++i)
            add_row(picture.pixels + (rows.first + i) * stride, picture.width, picture.channels, rows.weights[i],
                    sums.data());
        for (size_t x = 0; x < width; ++x) {
            const Cover::Span& columns = across[x];
            double sum = 0;
            for (size_t i = 0; i < columns.weights.size(); ++i)
                sum += double(columns.weights[i]) * double(sums[columns.first + i]);
            out.values[y * width + x] = float(sum / area);
        }
    });
    return out;
}

}  // namespace annkit
