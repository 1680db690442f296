// A file that appears whole or not at all: written beside its target, then renamed over it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace annkit {

class AtomicFile {
  public:
    // Creates the temporary file. A symbolic link is followed, so it stays and what it points to is replaced. A target
    // that exists must be a regular file that may be written; its permission bits are kept.
    explicit AtomicFile(const std::filesystem::path& target);
    // Without a commit the temporary file is removed, and the target is as before.
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void append(std::span<const std::byte> bytes);
    // Overwrites the first bytes, which were appended before.
    void overwrite_start(std::span<const std::byte> bytes);
    // Puts the file in the target's place. Before that happens every failure throws OsError with the target's path.
    // After it only the folder's fsync can fail: then the new file is there, but may not outlive a loss of power, and
    // the result is false.
    [[nodiscard]] bool commit();

  private:
    class Temporary;
    void flush();

    std::unique_ptr<Temporary> file_;
    std::vector<std::byte> buffer_;  // small pieces are gathered into large writes
};

}  // namespace annkit
