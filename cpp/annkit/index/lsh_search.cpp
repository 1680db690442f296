#include "annkit/index/lsh_search.h"

#include <algorithm>
#include <cstring>

#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Rows whose sketches are compared before the nearest are picked out: their distances stay in the first cache.
constexpr size_t kBlock = 1024;
constexpr size_t kAhead = 4;

}  // namespace

LshSearch::LshSearch(const LshHash& hash, const LshStore& store, Pool<Marks>& pool, const LshSettings& settings)
    : hash_(hash),
      store_(store),
      pool_(pool),
      settings_(settings),
      probes_(hash.family()),
      sketch_(hash.sketch_bytes()),
      rows_(kBlock),
      near_(kBlock),
      distances_(kBlock),
      at_(8 * hash.sketch_bytes() + 1) {
    if (store.tables() > 1 || !hash.family().one_key_a_slot()) marks_ = pool.take();
}

LshSearch::~LshSearch() {
    if (marks_) pool_.give_back(std::move(marks_));
}

void LshSearch::find(const float* values, const Scorer& scorer, const Bitset* allowed, TopK& top) {
    constexpr size_t kScored = 1024;
    const bool by_sketch = !sketch_.empty() && top.limit() != SIZE_MAX;
    allowed_ = allowed;
    settings_.candidates = std::max(settings_.candidates, by_sketch ? top.limit() : 0);
    collect(values, by_sketch);
    if (by_sketch) {
        found_.clear();
        for (const auto& [row, distance] : met_)
            if (distance <= bound_) found_.push_back(row);
    }
    scores_.resize(kScored);
    for (size_t first = 0; first < found_.size(); first += kScored) {
        const size_t n = std::min(kScored, found_.size() - first);
        scorer.gather(&found_[first], n, scores_.data());
        for (size_t i = 0; i < n; ++i)
            if (scores_[i] <= top.kth()) top.push(scores_[i], found_[first + i]);
    }
}

void LshSearch::collect(const float* values, bool by_sketch) {
    found_.clear();
    met_.clear();
    waiting_ = within_ = 0;
    std::fill(at_.begin(), at_.end(), size_t(0));
    bound_ = at_.size() - 1;
    if (marks_) marks_->start(store_.rows());
    if (by_sketch) hash_.sketch(values, sketch_.data());
    for (size_t t = 0; t < store_.tables(); ++t) {
        if (settings_.probes >= store_.slots()) {
            for (size_t slot = 0; slot < store_.slots(); ++slot) visit(t, uint32_t(slot), by_sketch);
            break;  // every row has been met
        }
        const std::vector<uint32_t>& slots = probes_.find(hash_.of_table(values, t), settings_.probes);
        for (size_t i = 0; i < std::min(2 * kAhead, slots.size()); ++i) store_.prefetch(t, slots[i]);
        for (size_t i = 0; i < slots.size(); ++i) {
            if (i + 2 * kAhead < slots.size()) store_.prefetch(t, slots[i + 2 * kAhead]);
            if (i + kAhead < slots.size()) {
                const LshStore::Run next = store_.run(t, slots[i + kAhead]);
                __builtin_prefetch(next.rows);
                for (size_t byte = 0; by_sketch && byte < std::min<size_t>(next.n * sketch_.size(), 512); byte += 64)
                    __builtin_prefetch(next.sketches + byte);
            }
            visit(t, slots[i], by_sketch);
        }
    }
    flush(by_sketch);
}

void LshSearch::visit(size_t table, uint32_t slot, bool by_sketch) {
    const simd::Kernels& kernels = simd::kernels();
    LshStore::Run run = store_.run(table, slot);
    while (run.n > 0) {
        const size_t n = std::min(run.n, kBlock - waiting_);
        std::memcpy(&rows_[waiting_], run.rows, n * sizeof(uint32_t));
        if (by_sketch) {
            kernels.hamming_scan(sketch_.data(), run.sketches, sketch_.size(), n, &distances_[waiting_]);
            run.sketches += n * sketch_.size();
        }
        run.rows += n, run.n -= n, waiting_ += n;
        if (waiting_ == kBlock) flush(by_sketch);
    }
    store_.chain(table, slot, [&](uint32_t row) {
        rows_[waiting_] = row;
        const void* sketch = by_sketch ? store_.chained_sketch(row) : nullptr;
        if (by_sketch) kernels.hamming(sketch_.data(), &sketch, sketch_.size(), 1, &distances_[waiting_]);
        if (++waiting_ == kBlock) flush(by_sketch);
    });
}

void LshSearch::flush(bool by_sketch) {
    if (by_sketch) {
        const size_t n = simd::kernels().select(distances_.data(), waiting_, float(bound_), near_.data());
        for (size_t i = 0; i < n; ++i) meet(rows_[near_[i]], uint32_t(distances_[near_[i]]));
    } else {
        for (size_t i = 0; i < waiting_; ++i)
            if ((allowed_ == nullptr || allowed_->test(rows_[i])) && (!marks_ || marks_->mark(rows_[i])))
                found_.push_back(rows_[i]);
    }
    waiting_ = 0;
}

// All rows at the largest distance that is needed are candidates: which ones does not depend on the order they come in.
void LshSearch::meet(uint32_t row, uint32_t distance) {
    if (distance > bound_ || (allowed_ != nullptr && !allowed_->test(row)) || (marks_ && !marks_->mark(row))) return;
    met_.emplace_back(row, distance);
    ++at_[distance];
    ++within_;
    while (within_ - at_[bound_] >= settings_.candidates) within_ -= at_[bound_--];
}

}  // namespace annkit
