// Ranges of Refine. The base's codes put some rows beyond the radius that lie within. How far beyond shows in rows that
// both have seen: by as much the base is asked for more.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include "annkit/core/parallel.h"
#include "annkit/index/refine.h"

namespace annkit {
namespace {

// From so many rows on one learns how far codes err.
constexpr size_t kFew = 32;
// What a wider range finds may err more, for the narrower had those that err least: then it is asked again, so often.
constexpr size_t kRounds = 3;
constexpr double kMuchWider = 1.25;

// By how much the base's distances of some rows are larger than their own.
class Errors {
  public:
    void add(double error) { count_ += 1, sum_ += error, squares_ += error * error; }
    // So many times their spread above their mean.
    double reach(double times) const {
        if (count_ == 0) return 0;
        const double mean = sum_ / count_,
                     reach = mean + times * std::sqrt(std::max(squares_ / count_ - mean * mean, 0.0));
        return std::isfinite(reach) ? std::max(reach, 0.0) : 0.0;
    }

  private:
    double count_ = 0, sum_ = 0, squares_ = 0;
};

// Rounded up a little, so that queries whose margins are about as wide go together: what one gets depends on no other.
double rounded_up(double margin) {
    constexpr double kSteps = 8;
    int exponent = 0;
    const double part = std::frexp(margin, &exponent);
    return std::ldexp(std::ceil(part * kSteps) / kSteps, exponent);
}

// Some of the rows side by side, in their type.
class SomeRows {
  public:
    SomeRows(const Rows& rows, std::span<const size_t> chosen) : rows_(rows) {
        const size_t size = element_size(rows.dtype);
        copy_.resize(chosen.size() * rows.elements() * size);
        std::byte* to = copy_.data();
        for (const size_t row : chosen)
            for (size_t j = 0; j < rows.elements(); ++j, to += size)
                std::memcpy(to, rows.row(row) + ptrdiff_t(j) * rows.element_stride, size);
        rows_.data = copy_.data();
        rows_.n = chosen.size();
        rows_.element_stride = ptrdiff_t(size);
        rows_.row_stride = ptrdiff_t(rows.elements() * size);
    }
    const Rows& rows() const { return rows_; }

  private:
    Rows rows_;
    std::vector<std::byte> copy_;
};

}  // namespace

class Refine::Range {
  public:
    Range(const Refine& refine, const Rows& queries, float radius, const Request& request)
        : refine_(refine),
          queries_(queries),
          radius_(radius),
          sign_(refine.metric() == Metric::ip ? -1.0f : 1.0f),
          request_(request),
          factor_(request.settings.k_factor > 0 ? request.settings.k_factor : refine.k_factor_),
          found_(queries.n),
          margins_(queries.n) {}

    void run(RangeAnswer& answer) {
        std::vector<size_t> all(queries_.n);
        std::iota(all.begin(), all.end(), size_t(0));
        look(all, 0);
        if (factor_ > 1) sample();
        for (size_t round = 0; round < kRounds && !wider_.empty(); ++round)
            for (const auto& [margin, queries] : std::exchange(wider_, {})) look(queries, margin);
        for (const RangeAnswer& one : found_) {
            answer.distances.insert(answer.distances.end(), one.distances.begin(), one.distances.end());
            answer.ids.insert(answer.ids.end(), one.ids.begin(), one.ids.end());
            answer.lims.push_back(int64_t(answer.ids.size()));
        }
    }

  private:
    std::vector<Filter> filters_of(std::span<const size_t> queries) const {
        const auto& filters = request_.filters;
        if (filters.size() <= 1) return {filters.begin(), filters.end()};
        std::vector<Filter> some;
        for (const size_t query : queries) some.push_back(filters[query]);
        return some;
    }

    // What the base has within the radius and a margin.
    void look(std::span<const size_t> queries, double margin) {
        const SomeRows some(queries_, queries);
        const std::vector<Filter> filters = filters_of(queries);
        const float radius = radius_ + sign_ * float(std::min(margin, double(FLT_MAX)));
        const RangeAnswer coarse =
            refine_.base_->range_search(some.rows(), radius, {filters, request_.settings, request_.call});
        for_each(queries.size(), coarse.ids.size(), [&](size_t i) {
            const auto first = size_t(coarse.lims[i]), n = size_t(coarse.lims[i + 1]) - first;
            const size_t query = queries[i];
            const std::span ids = std::span(coarse.ids).subspan(first, n);
            RangeAnswer& found = found_[query] = {};
            refine_.finer_->rescore_within(queries_.slice(query, 1), ids, radius_, found);
            if (found.ids.size() >= kFew) margins_[query] = margin_by(ids, coarse.distances.data() + first, found);
        });
        for (const size_t query : queries)
            if (found_[query].ids.size() >= kFew)
                widen(query, margin);
            else if (margin == 0)
                few_.push_back(query);
    }

    // Queries with few hits learn from their nearest rows how far codes err.
    void sample() {
        const size_t k = std::min(kFew, refine_.base_->size());
        if (few_.empty() || k == 0) return;
        const SomeRows some(queries_, few_);
        const std::vector<Filter> filters = filters_of(few_);
        std::vector<float> distances(few_.size() * k);
        std::vector<int64_t> ids(distances.size());
        refine_.base_->search(some.rows(), k, {filters, request_.settings, request_.call},
                              {distances.data(), nullptr, ids.data()});
        for_each(few_.size(), ids.size(), [&](size_t i) {
            const auto near = std::span(ids).subspan(i * k, k);
            const auto n = size_t(std::find(near.begin(), near.end(), int64_t(-1)) - near.begin());
            RangeAnswer finer;
            refine_.finer_->rescore_within(some.rows().slice(i, 1), near.first(n),
                                           sign_ * std::numeric_limits<float>::infinity(), finer);
            margins_[few_[i]] = margin_by(near.first(n), &distances[i * k], finer);
        });
        for (const size_t query : few_) widen(query, 0);
    }

    template <class Take>
    void for_each(size_t queries, size_t candidates, const Take& take) const {
        constexpr size_t kTask = 16;
        const int threads = threads_for(request_.call, double(candidates) * double(queries_.dim));
        parallel_for((queries + kTask - 1) / kTask, threads, request_.call, [&](size_t task, int) {
            for (size_t i = task * kTask; i < std::min(queries, (task + 1) * kTask); ++i) take(i);
        });
    }

    // From the rows that both have seen.
    double margin_by(std::span<const int64_t> ids, const float* distances, const RangeAnswer& finer) const {
        std::vector<std::pair<int64_t, float>> known;
        for (size_t i = 0; i < finer.ids.size(); ++i) known.emplace_back(finer.ids[i], finer.distances[i]);
        std::sort(known.begin(), known.end());
        Errors errors;
        for (size_t i = 0; i < ids.size(); ++i) {
            const auto at = std::lower_bound(known.begin(), known.end(), ids[i],
                                             [](const auto& one, int64_t id) { return one.first < id; });
            if (at != known.end() && at->first == ids[i])
                errors.add(double(sign_) * (double(distances[i]) - double(at->second)));
        }
        return rounded_up(errors.reach(factor_ - 1));
    }

    void widen(size_t query, double margin) {
        const double wanted = margins_[query];
        if (factor_ > 1 && wanted > kMuchWider * margin) wider_[wanted].push_back(query);
    }

    const Refine& refine_;
    const Rows& queries_;
    float radius_, sign_;
    const Request& request_;
    double factor_;
    std::vector<RangeAnswer> found_;               // by the finer codes
    std::vector<double> margins_;                  // that the queries need
    std::map<double, std::vector<size_t>> wider_;  // queries by margin: those to look at again
    std::vector<size_t> few_;
};

RangeAnswer Refine::range_search(const Rows& queries, float radius, const Request& request) const {
    constexpr size_t kBlock = 8192;  // queries: what is copied of them, and what they found, stays small
    std::shared_lock lock(mutex_);
    RangeAnswer answer{{0}, {}, {}};
    for (size_t first = 0; first < queries.n; first += kBlock) {
        const size_t n = std::min(kBlock, queries.n - first);
        std::vector<Filter> filters = request.filters;
        if (filters.size() > 1)
            filters = {request.filters.begin() + ptrdiff_t(first), request.filters.begin() + ptrdiff_t(first + n)};
        const Rows some = queries.slice(first, n);
        const Request part{filters, request.settings, request.call};
        Range(*this, some, radius, part).run(answer);
    }
    return answer;
}

}  // namespace annkit
