// The metrics. Inside, a smaller score is always nearer; the face shows distances in each metric's own terms.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

namespace annkit {

enum class Metric : uint8_t { l2, euclidean, ip, cosine, hamming };

Metric metric_from(std::string_view name);  // ValueError lists the names
std::string_view name(Metric metric);

// l2 and euclidean share a score, the squared distance.
inline bool is_l2(Metric m) { return m == Metric::l2 || m == Metric::euclidean; }
// The scores of these are inner products, of rows or of their directions.
inline bool is_product(Metric m) { return m == Metric::ip || m == Metric::cosine; }

inline float distance_of(Metric metric, float score) {
    return metric == Metric::euclidean ? std::sqrt(std::max(score, 0.0f)) : metric == Metric::ip ? 0.0f - score : score;
}
inline float padding_of(Metric metric) {
    return metric == Metric::ip ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
}
// The largest score whose distance lies within the radius, border included.
float score_within(Metric metric, float radius);

// 1 - cosine; a row of zeros has distance 1 to everything.
inline float inverse_norm(float norm2) { return norm2 > 0 ? 1 / std::sqrt(norm2) : 0.0f; }
inline float cosine_score(float negative_dot, float inverse_x, float inverse_q) {
    return std::clamp(1.0f + negative_dot * inverse_x * inverse_q, 0.0f, 2.0f);
}

}  // namespace annkit
