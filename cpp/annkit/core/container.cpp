// Encoding and checking the header of an annkit file.
#include "annkit/core/container.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <span>

#include "annkit/core/checksum.h"
#include "annkit/core/errors.h"
#include "annkit/core/mapped_file.h"

namespace annkit {
namespace {

static_assert(std::endian::native == std::endian::little, "the container's numbers are copied as they lie in memory");

constexpr std::string_view kMagic =
    "\x89"
    "annkit\n";  // a high byte and a newline: a transfer as text shows at once
constexpr size_t kPreamble = 64;
constexpr size_t kChecksumAt = 56;
constexpr size_t kEntry = 3 * 8 + 2;  // of the table, without the name

struct TypeInfo {
    std::string_view name;
    size_t size;
};
constexpr std::array<TypeInfo, 10> kTypes{{{"u8", 1},
                                           {"i8", 1},
                                           {"u16", 2},
                                           {"u32", 4},
                                           {"i32", 4},
                                           {"u64", 8},
                                           {"i64", 8},
                                           {"f32", 4},
                                           {"f64", 8},
                                           {"text", 1}}};  // in the order of SectionType

template <class T>
T get(std::span<const std::byte> bytes, size_t at) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

template <class T>
void put(std::vector<std::byte>& bytes, size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

// What the file probably is, judged by how it starts.
std::string describe(std::string_view start) {
    struct Known {
        std::string_view start, what;
    };
    static constexpr Known kKnown[] = {
        {"\x93NUMPY", "a NumPy .npy file"},
        {"version https://git-lfs", "a Git LFS pointer (the file itself was not downloaded)"},
        {"PK\x03\x04", "a zip archive, as .npz files are"},
        {"\x89HDF", "an HDF5 file"},
        {"\x1f\x8b", "gzip data"},
        {"\x28\xb5\x2f\xfd", "zstd data"},
        {"\x80\x03", "a pickle"},
        {"\x80\x04", "a pickle"},
        {"\x80\x05", "a pickle"},
        {"Ix", "a Faiss index"},
        {"Iw", "a Faiss index"},
        {"IH", "a Faiss index"},
        {"IB", "a Faiss index"},
        {"usearch", "a usearch index"},
        {"<!DOCTYPE", "a web page"},
        {"<html", "a web page"},
    };
    if (start.empty()) return "empty";
    if (kMagic.starts_with(start)) return "cut off";
    for (const Known& known : kKnown)
        if (start.starts_with(known.start)) return std::string(known.what);
    if (start.find_first_not_of('\0') == start.npos) return "zeros, as a crash or an unfinished download leaves them";
    std::string text = "something that starts with";
    for (unsigned char c : start.substr(0, 8))
        text.append({' ', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]});
    return text;
}

struct Preamble {
    uint32_t sections;
    uint64_t header;  // bytes
};

Preamble decode_preamble(const Source& source) {
    std::array<std::byte, kPreamble> bytes{};
    const size_t there = std::min<uint64_t>(source.size(), kPreamble);
    source.read(0, std::span(bytes).first(there));
    const std::string_view start(reinterpret_cast<const char*>(bytes.data()), there);
    if (!start.starts_with(kMagic)) fail<FormatError>(source.name(), " is not an annkit file: it is ", describe(start));
    check<FormatError>(there == kPreamble, source.name(), " is truncated: ", there, " bytes are left");
    // The format comes before the checksum, which another format may compute differently.
    const auto format = get<uint32_t>(bytes, 8);
    check<FormatError>(format >= 1 && format <= container::kFormat, source.name(), " has format ", format,
                       ", this annkit reads up to ", container::kFormat);
    const Preamble out{get<uint32_t>(bytes, 12), get<uint64_t>(bytes, 16)};
    const uint64_t most = container::padded(kPreamble + uint64_t{out.sections} * (kEntry + container::kMaxName));
    check<FormatError>(out.sections >= 1 && out.sections <= container::kMaxSections, source.name(), " claims ",
                       out.sections, " sections, allowed are 1 to ", container::kMaxSections);
    check<FormatError>(out.header % container::kAlign == 0 && out.header > kPreamble && out.header <= most,
                       source.name(), " has a damaged header: a length of ", out.header, " bytes");
    check<FormatError>(out.header <= source.size(), source.name(), " is truncated: its header has ", out.header,
                       " bytes, the file ", source.size());
    return out;
}

std::vector<std::byte> read_header(const Source& source, const Preamble& preamble) {
    std::vector<std::byte> header(preamble.header);
    source.read(0, header);
    const auto stored = get<uint64_t>(header, kChecksumAt);
    put(header, kChecksumAt, uint64_t{0});
    check<FormatError>(checksum(header) == stored, source.name(), " is damaged: the header's checksum does not match");
    return header;
}

// Takes one entry off the front of `table`.
Section decode_entry(std::span<const std::byte>& table, const Source& source) {
    check<FormatError>(table.size() >= kEntry, source.name(), " has a damaged table of sections");
    Section section;
    section.rows = get<uint64_t>(table, 0);
    section.row_elems = get<uint64_t>(table, 8);
    section.checksum = get<uint64_t>(table, 16);
    const auto type = get<uint8_t>(table, 24);
    const size_t length = get<uint8_t>(table, 25);
    check<FormatError>(type < kTypes.size(), source.name(), " has a section of the unknown type ", int{type});
    check<FormatError>(table.size() - kEntry >= length, source.name(), " has a damaged table of sections");
    section.type = static_cast<SectionType>(type);
    section.name.assign(reinterpret_cast<const char*>(table.data()) + kEntry, length);
    check<FormatError>(container::is_name(section.name), source.name(), " has a section with a damaged name");
    table = table.subspan(kEntry + length);
    return section;
}

// Sets the section's length and place; `end` is where the one before it ended.
void place(Section& section, uint64_t& end, const Source& source) {
    const uint64_t room = source.size() - end;
    const uint64_t size = size_of(section.type);
    check<FormatError>(section.row_elems >= 1 && section.row_elems <= container::kMaxRowElems, source.name(),
                       ": section ", section.name, " has rows of ", section.row_elems, " elements");
    check<FormatError>(section.rows <= room / size / section.row_elems, source.name(), " is truncated: section ",
                       section.name, " has ", section.rows, " rows of ", section.row_elems, " ", name_of(section.type),
                       ", the file only ", room, " bytes more");
    section.offset = end;
    section.bytes = section.rows * section.row_elems * size;
    check<FormatError>(container::padded(section.bytes) <= room, source.name(), " is truncated in section ",
                       section.name);
    end += container::padded(section.bytes);
}

void check_names(const std::vector<Section>& sections, const Source& source) {
    std::vector<std::string_view> names;
    names.reserve(sections.size());
    for (const Section& section : sections) names.push_back(section.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) fail<FormatError>(source.name(), " has two sections named ", *twice);
}

void check_end(uint64_t end, const Source& source) {
    check<FormatError>(source.size() >= end + container::kTrailer, source.name(), " is truncated: ", source.size(),
                       " bytes of ", end + container::kTrailer);
    check<FormatError>(source.size() == end + container::kTrailer, source.name(), " has ",
                       source.size() - end - container::kTrailer, " bytes after its end");
    std::array<std::byte, container::kTrailer> trailer;
    source.read(end, trailer);
    const bool zero = std::all_of(trailer.begin(), trailer.end(), [](std::byte b) { return b == std::byte{0}; });
    check<FormatError>(zero, source.name(), " is damaged: its last bytes are not zero");
}

}  // namespace

size_t size_of(SectionType type) { return kTypes[static_cast<size_t>(type)].size; }
std::string_view name_of(SectionType type) { return kTypes[static_cast<size_t>(type)].name; }

namespace container {

bool is_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxName) return false;
    if (name.front() == '/' || name.back() == '/' || name.find("//") != name.npos) return false;
    return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_/") == name.npos;
}

bool is_kind(std::string_view kind) { return kind.size() <= 64 && is_name(kind) && kind.find('/') == kind.npos; }

uint64_t header_size(const std::vector<Section>& sections) {
    uint64_t bytes = kPreamble;
    for (const Section& section : sections) bytes += kEntry + section.name.size();
    return padded(bytes);
}

std::vector<std::byte> encode_header(const std::vector<Section>& sections) {
    std::vector<std::byte> out(header_size(sections));
    std::memcpy(out.data(), kMagic.data(), kMagic.size());
    put(out, 8, kFormat);
    put(out, 12, static_cast<uint32_t>(sections.size()));
    put(out, 16, static_cast<uint64_t>(out.size()));
    size_t at = kPreamble;
    for (const Section& section : sections) {
        put(out, at, section.rows);
        put(out, at + 8, section.row_elems);
        put(out, at + 16, section.checksum);
        put(out, at + 24, section.type);
        put(out, at + 25, static_cast<uint8_t>(section.name.size()));
        std::memcpy(out.data() + at + kEntry, section.name.data(), section.name.size());
        at += kEntry + section.name.size();
    }
    put(out, kChecksumAt, checksum(out));
    return out;
}

std::vector<Section> decode_header(const Source& source) {
    const Preamble preamble = decode_preamble(source);
    const std::vector<std::byte> header = read_header(source, preamble);
    std::span<const std::byte> table = std::span(header).subspan(kPreamble);
    std::vector<Section> sections;
    sections.reserve(preamble.sections);  // at most kMaxSections
    uint64_t end = preamble.header;
    for (uint32_t i = 0; i < preamble.sections; ++i) {
        sections.push_back(decode_entry(table, source));
        place(sections.back(), end, source);
    }
    check<FormatError>(table.size() < kAlign, source.name(), " has a damaged table of sections");
    check_names(sections, source);
    check_end(end, source);
    return sections;
}

}  // namespace container
}  // namespace annkit
