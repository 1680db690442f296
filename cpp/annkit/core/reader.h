// A checked view of an annkit file. Opening checks the structure; what the sections mean, the part that reads checks.
//
//     const Reader in = Reader::open(path, false);
//     dim_ = in.integer("dim", 1, kMaxDim);
//     centroids_.resize(in.rows("centroids") * dim_);             // rows() is bounded by the bytes in the file
//     in.read_into("centroids", std::span(centroids_), dim_);
//     codec_ = Registry<Codec>::load(in.child("codec"));
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "annkit/core/container.h"

namespace annkit {

class Monitor;

// Cheap to copy; copies and children share the file. Safe from one thread at a time. Every error in the content is a
// FormatError that names the file and the section.
class Reader {
  public:
    using Pieces = std::vector<std::span<std::byte>>;

    // Read: every section is verified when it is asked for; verify() does those that were not. Mapped: sections above
    // kVerifiedAtOnce are verified by verify() only, so that opening does not read the file.
    // The monitor is polled while large sections are read, and must outlive the reader and its copies.
    static Reader open(const std::filesystem::path& path, bool mmap, Monitor* monitor = nullptr);
    // With an owner the bytes are borrowed and the owner kept alive; without one they are copied.
    static Reader from_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner = nullptr,
                             Monitor* monitor = nullptr);

    static constexpr uint64_t kVerifiedAtOnce = 64 << 10;

    std::string_view kind() const;  // lives as long as storage()
    // The part written by Writer::child under this name.
    Reader child(std::string_view name) const;
    bool has(std::string_view name) const;  // a section, or a part
    uint64_t rows(std::string_view name) const;

    // The value, within lo and hi inclusive.
    int64_t integer(std::string_view name, int64_t lo, int64_t hi) const;
    double real(std::string_view name) const;  // finite
    std::string text(std::string_view name, size_t max_length) const;

    // The array in place, at a multiple of 64, of exactly this type and shape. It lives as long as storage(). Unless
    // the file is mapped, its bytes are held until then: large arrays are better read_into their final place.
    template <class T>
    std::span<const T> array(std::string_view name, uint64_t rows, uint64_t row_elems = 1) const {
        const Section& section = expect(name, section_type<T>(), rows, row_elems);
        return {reinterpret_cast<const T*>(bytes_of(section)), static_cast<size_t>(rows * row_elems)};
    }
    // Reads an array of exactly this type and shape into the caller's memory, without a copy between, and verifies it.
    template <class T>
    void read_into(std::string_view name, std::span<T> into, uint64_t row_elems = 1) const {
        read_into(name, section_type<T>(), row_elems, {std::as_writable_bytes(into)});
    }
    // The same into several pieces, one after the other. On an error the pieces' content is undefined.
    void read_into(std::string_view name, SectionType type, uint64_t row_elems, const Pieces& pieces) const;

    // Compares checksums: of one section, or of all of the file that were not verified yet.
    void verify(std::string_view name) const;
    void verify() const;

    bool is_mapped() const;
    // Keeps what array() returned alive: the mapping, or the sections read so far and later.
    std::shared_ptr<const void> storage() const;
    // The file's name, for messages of the parts' own checks.
    const std::string& file() const;

  private:
    struct State;
    Reader(std::shared_ptr<State> state, std::string prefix) : state_(std::move(state)), prefix_(std::move(prefix)) {}
    const Section* find(std::string_view name) const;
    const Section& at(std::string_view name) const;
    const Section& expect(std::string_view name, SectionType type, uint64_t rows, uint64_t row_elems) const;
    const std::byte* bytes_of(const Section& section) const;

    std::shared_ptr<State> state_;
    std::string prefix_;
};

}  // namespace annkit
