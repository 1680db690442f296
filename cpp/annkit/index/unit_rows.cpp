#include "annkit/index/unit_rows.h"

namespace annkit {

InnerRows::InnerRows(const Rows& rows, bool unit, std::string_view what, std::span<const float> center) : rows_(rows) {
    if (!unit && center.empty()) return;
    const FloatBlock block(rows, what);
    changed_.resize(rows.n * rows.dim);
    for (size_t i = 0; i < rows.n; ++i) {
        const float scale = inverse_norm(block.norm2(i));
        const float* x = block.row(i);
        float* to = &changed_[i * rows.dim];
        if (center.empty())
            for (size_t j = 0; j < rows.dim; ++j) to[j] = x[j] * scale;
        else
            for (size_t j = 0; j < rows.dim; ++j) to[j] = x[j] - center[j];
    }
    rows_ = Rows::of(changed_.data(), rows.n, rows.dim, rows.first);
}

float unit_score_within(float radius) {
    if (!(radius >= 0)) return -3.0f;
    if (radius >= 2) return 3.0f;
    // 1 + score is rounded: to the radius from scores up to half a step beyond radius - 1.
    const float beyond = std::nextafter(radius, 3.0f);
    float score = float((double(radius) + double(beyond)) / 2 - 1);
    while (unit_distance(score) > radius) score = std::nextafter(score, -3.0f);
    for (float above; unit_distance(above = std::nextafter(score, 3.0f)) <= radius;) score = above;
    return score;
}

}  // namespace annkit
