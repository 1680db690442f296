#include "annkit/index/substring_tables.h"

#include <algorithm>
#include <bit>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"

namespace annkit {
namespace {

// Keys and sketches of a stretch of rows at a time, table by table.
class Stretch {
  public:
    static constexpr size_t kRows = size_t(1) << 16;

    Stretch(const Codes& codes, size_t rows, const Substrings& parts)
        : codes_(codes), parts_(parts), words_(parts.tables()) {
        for (auto& one : words_) one.resize(2 * std::min(rows, kRows));
    }
    void read(size_t first, size_t n, int threads, const Call& call) {
        parallel_blocks(n, 1024, threads, call, [&](size_t from, size_t count) {
            uint64_t words[Substrings::kWords];
            for (size_t i = from; i < from + count; ++i) {
                parts_.permute(codes_.code(first + i), words);
                for (size_t t = 0; t < parts_.tables(); ++t) {
                    words_[t][2 * i] = parts_.key(words, t);
                    words_[t][2 * i + 1] = parts_.sketch(words, t);
                }
            }
        });
    }
    uint32_t key(size_t table, size_t i) const { return words_[table][2 * i]; }
    uint32_t sketch(size_t table, size_t i) const { return words_[table][2 * i + 1]; }

  private:
    const Codes& codes_;
    const Substrings& parts_;
    std::vector<std::vector<uint32_t>> words_;
};

}  // namespace

size_t SubstringTables::tables_for(size_t bits, size_t rows) {
    // At least 4 bits; at most 20, so that a table of values stays in the caches.
    const size_t width = std::clamp<size_t>(size_t(std::bit_width(rows)) - 1, 4, 20);
    return (bits + width - 1) / width;
}

SubstringTables::SubstringTables(Substrings parts, size_t rows) : parts_(std::move(parts)), rows_(rows), first_{0} {
    for (size_t t = 0; t < parts_.tables(); ++t) first_.push_back(first_.back() + (size_t(1) << parts_.width(t)) + 1);
}

SubstringTables::SubstringTables(const Codes& codes, size_t rows, Substrings parts, const Call& call)
    : SubstringTables(std::move(parts), rows) {
    const size_t each = parts_.tables() * rows_;
    memory_ = allocate((values() + 2 * each) * sizeof(uint32_t));
    const auto* data = reinterpret_cast<const uint32_t*>(memory_.get());
    starts_ = {data, values()};
    sketches_ = {data + values(), each};
    members_ = {data + values() + each, each};
    fill(codes, call);
}

// Two passes, counts and then places, by stretches of rows: no step takes long.
void SubstringTables::fill(const Codes& codes, const Call& call) {
    auto* starts = reinterpret_cast<uint32_t*>(memory_.get());
    uint32_t* sketches = starts + values();
    uint32_t* members = sketches + parts_.tables() * rows_;
    const size_t tables = parts_.tables();
    const int threads = threads_for(call, double(rows_) * double(parts_.bits()));
    std::fill_n(starts, values(), 0);
    Stretch stretch(codes, rows_, parts_);
    const auto each_stretch = [&](auto&& act) {
        for (size_t first = 0; first < rows_; first += Stretch::kRows) {
            const size_t n = std::min(Stretch::kRows, rows_ - first);
            stretch.read(first, n, threads, call);
            parallel_for(tables, threads, call, [&](size_t t, int) { act(t, first, n); });
        }
    };
    // A value's count goes two places up, so that the second pass leaves its start where it belongs.
    each_stretch([&](size_t t, size_t, size_t n) {
        for (size_t i = 0; i < n; ++i) {
            const size_t key = stretch.key(t, i);
            if (key + 2 < first_[t + 1] - first_[t]) ++starts[first_[t] + key + 2];
        }
    });
    for (size_t t = 0; t < tables; ++t)
        for (size_t i = first_[t] + 1; i < first_[t + 1]; ++i) starts[i] += starts[i - 1];
    each_stretch([&](size_t t, size_t first, size_t n) {
        for (size_t i = 0; i < n; ++i) {
            const size_t at = t * rows_ + starts[first_[t] + stretch.key(t, i) + 1]++;
            sketches[at] = stretch.sketch(t, i);
            members[at] = uint32_t(first + i);
        }
    });
}

size_t SubstringTables::nbytes() const {
    return (starts_.size() + sketches_.size() + members_.size() + parts_.order().size()) * sizeof(uint32_t);
}

void SubstringTables::save(Writer& out) const {
    out.value("tabled", int64_t(rows_));
    out.array("order", parts_.order());
    out.value("tables", int64_t(parts_.tables()));
    out.array("starts", starts_);
    out.array("sketches", sketches_);
    out.array("members", members_);
}

SubstringTables SubstringTables::load(const Reader& in, size_t bits, size_t most_rows) {
    const auto rows = size_t(in.integer("tabled", 0, int64_t(most_rows)));
    const auto tables = size_t(in.integer("tables", 1, int64_t(bits)));
    const auto order = in.array<uint32_t>("order", bits);
    std::vector<bool> seen(bits);
    for (uint32_t bit : order) {
        check<FormatError>(bit < bits && !seen[bit], in.file(), ": bit ", bit, " of ", bits,
                           " is out of range or in two substrings");
        seen[bit] = true;
    }
    Substrings parts({order.begin(), order.end()}, tables);
    for (size_t t = 0; t < tables; ++t)
        check<FormatError>(parts.width(t) <= Substrings::kMostWidth, in.file(), ": a substring of ", parts.width(t),
                           " bits, expected at most ", Substrings::kMostWidth);
    SubstringTables made(std::move(parts), rows);
    const size_t each = tables * rows;
    if (in.is_mapped()) {
        made.starts_ = in.array<uint32_t>("starts", made.values());
        made.sketches_ = in.array<uint32_t>("sketches", each);
        made.members_ = in.array<uint32_t>("members", each);
        made.owner_ = in.storage();
    } else {
        check<FormatError>(
            in.rows("starts") == made.values() && in.rows("members") == each && in.rows("sketches") == each, in.file(),
            ": tables of ", in.rows("starts"), " values and ", in.rows("members"), " rows, expected ", made.values(),
            " and ", each);
        made.memory_ = allocate((made.values() + 2 * each) * sizeof(uint32_t));
        auto* data = reinterpret_cast<uint32_t*>(made.memory_.get());
        in.read_into("starts", std::span(data, made.values()));
        in.read_into("sketches", std::span(data + made.values(), each));
        in.read_into("members", std::span(data + made.values() + each, each));
        made.starts_ = {data, made.values()};
        made.sketches_ = {data + made.values(), each};
        made.members_ = {data + made.values() + each, each};
    }
    for (size_t t = 0; t < tables; ++t) {
        const auto starts = made.starts_.subspan(made.first_[t], made.first_[t + 1] - made.first_[t]);
        check<FormatError>(starts.front() == 0 && starts.back() == rows && std::is_sorted(starts.begin(), starts.end()),
                           in.file(), ": the values of table ", t, " do not share out ", rows, " rows");
    }
    for (uint32_t row : made.members_)
        check<FormatError>(row < rows, in.file(), ": row ", row, " of ", rows, " in a table");
    return made;
}

}  // namespace annkit
