#include "annkit/core/metric.h"

#include "annkit/core/errors.h"
#include "annkit/core/spelling.h"

namespace annkit {
namespace {
constexpr std::string_view kNames[] = {"l2", "euclidean", "ip", "cosine", "hamming"};
}

Metric metric_from(std::string_view wanted) {
    for (uint8_t i = 0; i < std::size(kNames); ++i)
        if (kNames[i] == wanted) return Metric(i);
    fail("metric is \"", wanted, "\", expected one of \"l2\", \"euclidean\", \"ip\", \"cosine\", \"hamming\"",
         did_you_mean(wanted, kNames));
}

std::string_view name(Metric metric) { return kNames[size_t(metric)]; }

float score_within(Metric metric, float radius) {
    if (metric == Metric::ip) return 0.0f - radius;
    if (metric != Metric::euclidean) return radius;
    if (!(radius >= 0)) return -1;
    float score = radius * radius;  // then to the last float whose root is not beyond the radius
    while (std::sqrt(score) > radius) score = std::nextafter(score, 0.0f);
    for (;;) {
        const float above = std::nextafter(score, std::numeric_limits<float>::infinity());
        if (above == score || std::sqrt(above) > radius) return score;
        score = above;
    }
}

}  // namespace annkit
