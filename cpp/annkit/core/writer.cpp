// Laying out the sections and writing them, each byte read once: checksums are taken on the way, the header, which
// holds them, is written over zeros at the end. So a file that was cut off in writing has no header at all.
#include "annkit/core/writer.h"

#include <algorithm>
#include <set>

#include "annkit/core/atomic_file.h"
#include "annkit/core/checksum.h"
#include "annkit/core/parallel.h"

namespace annkit {
namespace {

constexpr size_t kChunk = size_t{1} << 18;          // stays in the cache between its checksum and its write
constexpr uint64_t kPollEvery = uint64_t{4} << 20;  // bytes: some milliseconds of writing

struct MemoryFile {
    std::vector<std::byte> bytes;

    void append(std::span<const std::byte> more) { bytes.insert(bytes.end(), more.begin(), more.end()); }
    void overwrite_start(std::span<const std::byte> start) { std::copy(start.begin(), start.end(), bytes.begin()); }
};

// Counts the bytes written and asks the monitor, if there is one, whether to go on.
struct Meter {
    Monitor* monitor;
    uint64_t total, done = 0;

    void add(uint64_t bytes) {
        const uint64_t before = std::exchange(done, done + bytes);
        if (monitor == nullptr || before / kPollEvery == done / kPollEvery) return;
        monitor->poll();
        monitor->progress(static_cast<size_t>(done), static_cast<size_t>(total));
    }
};

// A section's pieces, then zeros up to a multiple of 64; returns the checksum.
template <class File>
uint64_t write_section(File& file, uint64_t bytes, const Writer::Pieces& pieces, Meter& meter) {
    Checksum sum;
    for (std::span<const std::byte> piece : pieces) {
        while (!piece.empty()) {
            const auto chunk = piece.first(std::min(piece.size(), kChunk));
            sum.update(chunk);
            file.append(chunk);
            meter.add(chunk.size());
            piece = piece.subspan(chunk.size());
        }
    }
    const std::byte zeros[container::kAlign] = {};
    file.append(std::span(zeros).first(container::padded(bytes) - bytes));
    return sum.value();
}

}  // namespace

struct Writer::State {
    struct Entry {
        Section section;
        Pieces pieces;
        std::shared_ptr<const void> kept;  // what pieces of a temporary point into
    };
    std::vector<Entry> entries;
    std::set<std::string> names;

    std::vector<Section> sections() const {
        std::vector<Section> out;
        out.reserve(entries.size());
        for (const Entry& entry : entries) out.push_back(entry.section);
        return out;
    }
    template <class File>
    void write(File& file, Meter meter) const {
        std::vector<Section> header = sections();
        file.append(std::vector<std::byte>(container::header_size(header)));
        for (size_t i = 0; i < entries.size(); ++i)
            header[i].checksum = write_section(file, header[i].bytes, entries[i].pieces, meter);
        file.append(std::vector<std::byte>(container::kTrailer));
        file.overwrite_start(container::encode_header(header));
    }
};

Writer::Writer(std::string_view kind) : Writer(std::make_shared<State>(), "", kind) {}

Writer::Writer(std::shared_ptr<State> state, std::string prefix, std::string_view kind)
    : state_(std::move(state)), prefix_(std::move(prefix)) {
    check(container::is_kind(kind), "'", kind, "' cannot be the kind of a part");
    value("kind", kind);
}

Writer Writer::child(std::string_view name, std::string_view kind) const {
    return Writer(state_, concat(prefix_, name, "/"), kind);
}

void Writer::add(std::string_view name, SectionType type, size_t row_elems, Pieces pieces,
                 std::shared_ptr<const void> kept) {
    Section section{.name = concat(prefix_, name), .type = type, .row_elems = row_elems};
    check(container::is_name(section.name), "'", section.name, "' cannot be the name of a section");
    check(state_->entries.size() < container::kMaxSections, "a file holds at most ", container::kMaxSections,
          " sections; put many small arrays into one, with bytes()");
    check(row_elems >= 1 && row_elems <= container::kMaxRowElems, "section ", section.name, ": rows of ", row_elems,
          " elements");
    for (const auto& piece : pieces) section.bytes += piece.size();
    const size_t row_bytes = row_elems * size_of(type);
    check(section.bytes % row_bytes == 0, "section ", section.name, ": ", section.bytes, " bytes are no whole rows of ",
          row_bytes);
    section.rows = section.bytes / row_bytes;
    check(state_->names.insert(section.name).second, "there are two sections ", section.name);
    state_->entries.push_back({std::move(section), std::move(pieces), std::move(kept)});
}

bool Writer::save(const std::filesystem::path& path, Monitor* monitor) const {
    AtomicFile file(path);
    state_->write(file, {monitor, size()});
    return file.commit();
}

std::vector<std::byte> Writer::to_bytes(Monitor* monitor) const {
    MemoryFile file;
    file.bytes.reserve(size());
    state_->write(file, {monitor, size()});
    return std::move(file.bytes);
}

uint64_t Writer::size() const {
    uint64_t bytes = container::header_size(state_->sections()) + container::kTrailer;
    for (const State::Entry& entry : state_->entries) bytes += container::padded(entry.section.bytes);
    return bytes;
}

}  // namespace annkit
