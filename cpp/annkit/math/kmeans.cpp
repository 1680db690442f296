#include "annkit/math/kmeans.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "annkit/core/errors.h"
#include "annkit/math/byte_assigner.h"
#include "annkit/math/cells.h"
#include "annkit/math/kmeans_start.h"
#include "annkit/math/middle.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Many runs of parallel_for as one: each is a share of a round.
class RoundsMonitor final : public Monitor {
  public:
    RoundsMonitor(Monitor* outer, size_t rounds) : outer_(outer), rounds_(rounds) {}
    void share(double from, double to) { from_ = from, to_ = to; }
    void poll() override { outer_->poll(); }
    void progress(size_t done, size_t total) override {
        constexpr double kParts = 1e6;
        const double at = from_ + (to_ - from_) * double(done) / double(total);
        outer_->progress(size_t(at / double(rounds_) * kParts), size_t(kParts));
    }

  private:
    Monitor* outer_;
    size_t rounds_;
    double from_ = 0, to_ = 0;
};

// By how much the second nearest centroid is farther than the nearest, in squared distances: such a gap that, if gaps
// were spread evenly, would be the largest. Measured where it matters, in the tenth of the rows that are closest to
// a border, of a few rows that lie apart.
double typical_gap(const TrainingRows& rows, const std::vector<float>& centroids, size_t k, const Call& call) {
    const size_t n = std::min<size_t>(rows.size(), 512);
    std::vector<double> gaps(n);
    parallel_for(k > 1 ? n : 0, threads_for(call, double(n) * double(centroids.size())), call, [&](size_t i, int) {
        std::vector<float> scores(k);
        const float* x = rows.row(i * rows.size() / n);
        simd::kernels().scan_l2[simd::kF32](x, centroids.data(), rows.dim(), k, scores.data());
        float nearest = std::min(scores[0], scores[1]), second = std::max(scores[0], scores[1]);
        for (size_t c = 2; c < k; ++c) {
            second = std::min(second, std::max(nearest, scores[c]));
            nearest = std::min(nearest, scores[c]);
        }
        const double gap = double(second) - double(nearest);
        gaps[i] = std::isfinite(gap) ? gap : 0;
    });
    std::nth_element(gaps.begin(), gaps.begin() + ptrdiff_t(n / 10), gaps.end());
    return 10 * gaps[n / 10];
}

class Lloyd {
  public:
    Lloyd(const TrainingRows& rows, const KMeansOptions& options, uint64_t seed, std::vector<float> start)
        : rows_(rows),
          options_(options),
          random_(seed),
          centroids_(std::move(start)),
          assigned_(rows.size(), Cells::kNowhere),
          before_(rows.size()),
          cells_(rows, options.k, options.spherical) {}

    // Returns how many rows changed their centroid.
    size_t assign(const Call& call) {
        std::swap(before_, assigned_);
        if (objective_.empty() && ByteAssigner::pays(rows_.dim(), options_.k)) {
            bytes_.emplace(ByteAssigner::Points{rows_.row(0), rows_.size(), rows_.dim(), rows_.stride()}, call);
            cost_ = bytes_->spread();
        }
        if (bytes_ && !bytes_->will_do(cost_)) bytes_.reset();
        if (bytes_)
            bytes_->assign(centroids_, penalty_, assigned_.data(), call);
        else
            assign_floats(call);
        size_t changed = 0;
        for (size_t i = 0; i < assigned_.size(); ++i) changed += assigned_[i] != before_[i];
        return changed;
    }

    // Returns how many empty cells were filled.
    size_t update(const Call& call) {
        cells_.update(before_, assigned_, centroids_, call);
        cost_ = cells_.cost();
        objective_.push_back(options_.spherical ? -cells_.product() : cost_);
        if (options_.balance > 0) penalise(call);
        return cells_.fill_empty(assigned_, centroids_, random_);
    }

    KMeansResult result() && { return {std::move(centroids_), std::move(objective_), rows_.size()}; }

  private:
    void assign_floats(const Call& call) {
        std::vector<float> penalty = penalty_;
        if (options_.spherical)  // inner products count half of what squared distances do
            for (float& one : penalty) one /= 2;
        const Nearest nearest(centroids_, rows_.dim(), options_.spherical, penalty);
        constexpr size_t kBlock = Nearest::kBlock;
        const double work = double(rows_.size()) * double(centroids_.size());
        parallel_apart((rows_.size() + kBlock - 1) / kBlock, threads_for(call, work), call, [&](size_t task, int) {
            const size_t first = task * kBlock;
            nearest.find_block(rows_.row(first), rows_.stride(), std::min(kBlock, rows_.size() - first),
                               &assigned_[first]);
        });
    }

    // A centroid's score grows with how crowded its cell is: by balance times the mean gap between a row's two nearest
    // centroids, if it has twice the mean count. Then about balance times as many rows leave a crowded cell as it has
    // too many, and it settles at 1 / (1 + balance) of the crowding it had. Averaging over rounds by the same weight
    // gets there without swinging: rows would leave all at once and come back all at once.
    void penalise(const Call& call) {
        const double mean_count = double(rows_.size()) / double(options_.k), weight = 1 / (1 + options_.balance);
        const double unit = options_.balance * typical_gap(rows_, centroids_, options_.k, call);
        crowding_.resize(options_.k, 1), penalty_.resize(options_.k);
        for (size_t c = 0; c < options_.k; ++c) {
            crowding_[c] += weight * (double(cells_.count(c)) / mean_count - crowding_[c]);
            penalty_[c] = float(unit * crowding_[c]);
        }
    }

    const TrainingRows& rows_;
    const KMeansOptions& options_;
    Random random_;
    std::vector<float> centroids_, penalty_;
    std::vector<uint32_t> assigned_, before_;
    Cells cells_;
    std::vector<double> objective_, crowding_;
    std::optional<ByteAssigner> bytes_;
    double cost_ = 0;
};

void check_options(const Rows& rows, const KMeansOptions& options) {
    check(options.k > 0, "k is 0, expected at least 1");
    check(options.rounds > 0, "rounds is 0, expected at least 1");
    check(rows.n >= options.k, "got ", rows.n, " rows, expected at least as many as centroids, ", options.k);
    check(std::isfinite(options.balance) && options.balance >= 0, "balance is ", options.balance,
          ", expected a number from 0 on");
    check(rows.dim > 0 && rows.dim <= (size_t(1) << 24), "the array has ", rows.dim, " columns, expected 1 to 2^24");
}

}  // namespace

void warn_of_few(size_t rows, size_t k, std::string_view what, const Call& call) {
    if (call.monitor == nullptr || rows / k >= kLeastRowsPerCentroid) return;
    call.monitor->warn(concat("got ", rows, " rows to train ", k, " centroids", what, ", expected at least ",
                              kLeastRowsPerCentroid * k, " (", kLeastRowsPerCentroid, " a centroid)"));
}

KMeansResult kmeans(const Rows& rows, const KMeansOptions& options, const Fit& fit) {
    check_options(rows, options);
    warn_of_few(rows.n, options.k, "", fit.call);
    RoundsMonitor monitor(fit.call.monitor, options.rounds);
    const Call call{fit.call.threads, fit.call.monitor == nullptr ? nullptr : &monitor};
    Random seeds(fit.seed);
    const std::vector<float> center = options.spherical ? std::vector<float>() : center_of_far(rows);
    const TrainingRows training(rows, options.sample * options.k, center, {seeds.next(), call});
    std::vector<float> start = options.plus_plus
                                   ? plus_plus_start(training, options.k, options.spherical, {seeds.next(), call})
                                   : random_start(training, options.k, seeds.next());
    for (size_t c = 0; options.spherical && c < options.k; ++c)
        normalise_row(std::span(start).subspan(c * rows.dim, rows.dim));
    Lloyd lloyd(training, options, seeds.next(), std::move(start));
    size_t filled = 0;
    for (size_t round = 0; round < options.rounds; ++round) {
        monitor.share(double(round), double(round) + 0.9);
        const size_t changed = lloyd.assign(call);
        if (changed == 0 && filled == 0 && options.balance == 0) break;
        monitor.share(double(round) + 0.9, double(round) + 1);
        filled = lloyd.update(call);
    }
    if (fit.call.monitor) fit.call.monitor->progress(1, 1);
    KMeansResult result = std::move(lloyd).result();
    for (size_t i = 0; !center.empty() && i < result.centroids.size(); ++i) result.centroids[i] += center[i % rows.dim];
    return result;
}

}  // namespace annkit
