// Reading sections: each is hashed on its way into memory, or where it lies.
#include "annkit/core/reader.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "annkit/core/checksum.h"
#include "annkit/core/errors.h"
#include "annkit/core/mapped_file.h"
#include "annkit/core/parallel.h"

namespace annkit {
namespace {

constexpr size_t kChunk = size_t{1} << 18;          // stays in the cache between its read and its checksum
constexpr uint64_t kPollEvery = uint64_t{4} << 20;  // bytes: some milliseconds of reading

using Buffers = std::map<const Section*, std::shared_ptr<std::byte>>;

std::string shape(uint64_t rows, uint64_t row_elems) {
    return row_elems == 1 ? std::to_string(rows) : concat(rows, " x ", row_elems);
}

// Reads one section from its start, hashing as it goes.
class Verifier {
  public:
    Verifier(const Source& source, const Section& section, Monitor* monitor)
        : source_(source), section_(section), monitor_(monitor) {}

    void read(std::span<std::byte> into) {
        while (!into.empty()) {
            const auto chunk = into.first(std::min(into.size(), kChunk));
            source_.read(section_.offset + done_, chunk);
            hash(chunk);
            into = into.subspan(chunk.size());
        }
    }
    // Hashes what is left without keeping it, then compares.
    void finish() {
        const uint64_t end = container::padded(section_.bytes);
        if (const std::byte* view = source_.view()) {
            const std::byte* start = view + section_.offset;
            while (done_ < end) hash({start + done_, static_cast<size_t>(std::min<uint64_t>(end - done_, kChunk))});
        } else {
            std::vector<std::byte> scratch(static_cast<size_t>(std::min<uint64_t>(end - done_, kChunk)));
            while (done_ < end) read(std::span(scratch).first(std::min<uint64_t>(end - done_, kChunk)));
        }
        check<FormatError>(sum_.value() == section_.checksum, source_.name(), " is damaged: the checksum of section ",
                           section_.name, " does not match");
    }

  private:
    void hash(std::span<const std::byte> next) {
        sum_.update(next);
        const uint64_t before = std::exchange(done_, done_ + next.size());
        if (monitor_ != nullptr && before / kPollEvery != done_ / kPollEvery) monitor_->poll();
    }

    const Source& source_;
    const Section& section_;
    Monitor* monitor_;
    Checksum sum_;
    uint64_t done_ = 0;
};

}  // namespace

struct Reader::State {
    State(std::shared_ptr<const Source> from, Monitor* asked)
        : source(std::move(from)),
          monitor(asked),
          sections(container::decode_header(*source)),
          by_name(sections.size()),
          verified(sections.size()),
          buffers(std::make_shared<Buffers>()) {
        std::iota(by_name.begin(), by_name.end(), 0u);
        std::sort(by_name.begin(), by_name.end(),
                  [this](uint32_t a, uint32_t b) { return sections[a].name < sections[b].name; });
    }

    // The first section whose name is not below this one.
    const Section* lower_bound(std::string_view name) const {
        const auto it = std::lower_bound(by_name.begin(), by_name.end(), name,
                                         [this](uint32_t i, std::string_view n) { return sections[i].name < n; });
        return it == by_name.end() ? nullptr : &sections[*it];
    }
    void verify_once(const Section& section) {
        const size_t i = static_cast<size_t>(&section - sections.data());
        if (verified[i]) return;
        Verifier(*source, section, monitor).finish();
        verified[i] = true;
    }

    std::shared_ptr<const Source> source;
    Monitor* monitor;
    std::vector<Section> sections;
    std::vector<uint32_t> by_name;  // positions in sections, sorted
    std::vector<bool> verified;
    std::shared_ptr<Buffers> buffers;  // sections that array() was asked for, where there is no view
};

Reader Reader::open(const std::filesystem::path& path, bool mmap, Monitor* monitor) {
    return Reader(std::make_shared<State>(open_source(path, mmap), monitor), "");
}

Reader Reader::from_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, Monitor* monitor) {
    return Reader(std::make_shared<State>(memory_source(bytes, std::move(owner)), monitor), "");
}

const Section* Reader::find(std::string_view name) const {
    const std::string full = prefix_ + std::string(name);
    const Section* section = state_->lower_bound(full);
    return section != nullptr && section->name == full ? section : nullptr;
}

const Section& Reader::at(std::string_view name) const {
    const Section* section = find(name);
    if (section == nullptr) fail<FormatError>(file(), " has no section ", prefix_, name);
    return *section;
}

const Section& Reader::expect(std::string_view name, SectionType type, uint64_t rows, uint64_t row_elems) const {
    const Section& section = at(name);
    check<FormatError>(section.type == type && section.rows == rows && section.row_elems == row_elems, file(),
                       ": section ", section.name, " is ", name_of(section.type), " of ",
                       shape(section.rows, section.row_elems), ", expected ", name_of(type), " of ",
                       shape(rows, row_elems));
    return section;
}

const std::byte* Reader::bytes_of(const Section& section) const {
    State& state = *state_;
    if (const std::byte* view = state.source->view()) {
        if (!is_mapped() || section.bytes <= kVerifiedAtOnce) state.verify_once(section);
        return view + section.offset;
    }
    const auto found = state.buffers->find(&section);
    if (found != state.buffers->end()) return found->second.get();
    // The padding is read along: a kernel may look past the end here, too.
    const size_t bytes = static_cast<size_t>(container::padded(section.bytes));
    const std::shared_ptr<std::byte> buffer = aligned_bytes(bytes + container::kTrailer);
    Verifier verifier(*state.source, section, state.monitor);
    verifier.read({buffer.get(), bytes});
    verifier.finish();
    std::fill_n(buffer.get() + bytes, container::kTrailer, std::byte{0});
    state.buffers->emplace(&section, buffer);
    state.verified[static_cast<size_t>(&section - state.sections.data())] = true;
    return buffer.get();
}

std::string_view Reader::kind() const {
    const uint64_t length = std::min<uint64_t>(rows("kind"), container::kMaxName);  // a longer one is refused below
    const std::span<const char> text = array<char>("kind", length);
    const std::string_view kind(text.data(), text.size());
    check<FormatError>(container::is_kind(kind), file(), ": section ", prefix_, "kind is no kind of a part");
    return kind;
}

Reader Reader::child(std::string_view name) const {
    Reader inner(state_, concat(prefix_, name, "/"));
    inner.at("kind");
    return inner;
}

bool Reader::has(std::string_view name) const {
    return find(name) != nullptr || find(concat(name, "/kind")) != nullptr;
}

uint64_t Reader::rows(std::string_view name) const { return at(name).rows; }

int64_t Reader::integer(std::string_view name, int64_t lo, int64_t hi) const {
    const int64_t value = array<int64_t>(name, 1)[0];
    check<FormatError>(value >= lo && value <= hi, file(), ": ", prefix_, name, " is ", value, ", expected ", lo,
                       " to ", hi);
    return value;
}

double Reader::real(std::string_view name) const {
    const double value = array<double>(name, 1)[0];
    check<FormatError>(std::isfinite(value), file(), ": ", prefix_, name, " is not finite");
    return value;
}

std::string Reader::text(std::string_view name, size_t max_length) const {
    const uint64_t length = rows(name);
    check<FormatError>(length <= max_length, file(), ": text ", prefix_, name, " has ", length, " characters, at most ",
                       max_length, " are allowed");
    const std::span<const char> text = array<char>(name, length);
    return std::string(text.begin(), text.end());
}

void Reader::read_into(std::string_view name, SectionType type, uint64_t row_elems, const Pieces& pieces) const {
    uint64_t bytes = 0;
    for (const auto& piece : pieces) bytes += piece.size();
    const uint64_t row_bytes = row_elems * size_of(type);
    check(row_bytes > 0 && bytes % row_bytes == 0, "section ", name, " is to be read into ", bytes,
          " bytes, which are no whole rows of ", row_bytes);
    const Section& section = expect(name, type, bytes / row_bytes, row_elems);
    Verifier verifier(*state_->source, section, state_->monitor);
    for (const auto& piece : pieces) verifier.read(piece);
    verifier.finish();
    state_->verified[static_cast<size_t>(&section - state_->sections.data())] = true;
}

void Reader::verify(std::string_view name) const { state_->verify_once(at(name)); }

void Reader::verify() const {
    for (const Section& section : state_->sections) state_->verify_once(section);
}

bool Reader::is_mapped() const { return state_->source->is_mapped(); }

std::shared_ptr<const void> Reader::storage() const {
    if (state_->source->view() != nullptr) return state_->source;
    return state_->buffers;
}

const std::string& Reader::file() const { return state_->source->name(); }

}  // namespace annkit
