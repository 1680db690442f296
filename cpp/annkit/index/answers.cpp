#include "annkit/index/answers.h"

#include <algorithm>

#include "annkit/core/errors.h"
#include "annkit/index/unit_rows.h"

namespace annkit {

namespace {
float shown(Metric metric, float score, bool unit) { return unit ? unit_distance(score) : distance_of(metric, score); }
}  // namespace

void write_answer(const Answer& out, size_t query, size_t k, std::span<const Hit> hits, const Members& members,
                  Metric metric, bool unit) {
    const size_t at = query * k;
    for (size_t i = 0; i < k; ++i) {
        const bool found = i < hits.size();
        out.ids[at + i] = found ? members.id(hits[i].row) : -1;
        if (out.counts)
            out.counts[at + i] = found ? int32_t(hits[i].score) : INT32_MAX;
        else
            out.distances[at + i] = found ? shown(metric, hits[i].score, unit) : padding_of(metric);
    }
}

void Answering::nearest(size_t queries, size_t k, const Answer& out, const Run& run) const {
    const Take write = [&](size_t query, std::span<const Hit> hits) {
        write_answer(out, query, k, hits, members, metric, unit);
    };
    if (members.size() > 0) return run(TopK(std::min(k, members.size()), order), write);
    for (size_t query = 0; query < queries; ++query) write(query, {});
}

RangeAnswer Answering::within(size_t queries, float radius, const Run& run) const {
    std::vector<std::vector<Hit>> found(queries);
    const float most = unit ? unit_score_within(radius) : score_within(metric, radius);
    if (members.size() > 0)
        run(TopK::within(most, order),
            [&](size_t query, std::span<const Hit> hits) { found[query].assign(hits.begin(), hits.end()); });
    RangeAnswer answer;
    answer.lims.push_back(0);
    for (const auto& hits : found) answer.lims.push_back(answer.lims.back() + int64_t(hits.size()));
    answer.distances.reserve(size_t(answer.lims.back()));
    answer.ids.reserve(size_t(answer.lims.back()));
    for (const auto& hits : found)
        for (const Hit& hit : hits) {
            answer.distances.push_back(shown(metric, hit.score, unit));
            answer.ids.push_back(members.id(hit.row));
        }
    return answer;
}

FilterSets::FilterSets(const std::vector<Filter>& filters, const Members& members) {
    made_.reserve(filters.size());
    for (const Filter& filter : filters) {
        made_.push_back(members.allowed(filter));
        allowed_.push_back(&made_.back());
    }
    if (filters.empty() && members.alive() != nullptr) allowed_.push_back(members.alive());
}

void check_queries(const Rows& queries, size_t dim, const std::vector<Filter>& filters) {
    check(dim == 0 || queries.dim == dim, "the query has dimension ", queries.dim, ", the index has ", dim);
    check(filters.size() <= 1 || filters.size() == queries.n, "got ", filters.size(), " filters for ", queries.n,
          " queries, expected one filter, or one a query");
}

}  // namespace annkit
