#include "annkit/index/pipeline.h"

#include <algorithm>
#include <mutex>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"

namespace annkit {
namespace {

constexpr size_t kMaxDim = size_t(1) << 24, kMaxTransforms = 16;

// Rows through one transform, in parallel: a row's result does not depend on those beside it.
std::vector<float> apply_one(const Transform& transform, const Rows& rows, const Call& call) {
    constexpr size_t kBlock = 256;
    const size_t dim_out = transform.dim_out(rows.dim);
    std::vector<float> out(rows.n * dim_out);
    const double work = double(rows.n) * double(rows.dim) * 16;
    parallel_for((rows.n + kBlock - 1) / kBlock, threads_for(call, work), call, [&](size_t task, int) {
        const size_t first = task * kBlock;
        transform.apply(rows.slice(first, std::min(kBlock, rows.n - first)), &out[first * dim_out]);
    });
    return out;
}

}  // namespace

Pipeline::Pipeline(std::vector<std::unique_ptr<Transform>> transforms, std::unique_ptr<Index> index)
    : transforms_(std::move(transforms)), index_(std::move(index)) {
    check(!transforms_.empty() && transforms_.size() <= kMaxTransforms, "Pipeline has ", transforms_.size(),
          " transforms, expected 1 to ", kMaxTransforms);
    check(index_->metric() != Metric::hamming || index_->query_type(Dtype::f32) == Dtype::f32,
          "Pipeline makes float rows, which ", index_->repr(), " does not take");
    for (const auto& transform : transforms_)
        if (dim_ == 0) dim_ = transform->dim_in();
}

std::string Pipeline::repr() const {
    std::string text = "Pipeline(";
    for (const auto& transform : transforms_) text += transform->repr() + ", ";
    return text + index_->repr() + ")";
}

// A string's refinement is of the rows before the transforms.
std::string Pipeline::factory() const {
    check(index_->kind() != "refine", "no factory string puts transforms before ", index_->repr());
    std::string text = index_->factory();
    for (size_t i = transforms_.size(); i-- > 0;) text = transforms_[i]->factory(text) + "," + text;
    return text;
}

bool Pipeline::is_fitted() const {
    std::shared_lock lock(mutex_);
    return std::all_of(transforms_.begin(), transforms_.end(), [](const auto& t) { return t->is_fitted(); }) &&
           index_->is_fitted();
}

size_t Pipeline::dim() const {
    std::shared_lock lock(mutex_);
    return dim_;
}

std::vector<std::unique_ptr<Transform>> Pipeline::transforms() const {
    std::shared_lock lock(mutex_);
    std::vector<std::unique_ptr<Transform>> copies;
    for (const auto& transform : transforms_) copies.push_back(transform->clone());
    return copies;
}

Dtype Pipeline::query_type(Dtype given) const {
    check<TypeError>(given != Dtype::bits, "the array holds bits, Pipeline expects floats or integers");
    return given;
}

void Pipeline::check_ready() const {
    for (const auto& transform : transforms_)
        if (!transform->is_fitted()) fail<NotFittedError>(repr(), " has not been fitted; call fit(x) first");
    if (!index_->is_fitted()) fail<NotFittedError>(repr(), " has not been fitted; call fit(x) first");
}

void Pipeline::check_dim(const Rows& rows, std::string_view what) const {
    check(dim_ == 0 || rows.dim == dim_, what, " has dimension ", rows.dim, ", the index has ", dim_);
}

std::vector<float> Pipeline::apply(const Rows& rows, const Call& call) const {
    std::vector<float> now = apply_one(*transforms_.front(), rows, call);
    size_t dim = transforms_.front()->dim_out(rows.dim);
    for (size_t i = 1; i < transforms_.size(); ++i) {
        now = apply_one(*transforms_[i], Rows::of(now.data(), rows.n, dim, rows.first), call);
        dim = transforms_[i]->dim_out(dim);
    }
    return now;
}

// Fitted copies take the place of the transforms when all has been learned.
void Pipeline::fit(const Rows& rows, const Fit& fit) {
    std::unique_lock change(changing_), lock(mutex_);
    check(rows.dim > 0 && rows.dim <= kMaxDim, "the array has ", rows.dim, " columns, expected 1 to ", kMaxDim);
    check(index_->size() == 0, "the index holds ", index_->size(), " rows, fit wants an empty one");
    std::vector<std::unique_ptr<Transform>> fitted;
    std::vector<float> now;
    Rows current = rows;
    constexpr double kTransforms = 0.7;  // of the time
    const double share = kTransforms / double(std::max<size_t>(transforms_.size(), 1));
    const auto part_of = [&fit](Phase& phase) {
        return Fit{fit.seed, {fit.call.threads, phase.monitor()}, fit.labels};
    };
    for (const auto& transform : transforms_) {
        Phase phase(fit.call.monitor, share * double(fitted.size()), share * double(fitted.size() + 1));
        const Fit part = part_of(phase);
        fitted.push_back(transform->clone());
        Transform& next = *fitted.back();
        if (!next.is_fitted() || next.dim_in() != current.dim) next.fit(current, part);
        std::vector<float> out = apply_one(next, current, part.call);
        const size_t dim = next.dim_out(current.dim);
        now = std::move(out);
        current = Rows::of(now.data(), rows.n, dim, rows.first);
    }
    Phase rest(fit.call.monitor, kTransforms, 1);
    index_->fit(current, part_of(rest));
    transforms_ = std::move(fitted);
    dim_ = rows.dim;
}

std::vector<MemoryEntry> Pipeline::memory() const {
    std::shared_lock lock(mutex_);
    std::vector<MemoryEntry> entries = index_->memory();
    size_t bytes = 0;
    for (const auto& transform : transforms_) bytes += transform->nbytes();
    entries.push_back({"transforms", bytes});
    return entries;
}

// In blocks, so that the transformed rows take little memory. Rows of earlier blocks go out again where a later one
// fails; what they replaced could not come back, so replacing takes one block, as do indexes that cannot undo.
void Pipeline::add(const Rows& rows, const Ids& ids, bool replace, const Call& call) {
    constexpr size_t kBlock = 131072;
    std::unique_lock change(changing_);
    check_ready();
    check_dim(rows, "the array");
    const Undo take_back = replace ? Undo() : index_->undo();
    const size_t block = take_back ? kBlock : std::max<size_t>(rows.n, 1);
    std::unique_lock lock(mutex_, std::defer_lock);
    if (rows.n > block) lock.lock();  // searches see all rows or none
    try {
        for (size_t first = 0; first < rows.n; first += block) {
            const size_t n = std::min(block, rows.n - first);
            Phase phase(call.monitor, double(first) / double(rows.n), double(first + n) / double(rows.n));
            const Call part{call.threads, phase.monitor()};
            const std::vector<float> inner = apply(rows.slice(first, n), part);
            Ids some;
            if (ids) {
                check(ids->size() == rows.n, "got ", ids->size(), " ids for ", rows.n, " rows, expected one a row");
                some = ids->subspan(first, n);
            }
            index_->add(Rows::of(inner.data(), n, inner.size() / n, rows.first + first), some, replace, part);
        }
    } catch (...) {
        if (take_back) take_back();
        throw;
    }
    if (!lock) lock.lock();
    dim_ = rows.dim;
}

Index::Undo Pipeline::undo() {
    std::shared_lock lock(mutex_);
    const Undo inner = index_->undo();
    if (!inner) return {};
    return [this, dim = dim_, inner] {
        std::unique_lock change(changing_), again(mutex_);
        inner();
        dim_ = dim;
    };
}

// The index's part of the work, block by block: few transformed rows at a time, and a signal waits for no long pass.
template <class Body>
void Pipeline::each_block(const Rows& queries, const Request& request, const Body& body) const {
    constexpr size_t kQueries = 16384;
    check_ready();
    check_dim(queries, "the query");
    const size_t dim = dim_out(queries.dim);
    for (size_t first = 0; first == 0 || first < queries.n; first += kQueries) {
        const size_t n = std::min(kQueries, queries.n - first);
        std::vector<Filter> filters(request.filters);
        if (filters.size() > 1 && filters.size() == queries.n)
            filters.assign(request.filters.begin() + ptrdiff_t(first), request.filters.begin() + ptrdiff_t(first + n));
        const std::vector<float> inner = apply(queries.slice(first, n), request.call);
        body(first, Rows::of(inner.data(), n, dim, queries.first + first),
             Request{filters, request.settings, request.call, request.on_hits});
    }
}

void Pipeline::search(const Rows& queries, size_t k, const Request& request, const Answer& out) const {
    std::shared_lock lock(mutex_);
    each_block(queries, request, [&](size_t first, const Rows& inner, const Request& part) {
        const auto from_here = [&](auto* all) { return all != nullptr ? all + first * k : nullptr; };
        index_->search(inner, k, part, {from_here(out.distances), from_here(out.counts), out.ids + first * k});
    });
}

RangeAnswer Pipeline::range_search(const Rows& queries, float radius, const Request& request) const {
    std::shared_lock lock(mutex_);
    RangeAnswer all{{0}, {}, {}};
    each_block(queries, request, [&](size_t, const Rows& inner, const Request& part) {
        const RangeAnswer some = index_->range_search(inner, radius, part);
        const int64_t before = all.lims.back();
        for (size_t i = 1; i < some.lims.size(); ++i) all.lims.push_back(before + some.lims[i]);
        all.distances.insert(all.distances.end(), some.distances.begin(), some.distances.end());
        all.ids.insert(all.ids.end(), some.ids.begin(), some.ids.end());
    });
    return all;
}

// What the index does by itself, but not between the steps of an add.
void Pipeline::reserve(size_t rows) {
    const std::lock_guard change(changing_);
    index_->reserve(rows);
}

void Pipeline::remove(std::span<const int64_t> ids, const Call& call) {
    const std::lock_guard change(changing_);
    index_->remove(ids, call);
}

void Pipeline::compact(const Call& call) {
    const std::lock_guard change(changing_);
    index_->compact(call);
}

size_t Pipeline::dim_out(size_t dim) const {
    for (const auto& transform : transforms_) dim = transform->dim_out(dim);
    return dim;
}

void Pipeline::reconstruct(std::span<const int64_t> ids, void* out) const {
    std::shared_lock lock(mutex_);
    check_ready();
    std::vector<size_t> dims{dim_};
    for (const auto& transform : transforms_) {
        check(transform->is_invertible(), transform->repr(), " cannot be taken back, so rows cannot be reconstructed");
        dims.push_back(transform->dim_out(dims.back()));
    }
    check(index_->decoded() == Dtype::f32, index_->repr(), " does not give floats, so rows cannot be reconstructed");
    std::vector<float> now(ids.size() * dims.back());
    index_->reconstruct(ids, now.data());
    for (size_t i = transforms_.size(); i-- > 0;) {
        std::vector<float> before(ids.size() * dims[i]);
        transforms_[i]->invert(now.data(), ids.size(), before.data());
        now = std::move(before);
    }
    std::copy(now.begin(), now.end(), static_cast<float*>(out));
}

Index::Held Pipeline::hold() const {
    Held held;
    held.emplace_back(changing_);
    held.emplace_back(mutex_);
    for (auto& lock : index_->hold()) held.push_back(std::move(lock));
    return held;
}

Index::Held Pipeline::hold_for_reading() const {
    Held held;
    held.emplace_back(mutex_);
    for (auto& lock : index_->hold_for_reading()) held.push_back(std::move(lock));
    return held;
}

void Pipeline::save(Writer& out) const {
    out.value("dim", int64_t(dim_));
    out.value("transforms", int64_t(transforms_.size()));
    for (size_t i = 0; i < transforms_.size(); ++i) out.part(concat("transform", i), *transforms_[i]);
    out.part("index", *index_);
}

std::unique_ptr<Index> Pipeline::load(const Reader& in) {
    const auto n = size_t(in.integer("transforms", 1, kMaxTransforms));
    std::vector<std::unique_ptr<Transform>> transforms;
    for (size_t i = 0; i < n; ++i) transforms.push_back(Registry<Transform>::load(in.child(concat("transform", i))));
    std::unique_ptr<Pipeline> pipeline;
    try {
        pipeline = std::make_unique<Pipeline>(std::move(transforms), Registry<Index>::load(in.child("index")));
    } catch (const TypeError& error) {  // an index of bits
        fail<FormatError>(in.file(), ": ", error.what());
    }
    pipeline->dim_ = size_t(in.integer("dim", 0, kMaxDim));
    size_t dim = pipeline->dim_;
    const Index& index = *pipeline->index_;
    for (const auto& transform : pipeline->transforms_) {
        if (!transform->is_fitted()) {
            check<FormatError>(index.size() == 0, in.file(), ": rows behind a transform that has not been fitted");
            return pipeline;
        }
        check<FormatError>(dim == 0 || transform->dim_in() == 0 || transform->dim_in() == dim, in.file(), ": ",
                           transform->repr(), " does not take rows of dimension ", dim);
        dim = dim == 0 ? 0 : transform->dim_out(dim);
    }
    check<FormatError>(index.size() == 0 || (dim > 0 && index.dim() == dim), in.file(),
                       ": the transforms do not lead to the index's dimension ", index.dim());
    return pipeline;
}

}  // namespace annkit
