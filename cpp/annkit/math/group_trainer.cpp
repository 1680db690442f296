#include "annkit/math/group_trainer.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "annkit/core/pool.h"
#include "annkit/math/middle.h"
#include "annkit/math/transpose.h"
#include "annkit/simd/kernels.h"
#include "annkit/simd/prefetch.h"

namespace annkit {
namespace {

// Float sums of so many rows, or of sixteen a centroid, go on in double.
constexpr size_t kLeastSums = 1024;

// Rows that a thread takes at a time.
constexpr size_t kRowsATask = 16 * simd::kGroupPoints;
constexpr double kWorkANumber = 8;  // of copies, in multiply-adds

size_t panels_of(size_t n) { return (n + simd::kGroupPoints - 1) / simd::kGroupPoints; }

// The compiler by itself adds one float after the other.
using Four = float __attribute__((vector_size(16), aligned(sizeof(float)), may_alias));
void add_four(float* to, const float* from) { *reinterpret_cast<Four*>(to) += *reinterpret_cast<const Four*>(from); }

// kPadded: 0 where only the argument tells.
template <size_t kPadded>
void add_rows(const float* points, const uint32_t* nearest, size_t n, size_t padded, float* sums, uint32_t* counts) {
    constexpr size_t kTogether = 16;  // fewer make a loop so short that it is slow where it lies badly
    const size_t width = kPadded > 0 ? kPadded : padded;
    for (size_t i = 0; i < n; ++i, points += width) {
        float* to = sums + nearest[i] * width;
        size_t j = 0;
        for (; j + kTogether <= width; j += kTogether)
            for (size_t t = 0; t < kTogether; t += 4) add_four(to + j + t, points + j + t);
        for (; j < width; j += 4) add_four(to + j, points + j);
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

void GroupTrainer::open(std::unique_ptr<Memory> memory, const Call& call) {
    const size_t n = rows_.chosen.size(), room = panels() * simd::kGroupPoints;
    memory_ = std::move(memory);
    memory_->reserve(sizeof(float) * values());
    panels_ = memory_->floats();
    points_ = panels_ + room * dim_;
    nearest_ = reinterpret_cast<uint32_t*>(points_ + room * padded_);
    before_ = nearest_ + room;
    measured_ = 0;
    middle_ = middle_of(n, dim_, [this](size_t i) { return row(i); }).point;
    const std::vector<float> zero(dim_);
    const double work = kWorkANumber * double(n) * double(dim_);
    parallel_blocks(n, kRowsATask, threads_for(call, work), call, [&](size_t first, size_t count) {
        center(first, first + count);
        pack_group(point(first), padded_, count, dim_, zero.data(), panels_ + first * dim_);
    });
    if (ByteAssigner::pays(dim_, k_)) bytes_.emplace(ByteAssigner::Points{points_, n, dim_, padded_}, call);
    if (bytes_ && !bytes_->will_do(bytes_->spread())) bytes_.reset();
    begin();
}

std::unique_ptr<GroupTrainer::Memory> GroupTrainer::close() {
    bytes_.reset();
    columns_ = {};
    return std::move(memory_);
}

// Rows first to last: the points less a middle of theirs, zeros behind them.
void GroupTrainer::center(size_t first, size_t last) {
    constexpr size_t kAhead = 16;  // rows, which lie apart from each other
    const size_t dim = dim_, padded = padded_, whole = dim / 4 * 4, most = rows_.chosen.size() - 1;
    const float* middle = middle_.data();
    for (size_t i = first; i < last; ++i) {
        const auto* coming = reinterpret_cast<const std::byte*>(row(std::min(i + kAhead, most)));
        for (size_t byte = 0; byte < dim * sizeof(float) + 63; byte += 64) simd::prefetch(coming + byte);
        const float* x = row(i);
        float* to = point(i);
        for (size_t j = 0; j < whole; j += 4)
            for (size_t t = 0; t < 4; ++t) to[j + t] = x[j + t] - middle[j + t];
        for (size_t j = whole; j < padded; ++j) to[j] = j < dim ? x[j] - middle[j] : 0;
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
    if (bytes_) {
        tiles_ = bytes_->round(centroids_, {});
    } else {
        columns_.resize(centroids_.size());
        transpose(centroids_.data(), dim_, k_, dim_, columns_.data(), k_);
    }
}

// In steps of milliseconds, so that a call can be stopped.
void GroupTrainer::assign_rows(size_t n, Crew& crew) {
    constexpr double kStepWork = 1e8, kTaskWork = 1e6;
    const size_t some = std::clamp<size_t>(size_t(kTaskWork / work_per_panel()), 4, 32);
    const size_t panels = panels_of(n), tasks = (panels + some - 1) / some;
    const size_t steps = 1 + size_t(work_per_panel() * double(panels) / kStepWork);
    std::atomic<bool> failed{false};
    for (size_t step = 0; step < steps; ++step) {
        const size_t first = step * tasks / steps, last = (step + 1) * tasks / steps;
        crew.run(last - first, [&](size_t task) {
            try {
                assign((first + task) * some, std::min((first + task + 1) * some, panels));
            } catch (const std::bad_alloc&) {  // a crew's steps may not throw
                failed = true;
            }
        });
        if (failed) throw std::bad_alloc();
    }
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
                                     columns_.data(), norms_.data(), k_, nearest);
}

// Stretches of rows have sums of their own, which are added in the order of the rows.
void GroupTrainer::sum_cells(size_t n, std::vector<double>& sums, std::vector<uint32_t>& counts, Crew& crew) const {
    const auto add = padded_ == 4 ? add_rows<4> : padded_ == 8 ? add_rows<8> : add_rows<0>;
    const size_t step = std::max(kLeastSums, 16 * k_), stretches = (n + step - 1) / step, size = k_ * padded_;
    std::vector<float> parts(stretches * size);
    std::vector<uint32_t> part_counts(stretches * k_);
    crew.run(stretches, [&](size_t s) {
        const size_t first = s * step, count = std::min(step, n - first);
        add(point(first), nearest_ + first, count, padded_, &parts[s * size], &part_counts[s * k_]);
    });
    for (size_t s = 0; s < stretches; ++s) {
        for (size_t i = 0; i < size; ++i) sums[i] += parts[s * size + i];
        for (size_t c = 0; c < k_; ++c) counts[c] += part_counts[s * k_ + c];
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
bool GroupTrainer::update(size_t n, Crew& crew) {
    if (measured_ == n && std::equal(before_, before_ + n, nearest_)) return false;
    std::vector<double> sums(k_ * padded_);
    std::vector<uint32_t> counts(k_);
    sum_cells(n, sums, counts, crew);
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
    const Call unseen{threads, nullptr};  // too short to be looked at
    parallel_apart(groups.size(), threads, unseen,
                   [&](size_t g, int) { groups[g].open(memory.take(), {.threads = 1}); });
    for (size_t round = 0; round < rounds; ++round) {
        Phase share(call.monitor, double(round) / double(rounds), double(round + 1) / double(rounds));
        const Call part{threads, share.monitor()};
        const size_t n = groups[0].rows_in(round, rounds), panels = panels_of(n), chunks = (panels + chunk - 1) / chunk;
        parallel_apart(groups.size() * chunks, threads, part, [&](size_t task, int) {
            const size_t first = task % chunks * chunk;
            if (live[task / chunks]) groups[task / chunks].assign(first, std::min(first + chunk, panels));
        });
        parallel_apart(groups.size(), threads, unseen, [&](size_t g, int) {
            with_crew(1, {}, [&](Crew& alone) {
                live[g] = live[g] && (groups[g].update(n, alone) || n < groups[g].rows_in(rounds, rounds));
            });
        });
    }
    for (GroupTrainer& group : groups) memory.give_back(group.close());
}

// One group, by all threads.
void train_group(GroupTrainer& group, size_t rounds, int threads, Memories& memory, const Call& call) {
    group.open(memory.take(), {threads, call.monitor});
    with_crew(threads, call, [&](Crew& crew) {
        for (size_t round = 0; round < rounds; ++round) {
            const size_t n = group.rows_in(round, rounds);
            group.assign_rows(n, crew);
            if (!group.update(n, crew) && n == group.rows_in(rounds, rounds)) break;
        }
    });
    memory.give_back(group.close());
}

void train_apart(std::span<GroupTrainer> groups, size_t rounds, int threads, Memories& memory, const Call& call) {
    const double panel_work = groups[0].work_per_panel();
    const size_t whole = size_t(kTaskWork / panel_work), share = std::max<size_t>(1, size_t(kChunkWork / panel_work));
    if (whole >= groups[0].panels()) {
        parallel_apart(groups.size(), threads, call,
                       [&](size_t g, int) { train_group(groups[g], rounds, 1, memory, {.threads = 1}); });
        return;
    }
    const size_t most = std::min(kOpenBytes / groups[0].bytes(), kOpenAThread * size_t(threads));
    const size_t together = std::max<size_t>(1, most), batches = (groups.size() + together - 1) / together;
    for (size_t b = 0; b < batches; ++b) {
        const size_t first = b * groups.size() / batches, last = (b + 1) * groups.size() / batches;
        Phase batch(call.monitor, double(b) / double(batches), double(b + 1) / double(batches));
        train_in_rounds(groups.subspan(first, last - first), rounds, share, threads, memory,
                        {threads, batch.monitor()});
    }
}

}  // namespace

// As many groups as come out even are shared out; of few that are left, all threads take one at a time.
void train_groups(std::span<GroupTrainer> groups, size_t rounds, const Call& call) {
    constexpr size_t kCrew = 8;  // of more threads the others have hardly anything to do
    const double work = groups[0].work_per_panel() * double(groups[0].panels() * rounds * groups.size());
    const auto threads = size_t(threads_for(call, work));
    const size_t rest = groups.size() % threads, alone = 4 * rest <= 3 * std::min(threads, kCrew) ? rest : 0;
    Memories memory;
    if (alone < groups.size()) train_apart(groups.first(groups.size() - alone), rounds, int(threads), memory, call);
    for (GroupTrainer& group : groups.last(alone)) train_group(group, rounds, int(threads), memory, call);
}

}  // namespace annkit
