// An index that holds rows itself: what Flat, IVF, HNSW, LSH tables and multi-index hashing have in common, which is
// ids, removed rows, locks, and the way from hits to answers. Each adds where its codes lie and which rows a query
// looks at.
#pragma once

#include <functional>
#include <mutex>
#include <shared_mutex>

#include "annkit/codec/codec.h"
#include "annkit/index/index.h"

namespace annkit {

class RowIndex : public Index {
  public:
    size_t size() const final;
    size_t dim() const final;
    std::vector<MemoryEntry> memory() const final;
    std::unique_ptr<Codec> codec_copy() const final;
    Metric metric() const final { return metric_; }
    bool is_fitted() const final;
    Dtype query_type(Dtype given) const final;
    Dtype decoded() const final { return types_.decoded; }

    void search(const Rows& queries, size_t k, const Request& request, const Answer& out) const override;
    RangeAnswer range_search(const Rows& queries, float radius, const Request& request) const override;
    void remove(std::span<const int64_t> ids, const Call& call) final;
    // The same in two steps, for who keeps other changes away meanwhile: all that may fail, then the rest.
    std::vector<uint32_t> expect_removal(std::span<const int64_t> ids);
    void remove_expected(std::span<const uint32_t> rows);
    void compact(const Call& call) final;
    void reconstruct(std::span<const int64_t> ids, void* out) const final;
    std::vector<int64_t> ids() const final;
    Held hold() const final;
    Held hold_for_reading() const final;

  protected:
    static constexpr size_t kMaxDim = size_t(1) << 24;  // a row has to fit the kernels' arithmetic and a slab
    using Lock = std::unique_lock<FairMutex>;
    using Take = FunctionRef<void(size_t query, std::span<const Hit> hits)>;

    // unit: rows are scaled to length one and compared by inner product.
    RowIndex(const Codec& codec, Metric metric, bool unit)
        : codec_(codec.clone()), metric_(metric), unit_(unit), types_(codec) {}

    // What an index adds, each asked under its locks; run and decode where there are rows. Each query collects into a
    // copy of empty.
    virtual bool has_learned() const = 0;
    virtual void run(const Rows& queries, const TopK& empty, const Request& request, Take take) const = 0;
    virtual void decode(std::span<const uint32_t> rows, std::byte* out) const = 0;
    virtual void measure(std::vector<MemoryEntry>& entries) const = 0;  // all but codec and ids
    virtual bool is_view() const = 0;                                   // of a mapped file, which does not change
    // Compaction of all that knows rows but members_, which comes next and cannot fail; nothing has changed if it
    // throws. lock is of mutex_, and may be let go until something is written.
    virtual void keep(const std::vector<uint32_t>& live, Lock& lock, const Call& call) = 0;

    void check_ready() const;
    void check_writable() const;
    void check_dim(const Rows& rows) const;  // of rows to add
    void check_empty() const;                // before a fit
    Metric inner_metric() const { return unit_ ? Metric::ip : metric_; }
    // Codes rows behind those that are there, into places that are reserved.
    void append_codes(const Codec& codec, const Rows& rows, Codes& into, const Call& call) const;
    void decode_from(const Codes& codes, std::span<const uint32_t> rows, std::byte* out) const;
    size_t row_bytes() const;  // of a decoded row
    // Sets the room of members_ and of what else holds rows; if that fails, back to what it was, which cannot.
    void reserve_room(size_t rows, const std::function<void(size_t)>& set_room);
    // Once members_ expect it, only a monitor can stop it, and the rows then stay. lock is of mutex_ and may have been
    // let go afterwards; changing_ is held, too.
    void remove_rows(std::span<const uint32_t> rows, Lock& lock, const Call& call);
    void write_answer(const Answer& out, size_t query, size_t k, std::span<const Hit> hits) const;
    float distance(float score) const;
    float score_within(float radius) const;
    size_t load_members(const Reader& in);  // and the dimension; how many rows there are

    std::unique_ptr<Codec> codec_;
    Metric metric_;
    bool unit_;
    size_t dim_ = 0;
    Members members_;
    // A change holds the first from beginning to end, and the second while it writes what searches read.
    mutable FairMutex changing_, mutex_;

  private:
    // The same whatever the codec learns: nobody locks what fit may replace to ask for it.
    struct Types {
        explicit Types(const Codec& codec);
        bool accept(Dtype type) const { return (accepted >> size_t(type) & 1) != 0; }
        unsigned accepted = 0;  // a bit a type
        std::string_view expected;
        Dtype decoded;
    };

    void check_search(const Rows& queries, const Request& request) const;
    std::vector<uint32_t> rows_to_remove(std::span<const int64_t> ids);
    void keep_live_rows(Lock& lock, const Call& call);

    const Types types_;
};

}  // namespace annkit
