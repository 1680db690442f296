// Where a container's bytes are: a file that is read, a file that is mapped, or memory. One of the two files that make
// system calls for files; the other is atomic_file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace annkit {

class Source {
  public:
    Source(std::string name, uint64_t size) : name_(std::move(name)), size_(size) {}
    virtual ~Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

    // Fills all of `into`; a source that has become shorter is a FormatError, a failing read an OsError.
    virtual void read(uint64_t offset, std::span<std::byte> into) const = 0;
    // The bytes in place, starting at a multiple of 64; null where read() is the only way.
    virtual const std::byte* view() const { return nullptr; }
    // Whether looking at a byte may cost reading it from a disk.
    virtual bool is_mapped() const { return false; }

    const std::string& name() const { return name_; }  // for messages
    uint64_t size() const { return size_; }

  private:
    std::string name_;
    uint64_t size_;
};

// Only regular files open. A mapping sees what another process writes into the file, and touching one that was cut
// meanwhile ends the process (SIGBUS); replacing the file by a rename, as Writer::save does, leaves mappings alone.
std::shared_ptr<const Source> open_source(const std::filesystem::path& path, bool mmap);
// With an owner the bytes are borrowed and the owner kept; without one they are copied.
std::shared_ptr<const Source> memory_source(std::span<const std::byte> bytes, std::shared_ptr<const void> owner);

// The path for messages and OsError: UTF-8 on Windows, the bytes as they are elsewhere. A path with a null character is
// a ValueError.
std::string path_text(const std::filesystem::path& path);

// Memory at a multiple of 64, freed with the last reference. At least one byte, so never null.
std::shared_ptr<std::byte> aligned_bytes(size_t size);

}  // namespace annkit
