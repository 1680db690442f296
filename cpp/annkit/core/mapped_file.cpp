// The sources of bytes, and the system calls to open, read and map a file.
#include "annkit/core/mapped_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

#include "annkit/core/errors.h"

#ifdef _WIN32
#define NOMINMAX
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace annkit {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kMaxRead = size_t{1} << 30;  // one call's limit is below 2 GiB on every system

[[noreturn]] void fail_short(const std::string& name) {
    fail<FormatError>(name, " is truncated: it became shorter while it was read");
}

#ifdef _WIN32

using Handle = HANDLE;

[[noreturn]] void fail_os(const std::string& name) {
    const std::error_code error(static_cast<int>(GetLastError()), std::system_category());
    throw OsError(error.default_error_condition().value(), name);
}

Handle open_file(const std::filesystem::path& path, const std::string& name, uint64_t& size) {
    const Handle file = CreateFileW(path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                    nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (file == INVALID_HANDLE_VALUE) fail_os(name);
    LARGE_INTEGER length;
    if (GetFileType(file) != FILE_TYPE_DISK || !GetFileSizeEx(file, &length)) {
        CloseHandle(file);
        throw OsError(EINVAL, name);
    }
    size = static_cast<uint64_t>(length.QuadPart);
    return file;
}

void close_file(Handle file) { CloseHandle(file); }

size_t read_some(Handle file, uint64_t offset, std::span<std::byte> into, const std::string& name) {
    OVERLAPPED at{};
    at.Offset = static_cast<DWORD>(offset);
    at.OffsetHigh = static_cast<DWORD>(offset >> 32);
    DWORD got = 0;
    if (!ReadFile(file, into.data(), static_cast<DWORD>(into.size()), &got, &at) && GetLastError() != ERROR_HANDLE_EOF)
        fail_os(name);
    return got;
}

const std::byte* map_file(Handle file, uint64_t, const std::string& name) {
    const Handle mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    if (mapping == nullptr) fail_os(name);
    const void* base = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    CloseHandle(mapping);  // the view keeps it
    if (base == nullptr) fail_os(name);
    return static_cast<const std::byte*>(base);
}

void unmap_file(const std::byte* base, uint64_t) { UnmapViewOfFile(base); }

#else

using Handle = int;

Handle open_file(const std::filesystem::path& path, const std::string& name, uint64_t& size) {
    // O_NONBLOCK: opening a FIFO would wait for its writer; it means nothing to a regular file.
    Handle file;
    do file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (file < 0 && errno == EINTR);
    if (file < 0) throw OsError(errno, name);
    struct stat status;
    int error = ::fstat(file, &status) == 0 ? 0 : errno;
    if (error == 0 && !S_ISREG(status.st_mode)) error = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    if (error != 0) {
        ::close(file);
        throw OsError(error, name);
    }
    size = static_cast<uint64_t>(status.st_size);
    return file;
}

void close_file(Handle file) { ::close(file); }

size_t read_some(Handle file, uint64_t offset, std::span<std::byte> into, const std::string& name) {
    for (;;) {
        const ssize_t got = ::pread(file, into.data(), into.size(), static_cast<off_t>(offset));
        if (got >= 0) return static_cast<size_t>(got);
        if (errno != EINTR) throw OsError(errno, name);
    }
}

const std::byte* map_file(Handle file, uint64_t size, const std::string& name) {
    if (size > SIZE_MAX) throw OsError(ENOMEM, name);
    void* base = ::mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_SHARED, file, 0);
    if (base == MAP_FAILED) throw OsError(errno, name);
    return static_cast<const std::byte*>(base);
}

void unmap_file(const std::byte* base, uint64_t size) {
    ::munmap(const_cast<std::byte*>(base), static_cast<size_t>(size));
}

#endif

struct OpenFile {
    OpenFile(const std::filesystem::path& path, const std::string& name) : handle(open_file(path, name, size)) {}
    ~OpenFile() { close_file(handle); }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;

    uint64_t size = 0;  // before handle, which sets it
    Handle handle;
};

class FileSource final : public Source {
  public:
    FileSource(std::string name, std::unique_ptr<OpenFile> file)
        : Source(std::move(name), file->size), file_(std::move(file)) {}

    void read(uint64_t offset, std::span<std::byte> into) const override {
        while (!into.empty()) {
            const size_t got = read_some(file_->handle, offset, into.first(std::min(into.size(), kMaxRead)), name());
            if (got == 0) fail_short(name());
            offset += got;
            into = into.subspan(got);
        }
    }

  private:
    std::unique_ptr<OpenFile> file_;
};

class MappedSource final : public Source {
  public:
    MappedSource(std::string name, const OpenFile& file)
        : Source(std::move(name), file.size), base_(map_file(file.handle, file.size, this->name())) {}
    ~MappedSource() override { unmap_file(base_, size()); }

    void read(uint64_t offset, std::span<std::byte> into) const override {
        if (offset > size() || into.size() > size() - offset) fail_short(name());
        if (!into.empty()) std::memcpy(into.data(), base_ + offset, into.size());
    }
    const std::byte* view() const override { return base_; }
    bool is_mapped() const override { return true; }

  private:
    const std::byte* base_;
};

class MemorySource final : public Source {
  public:
    MemorySource(const std::byte* base, size_t size, std::shared_ptr<const void> owner)
        : Source("the given data", size), base_(base), owner_(std::move(owner)) {}

    void read(uint64_t offset, std::span<std::byte> into) const override {
        if (offset > size() || into.size() > size() - offset) fail_short(name());
        if (!into.empty()) std::memcpy(into.data(), base_ + offset, into.size());
    }
    const std::byte* view() const override {
        return reinterpret_cast<uintptr_t>(base_) % kAlignment == 0 ? base_ : nullptr;
    }

  private:
    const std::byte* base_;
    std::shared_ptr<const void> owner_;
};

}  // namespace

std::shared_ptr<const Source> open_source(const std::filesystem::path& path, bool mmap) {
    std::string name = path_text(path);
    auto file = std::make_unique<OpenFile>(path, name);
    // An empty file cannot be mapped; as a file it gets the proper message.
    if (mmap && file->size > 0) return std::make_shared<MappedSource>(std::move(name), *file);
    return std::make_shared<FileSource>(std::move(name), std::move(file));
}

std::shared_ptr<const Source> memory_source(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
    if (owner != nullptr) return std::make_shared<MemorySource>(bytes.data(), bytes.size(), std::move(owner));
    const std::shared_ptr<std::byte> copy = aligned_bytes(bytes.size());
    if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
    return std::make_shared<MemorySource>(copy.get(), bytes.size(), copy);
}

std::string path_text(const std::filesystem::path& path) {
#ifdef _WIN32
    const std::u8string encoded = path.u8string();
    std::string text(encoded.begin(), encoded.end());
#else
    std::string text = path.native();
#endif
    check(text.find('\0') == text.npos, "the path contains a null character");  // the system would stop reading there
    return text;
}

std::shared_ptr<std::byte> aligned_bytes(size_t size) {
    constexpr std::align_val_t kAligned{kAlignment};
    auto* base = static_cast<std::byte*>(::operator new(std::max<size_t>(size, 1), kAligned));
    return std::shared_ptr<std::byte>(base, [](std::byte* p) { ::operator delete(p, kAligned); });
}

}  // namespace annkit
