// The layout of an annkit file, format 1. Everything is little-endian.
//
//   preamble, 64 bytes   magic "\x89annkit\n" | u32 format | u32 sections | u64 header bytes | 32 zeros | u64 checksum
//   table                for each section: u64 rows | u64 row elements | u64 checksum | u8 type | u8 length of the name
//                        | the name; then zeros up to a multiple of 64. Preamble and table make up the header, and the
//                        preamble's checksum is that of the header with the checksum itself taken as zero.
//   sections             in the order of the table, each starting at a multiple of 64, filled up with zeros to one
//   trailer              64 zeros, so that a kernel may read a few bytes past the last section
//
// Lengths, offsets and the size of the file are not stored: they follow from types and shapes, so they cannot disagree
// with them. Every byte is under a checksum or must be zero: no flip of a bit and no truncation passes a full load.
// The parts of a part are told apart by the sections' names: "codec/codebook" belongs to the part "codec", whose kind
// is the text section "codec/kind"; the outermost part's kind is the section "kind".
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace annkit {

class Source;

enum class SectionType : uint8_t { u8, i8, u16, u32, i32, u64, i64, f32, f64, text };

size_t size_of(SectionType type);
std::string_view name_of(SectionType type);

// The type a section of T has. Integers go by width and sign, as uint64_t and size_t differ on some platforms.
template <class T>
constexpr SectionType section_type() {
    if constexpr (std::same_as<T, char>)
        return SectionType::text;
    else if constexpr (std::same_as<T, std::byte>)
        return SectionType::u8;
    else if constexpr (std::same_as<T, float>)
        return SectionType::f32;
    else if constexpr (std::same_as<T, double>)
        return SectionType::f64;
    else {
        static_assert(std::integral<T> && !std::same_as<T, bool>, "a container holds no such type");
        constexpr bool is_signed = std::is_signed_v<T>;
        static_assert(sizeof(T) != 2 || !is_signed, "a container holds no int16");
        if constexpr (sizeof(T) == 1)
            return is_signed ? SectionType::i8 : SectionType::u8;
        else if constexpr (sizeof(T) == 2)
            return SectionType::u16;
        else if constexpr (sizeof(T) == 4)
            return is_signed ? SectionType::i32 : SectionType::u32;
        else
            return is_signed ? SectionType::i64 : SectionType::u64;
    }
}

struct Section {
    std::string name;
    SectionType type = SectionType::u8;
    uint64_t rows = 0;
    uint64_t row_elems = 1;  // at least 1, so rows is bounded by the bytes in the file
    uint64_t checksum = 0;
    uint64_t offset = 0;  // derived
    uint64_t bytes = 0;   // derived, without padding
};

namespace container {

inline constexpr uint32_t kFormat = 1;
inline constexpr size_t kAlign = 64;
inline constexpr size_t kTrailer = 64;
inline constexpr size_t kMaxSections = 65536;  // keeps the table's own memory small whatever a header claims
inline constexpr size_t kMaxName = 255;
inline constexpr uint64_t kMaxRowElems = UINT32_MAX;

constexpr uint64_t padded(uint64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// Names are of a-z, 0-9, '_' and, between the parts of a nested name, '/'.
bool is_name(std::string_view name);
// Kinds are names without '/', of at most 64 characters.
bool is_kind(std::string_view kind);

// The offset at which the first section starts.
uint64_t header_size(const std::vector<Section>& sections);
std::vector<std::byte> encode_header(const std::vector<Section>& sections);
// Reads and checks the structure (magic, format, header's checksum, names, shapes, the size of the file, the trailer);
// throws FormatError. Allocates no more than the header's bytes that are there, and 16 MiB.
std::vector<Section> decode_header(const Source& source);

}  // namespace container
}  // namespace annkit
