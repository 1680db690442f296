// Ranges of Refine. The base's codes put some rows beyond the radius that lie within: a query gets k_factor candidates
// for each hit, the base's nearest rows, as in search.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>

#include "annkit/index/refine.h"

namespace annkit {
namespace {

// A query with fewer hits gets candidates for so many.
constexpr size_t kLeastHits = 4;
// Candidates of the queries that are searched together, at most (but for one query).
constexpr size_t kTogether = size_t(1) << 22;

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
          request_(request),
          factor_(request.settings.k_factor > 0 ? request.settings.k_factor : refine.k_factor_),
          coarse_(refine.base_->range_search(queries, radius, request)),
          found_(queries.n) {}

    RangeAnswer run() {
        for (size_t i = 0; i < queries_.n; ++i) {
            rescore(i, found_by_base(i));
            want(i, found_by_base(i).size());
        }
        while (!wanted_.empty()) {
            const auto wanted = std::exchange(wanted_, {});
            for (const auto& [candidates, queries] : wanted) {
                const size_t step = std::max<size_t>(kTogether / candidates, 1);
                for (size_t first = 0; first < queries.size(); first += step)
                    search(std::span(queries).subspan(first, std::min(step, queries.size() - first)), candidates);
            }
        }
        RangeAnswer answer{{0}, {}, {}};
        for (const RangeAnswer& one : found_) {
            answer.distances.insert(answer.distances.end(), one.distances.begin(), one.distances.end());
            answer.ids.insert(answer.ids.end(), one.ids.begin(), one.ids.end());
            answer.lims.push_back(int64_t(answer.ids.size()));
        }
        return answer;
    }

  private:
    std::span<const int64_t> found_by_base(size_t query) const {
        const auto first = size_t(coarse_.lims[query]), last = size_t(coarse_.lims[query + 1]);
        return std::span(coarse_.ids).subspan(first, last - first);
    }

    void rescore(size_t query, std::span<const int64_t> candidates) {
        found_[query] = {};
        refine_.finer_->rescore_within(queries_.slice(query, 1), candidates, radius_, found_[query]);
    }

    // Of so many candidates; a power of two of them, so that queries go together whose hits are about as many. What a
    // query gets depends on no other one.
    void want(size_t query, size_t candidates) {
        if (factor_ <= 1 || candidates >= refine_.base_->size()) return;
        const double most = double(refine_.base_->size());
        const double wanted = std::min(factor_ * double(std::max(found_[query].ids.size(), kLeastHits)), most);
        if (double(candidates) < wanted) wanted_[std::bit_ceil(size_t(std::ceil(wanted)))].push_back(query);
    }

    void search(std::span<const size_t> queries, size_t candidates) {
        const SomeRows some(queries_, queries);
        std::vector<Filter> filters(request_.filters);
        if (filters.size() > 1) {
            filters.clear();
            for (const size_t query : queries) filters.push_back(request_.filters[query]);
        }
        if (candidates >= refine_.base_->size()) return scan(some.rows(), queries, filters);
        Settings settings = request_.settings;
        settings.estimates = true;
        std::vector<float> distances(queries.size() * candidates);
        std::vector<int64_t> ids(distances.size());
        refine_.base_->search(some.rows(), candidates, {filters, settings, request_.call},
                              {distances.data(), nullptr, ids.data()});
        std::vector<int64_t> both;
        for (size_t i = 0; i < queries.size(); ++i) {
            const auto near = std::span(ids).subspan(i * candidates, candidates);
            const auto end = std::find(near.begin(), near.end(), int64_t(-1));
            const auto before = found_by_base(queries[i]);
            both.assign(near.begin(), end);
            both.insert(both.end(), before.begin(), before.end());
            std::sort(both.begin(), both.end());
            both.erase(std::unique(both.begin(), both.end()), both.end());
            rescore(queries[i], both);
            if (end == near.end()) want(queries[i], candidates);  // otherwise there are no more
        }
    }

    // All rows are candidates.
    void scan(const Rows& rows, std::span<const size_t> queries, const std::vector<Filter>& filters) {
        const RangeAnswer all = refine_.finer_->range_search(rows, radius_, {filters, {}, request_.call});
        for (size_t i = 0; i < queries.size(); ++i) {
            const ptrdiff_t first = all.lims[i], last = all.lims[i + 1];
            found_[queries[i]] = {{},
                                  {all.distances.begin() + first, all.distances.begin() + last},
                                  {all.ids.begin() + first, all.ids.begin() + last}};
        }
    }

    const Refine& refine_;
    const Rows& queries_;
    float radius_;
    const Request& request_;
    double factor_;
    RangeAnswer coarse_;
    std::vector<RangeAnswer> found_;                // by the finer codes
    std::map<size_t, std::vector<size_t>> wanted_;  // queries by how many candidates they need
};

RangeAnswer Refine::range_search(const Rows& queries, float radius, const Request& request) const {
    std::shared_lock lock(mutex_);
    return Range(*this, queries, radius, request).run();
}

}  // namespace annkit
