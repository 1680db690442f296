#include "annkit/index/lsh_store.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "annkit/core/bitset.h"
#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"

namespace annkit {
namespace {

// Rows in chains become runs when there are so many of them, and more than this share of rows and slots: a row is moved
// some eight times while an index grows one by one, and a search meets few chains.
constexpr size_t kChains = 1024, kChainShare = 8;

}  // namespace

LshStore::LshStore(size_t tables, size_t bits, size_t sketch_bytes)
    : slots_(size_t(1) << bits), bytes_(sketch_bytes), tables_(tables) {
    for (Table& table : tables_) {
        table.starts = Block<uint32_t>(slots_ + 1);
        std::memset(table.starts.data(), 0, (slots_ + 1) * sizeof(uint32_t));
    }
}

size_t LshStore::nbytes() const {
    size_t total = sketches_.capacity();
    for (const Table& t : tables_) {
        total += t.starts.nbytes() + t.rows.nbytes() + t.sketches.nbytes();
        total += (t.slots.capacity() + t.next.capacity() + t.heads.capacity()) * sizeof(uint32_t);
    }
    return total;
}

void LshStore::reserve(size_t n) {
    sketches_.resize((chained_ + n) * bytes_);
    for (Table& table : tables_) table.slots.resize(chained_ + n);
}

void LshStore::prepare() {
    const size_t chained = chained_ + coming();
    if (chained >= kChains && chained * kChainShare > merged_ + slots_) {
        for (const Table& table : tables_) fresh_.push_back(sorted(table, chained));
        return;
    }
    for (Table& table : tables_) {
        table.next.resize(chained);
        if (table.heads.empty()) table.heads.assign(slots_, kNone);
    }
}

void LshStore::commit() noexcept {
    const size_t n = coming();
    if (!fresh_.empty()) return adopt(std::move(fresh_), rows() + n);
    for (Table& table : tables_)
        for (size_t i = chained_; i < chained_ + n; ++i) {
            uint32_t& head = table.heads[table.slots[i]];
            table.next[i] = head;
            head = uint32_t(i);
        }
    chained_ += n;
}

void LshStore::drop() noexcept {
    fresh_.clear();
    sketches_.resize(chained_ * bytes_);
    for (Table& table : tables_) {
        table.slots.resize(chained_);
        table.next.resize(std::min(table.next.size(), chained_));
    }
}

LshStore::Sorted LshStore::sorted(const Table& table, size_t chained) const {
    Sorted out{Block<uint32_t>(slots_ + 1), Block<uint32_t>(merged_ + chained),
               Block<uint8_t>((merged_ + chained) * bytes_)};
    std::vector<uint32_t> more(slots_);
    for (size_t i = 0; i < chained; ++i) ++more[table.slots[i]];
    uint32_t end = 0;
    for (size_t slot = 0; slot < slots_; ++slot) {
        const size_t first = table.starts[slot], n = table.starts[slot + 1] - first;
        out.starts[slot] = end;
        if (n > 0) {
            std::memcpy(&out.rows[end], &table.rows[first], n * sizeof(uint32_t));
            if (bytes_ > 0) std::memcpy(&out.sketches[end * bytes_], &table.sketches[first * bytes_], n * bytes_);
        }
        const uint32_t next = end + uint32_t(n) + more[slot];
        more[slot] = end + uint32_t(n);  // where its next chained row goes
        end = next;
    }
    out.starts[slots_] = end;
    for (size_t i = 0; i < chained; ++i) {
        const size_t at = more[table.slots[i]]++;
        out.rows[at] = uint32_t(merged_ + i);
        if (bytes_ > 0) std::memcpy(&out.sketches[at * bytes_], &sketches_[i * bytes_], bytes_);
    }
    return out;
}

void LshStore::adopt(std::vector<Sorted>&& fresh, size_t rows) noexcept {
    for (size_t t = 0; t < tables_.size(); ++t) {
        tables_[t] = Table();
        tables_[t].starts = std::move(fresh[t].starts);
        tables_[t].rows = std::move(fresh[t].rows);
        tables_[t].sketches = std::move(fresh[t].sketches);
    }
    fresh.clear();
    sketches_ = std::vector<uint8_t>();
    merged_ = rows;
    chained_ = 0;
}

// Rows below end stay, as what they become, if that is anything; null: as they are.
void LshStore::filter(Table& table, size_t end, const uint32_t* becomes) noexcept {
    size_t to = 0, first = 0;
    for (size_t slot = 0; slot < slots_; ++slot) {
        const size_t last = table.starts[slot + 1];
        table.starts[slot] = uint32_t(to);
        for (size_t at = first; at < last; ++at) {
            const uint32_t row = table.rows[at];
            if (row >= end || (becomes != nullptr && becomes[row] == kNone)) continue;
            table.rows[to] = becomes != nullptr ? becomes[row] : row;
            if (bytes_ > 0) std::memmove(&table.sketches[to * bytes_], &table.sketches[at * bytes_], bytes_);
            ++to;
        }
        first = last;
    }
    table.starts[slots_] = uint32_t(to);
    table.rows.shorten(to);
    table.sketches.shorten(to * bytes_);
}

void LshStore::truncate(size_t rows) noexcept {
    const size_t chained = rows > merged_ ? rows - merged_ : 0;
    for (Table& table : tables_) {
        for (size_t i = chained_; i-- > chained;) table.heads[table.slots[i]] = table.next[i];
        if (rows < merged_) filter(table, rows, nullptr);
    }
    chained_ = std::min(chained_, chained);
    merged_ = std::min(merged_, rows);
    drop();
}

void LshStore::keep(const std::vector<uint32_t>& rows) {
    std::vector<uint32_t> becomes(this->rows(), kNone);
    for (uint32_t i = 0; i < rows.size(); ++i) becomes[rows[i]] = i;
    if (chained_ > 0) {
        std::vector<Sorted> fresh;
        for (const Table& table : tables_) fresh.push_back(sorted(table, chained_));
        adopt(std::move(fresh), merged_ + chained_);
    }
    for (Table& table : tables_) filter(table, merged_, becomes.data());
    merged_ = rows.size();
    try {
        for (Table& table : tables_) table.rows.release_spare(), table.sketches.release_spare();
    } catch (const std::bad_alloc&) {  // then they stay larger than they need be
    }
}

void LshStore::save(Writer& out) const {
    for (size_t t = 0; t < tables_.size(); ++t) {
        const Table& table = tables_[t];
        if (chained_ == 0) {
            out.array(concat("starts", t), table.starts.all());
            out.array(concat("rows", t), table.rows.all());
            if (bytes_ > 0) out.array(concat("sketches", t), table.sketches.all(), bytes_);
            continue;
        }
        const Sorted whole = sorted(table, chained_);
        const auto copy = [](const auto& block) { return std::vector(block.all().begin(), block.all().end()); };
        out.array(concat("starts", t), copy(whole.starts));
        out.array(concat("rows", t), copy(whole.rows));
        if (bytes_ > 0) out.array(concat("sketches", t), copy(whole.sketches), bytes_);
    }
}

void LshStore::load(const Reader& in, size_t rows) {
    const auto read = [&]<class T>(Block<T>& into, const std::string& name, size_t n, size_t elements) {
        if (in.is_mapped()) {
            into = Block<T>::view(in.array<T>(name, n, elements), in.storage());
            return;
        }
        check<FormatError>(in.rows(name) == n, in.file(), ": section ", name, " has ", in.rows(name),
                           " rows, expected ", n);
        into = Block<T>(n * elements);
        in.read_into(name, std::span<T>(into.data(), into.size()), elements);
    };
    for (size_t t = 0; t < tables_.size(); ++t) {
        Table& table = tables_[t];
        read(table.starts, concat("starts", t), slots_ + 1, 1);
        read(table.rows, concat("rows", t), rows, 1);
        if (bytes_ > 0) read(table.sketches, concat("sketches", t), rows, bytes_);
        bool rises = table.starts[0] == 0 && table.starts[slots_] == rows;
        for (size_t slot = 0; slot < slots_; ++slot) rises = rises && table.starts[slot] <= table.starts[slot + 1];
        check<FormatError>(rises, in.file(), ": section starts", t, " does not rise from 0 to ", rows);
        Bitset seen(rows);
        for (const uint32_t row : table.rows.all()) {
            check<FormatError>(row < rows && !seen.test(row), in.file(), ": section rows", t, " names row ", row,
                               row < rows ? " twice" : concat(" of ", rows));
            seen.set(row);
        }
    }
    merged_ = rows;
    is_view_ = in.is_mapped();
}

}  // namespace annkit
