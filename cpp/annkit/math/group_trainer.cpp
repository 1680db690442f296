#include "annkit/math/group_trainer.h"

#include <algorithm>

#include "annkit/core/pool.h"
#include "annkit/math/middle.h"
#include "annkit/math/transpose.h"
#include "annkit/simd/kernels.h"
#include "annkit/simd/prefetch.h"

namespace annkit {
namespace {

// Float sums of so many rows, or of sixteen a centroid, go on in double.
constexpr size_t kLeastSums = 4096;

size_t panels_of(size_t n) { return (n + simd::kGroupPoints - 1) / simd::kGroupPoints; }

// kPadded: 0 where only the argument tells.
template <size_t kPadded>
void add_rows(const float* points, const uint32_t* nearest, size_t n, size_t padded, float* sums, uint32_t* counts) {
    const size_t width = kPadded > 0 ? kPadded : padded;
    for (size_t i = 0; i < n; ++i, points += width) {
        float* to = sums + nearest[i] * width;
        for (size_t j = 0; j < width; j += 4)
            for (size_t t = 0; t < 4; ++t) to[j + t] += points[j + t];
        ++counts[nearest[i]];
    }
}

}  // namespace

void pack_group(const float* x, size_t stride, size_t n, size_t dim, const float* middle, float* panels) {
    constexpr size_t kPoints = simd::kGroupPoints;
    for (size_t first = 0; first < n; first += kPoints, panels += kPoints * dim) {
        const size_t count = std::min(kPoints, n - first);
        if (count < kPoints) std::fill_n(panels, kPoints * dim, 0.0f);
        transpose(x + first * stride, stride, count, dim, panels, kPoints);
        for (size_t j = 0; j < dim; ++j)
            for (size_t i = 0; i < count; ++i) panels[j * kPoints + i] = -2 * (panels[j * kPoints + i] - middle[j]);
    }
}

GroupTrainer::GroupTrainer(const GroupRows& rows, size_t first, size_t dim, size_t k, const float* start, uint64_t seed)
    : rows_(rows), first_(first), dim_(dim), padded_((dim + 3) / 4 * 4), k_(k), start_(start), random_(seed) {}

size_t GroupTrainer::panels() const { return panels_of(rows_.chosen.size()); }

size_t GroupTrainer::rows_in(size_t round, size_t rounds) const {
    constexpr size_t kLeast = 4096;  // rows; fewer mislead: 4 bits on SIFT end with an error 0.3 % larger
    const size_t n = rows_.chosen.size(), part = n / GroupRows::kParts / simd::kGroupPoints * simd::kGroupPoints;
    return start_ == nullptr && round < rounds * 2 / 5 && part >= kLeast ? part : n;
}

double GroupTrainer::work_per_panel() const { return double(simd::kGroupPoints * k_) * double(dim_ + 3); }

size_t GroupTrainer::values() const { return panels() * simd::kGroupPoints * (dim_ + padded_ + 2); }

size_t GroupTrainer::bytes() const {
    const size_t rounded = ByteAssigner::pays(dim_, k_) ? panels() * simd::kGroupPoints * dim_ : 0;
    return sizeof(float) * values() + rounded;
}

void GroupTrainer::Memory::reserve(size_t bytes) {
    if (bytes <= bytes_) return;
    buffer_ = allocate(bytes);
    bytes_ = bytes;
}

void GroupTrainer::open(std::unique_ptr<Memory> memory) {
    const size_t n = rows_.chosen.size(), room = panels() * simd::kGroupPoints;
    memory_ = std::move(memory);
    memory_->reserve(sizeof(float) * values());
    panels_ = memory_->floats();
    points_ = panels_ + room * dim_;
    nearest_ = reinterpret_cast<uint32_t*>(points_ + room * padded_);
    before_ = nearest_ + room;
    measured_ = 0;
    center();
    const std::vector<float> zero(dim_);
    pack_group(points_, padded_, n, dim_, zero.data(), panels_);
    if (ByteAssigner::pays(dim_, k_))
        bytes_.emplace(ByteAssigner::Points{points_, n, dim_, padded_}, Call{.threads = 1});
    if (bytes_ && !bytes_->will_do(bytes_->spread())) bytes_.reset();
    begin();
}

std::unique_ptr<GroupTrainer::Memory> GroupTrainer::close() {
    bytes_.reset();
    return std::move(memory_);
}

// The points less a middle of theirs, zeros behind them.
void GroupTrainer::center() {
    const size_t n = rows_.chosen.size(), whole = dim_ / 4 * 4;
    const auto row = [this](size_t i) { return rows_.x + rows_.chosen[i] * rows_.stride + first_; };
    middle_ = middle_of(n, dim_, row).point;
    constexpr size_t kAhead = 16;  // rows, which lie apart from each other
    for (size_t i = 0; i < n; ++i) {
        const auto* coming = reinterpret_cast<const std::byte*>(row(std::min(i + kAhead, n - 1)));
        for (size_t byte = 0; byte < dim_ * sizeof(float) + 63; byte += 64) simd::prefetch(coming + byte);
        const float* x = row(i);
        float* to = point(i);
        for (size_t j = 0; j < whole; j += 4)
            for (size_t t = 0; t < 4; ++t) to[j + t] = x[j + t] - middle_[j + t];
        for (size_t j = whole; j < padded_; ++j) to[j] = j < dim_ ? x[j] - middle_[j] : 0;
    }
}

// Without centroids to start from, distinct rows, by a partial shuffle.
void GroupTrainer::begin() {
    centroids_.resize(k_ * dim_);
    norms_.resize(k_);
    std::vector<uint32_t> order(start_ == nullptr ? rows_.chosen.size() : 0);
    for (size_t i = 0; i < order.size(); ++i) order[i] = uint32_t(i);
    for (size_t c = 0; c < k_; ++c) {
        if (start_ == nullptr) std::swap(order[c], order[c + random_.below(order.size() - c)]);
        for (size_t j = 0; j < dim_; ++j)
            centroids_[c * dim_ + j] = start_ != nullptr ? start_[c * dim_ + j] - middle_[j] : point(order[c])[j];
    }
    measure();
}

void GroupTrainer::measure() {
    for (size_t c = 0; c < k_; ++c) {
        float norm = 0;
        for (size_t j = 0; j < dim_; ++j) norm += centroids_[c * dim_ + j] * centroids_[c * dim_ + j];
        norms_[c] = norm;
    }
    if (bytes_) tiles_ = bytes_->round(centroids_, {});
}

void GroupTrainer::assign(size_t first_panel, size_t last_panel) {
    constexpr size_t kPoints = simd::kGroupPoints;
    static_assert(kPoints % simd::kMaxLanes == 0);
    uint32_t* nearest = nearest_ + first_panel * kPoints;
    if (bytes_) {
        const size_t last = std::min(last_panel * kPoints, rows_.chosen.size());
        return bytes_->assign(tiles_, first_panel * kPoints, last, nearest);
    }
    simd::kernels().nearest_in_group(panels_ + first_panel * kPoints * dim_, last_panel - first_panel, dim_,
                                     centroids_.data(), norms_.data(), k_, nearest);
}

void GroupTrainer::sum_cells(size_t n, std::vector<double>& sums, std::vector<uint32_t>& counts) const {
    const auto add = padded_ == 4 ? add_rows<4> : padded_ == 8 ? add_rows<8> : add_rows<0>;
    const size_t step = std::max(kLeastSums, 16 * k_);
    std::vector<float> part(k_ * padded_);
    for (size_t first = 0; first < n; first += step) {
        add(point(first), nearest_ + first, std::min(step, n - first), padded_, part.data(), counts.data());
        for (size_t i = 0; i < part.size(); ++i) sums[i] += part[i];
        std::fill(part.begin(), part.end(), 0.0f);
    }
}

// Of all rows, by what the first n are from their centroids, the means of cells: |x|^2 less |c|^2
// each, from the center.
double GroupTrainer::cost(const std::vector<uint32_t>& counts, size_t n) const {
    double squares = 0;
    for (size_t c = 0; c < k_; ++c) {
        double norm = 0;
        for (size_t j = 0; j < dim_; ++j) {
            const double x = double(centroids_[c * dim_ + j]) - double(bytes_->center()[j]);
            norm += x * x;
        }
        squares += counts[c] * norm;
    }
    return bytes_->spread() - squares * double(rows_.chosen.size()) / double(n);
}

// A centroid without a cell moves to a row drawn at random: most likely out of a crowded cell.
bool GroupTrainer::update(size_t n) {
    if (measured_ == n && std::equal(before_, before_ + n, nearest_)) return false;
    std::vector<double> sums(k_ * padded_);
    std::vector<uint32_t> counts(k_);
    sum_cells(n, sums, counts);
    bool moved = false;
    for (size_t c = 0; c < k_; ++c) {
        const float* row = counts[c] > 0 ? nullptr : point(random_.below(n));
        for (size_t j = 0; j < dim_; ++j)
            centroids_[c * dim_ + j] = row != nullptr ? row[j] : float(sums[c * padded_ + j] / counts[c]);
        moved = moved || row != nullptr;
    }
    if (bytes_ && !bytes_->will_do(cost(counts, n))) bytes_.reset();
    measure();
    measured_ = moved ? 0 : n;
    std::copy_n(nearest_, measured_, before_);
    return true;
}

void GroupTrainer::write(float* codebook) const {
    for (size_t c = 0; c < k_; ++c)
        for (size_t j = 0; j < dim_; ++j) codebook[c * dim_ + j] = centroids_[c * dim_ + j] + middle_[j];
}

namespace {

// Multiply-adds of a task: below a millisecond, so that a call can be stopped.
constexpr double kTaskWork = 5e7;
// Of those that threads share a round of, so that none waits long for the last.
constexpr double kChunkWork = 1.25e7;
// Groups that are open at once: for each thread some, whose memory the next ones use again. (d=128, 16 groups of 8
// bits, 50,000 rows, all open: a tenth of the time went to pages that the system cleared.)
constexpr size_t kOpenBytes = size_t(64) << 20, kOpenAThread = 2;

using Memories = Pool<GroupTrainer::Memory>;

// Rounds of groups that are open at once, each in several tasks.
void train_in_rounds(std::span<GroupTrainer> groups, size_t rounds, size_t chunk, int threads, Memories& memory,
                     const Call& call) {
    std::vector<uint8_t> live(groups.size(), 1);
    parallel_apart(groups.size(), threads, call, [&](size_t g, int) { groups[g].open(memory.take()); });
    for (size_t round = 0; round < rounds; ++round) {
        const size_t n = groups[0].rows_in(round, rounds), panels = panels_of(n), chunks = (panels + chunk - 1) / chunk;
        parallel_apart(groups.size() * chunks, threads, call, [&](size_t task, int) {
            const size_t first = task % chunks * chunk;
            if (live[task / chunks]) groups[task / chunks].assign(first, std::min(first + chunk, panels));
        });
        parallel_apart(groups.size(), threads, call, [&](size_t g, int) {
            live[g] = live[g] && (groups[g].update(n) || n < groups[g].rows_in(rounds, rounds));
        });
    }
    for (GroupTrainer& group : groups) memory.give_back(group.close());
}

void train_whole(GroupTrainer& group, size_t rounds, Memories& memory) {
    group.open(memory.take());
    for (size_t round = 0; round < rounds; ++round) {
        const size_t n = group.rows_in(round, rounds);
        group.assign(0, panels_of(n));
        if (!group.update(n) && n == group.rows_in(rounds, rounds)) break;
    }
    memory.give_back(group.close());
}

}  // namespace

void train_groups(std::span<GroupTrainer> groups, size_t rounds, const Call& call) {
    const size_t panels = groups[0].panels();
    const double panel_work = groups[0].work_per_panel();
    const int threads = threads_for(call, panel_work * double(panels * rounds * groups.size()));
    const size_t whole = size_t(kTaskWork / panel_work), share = std::max<size_t>(1, size_t(kChunkWork / panel_work));
    Memories memory;
    if (whole >= panels) {
        parallel_apart(groups.size(), threads, call, [&](size_t g, int) { train_whole(groups[g], rounds, memory); });
        return;
    }
    const size_t most = std::min(kOpenBytes / groups[0].bytes(), kOpenAThread * size_t(threads));
    const size_t together = std::max<size_t>(1, most), batches = (groups.size() + together - 1) / together;
    for (size_t b = 0; b < batches; ++b) {
        const size_t first = b * groups.size() / batches, last = (b + 1) * groups.size() / batches;
        train_in_rounds(groups.subspan(first, last - first), rounds, share, threads, memory, call);
    }
}

}  // namespace annkit
