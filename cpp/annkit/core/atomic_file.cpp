// The order on disk: write, fsync(file), rename, fsync(folder).
#include "annkit/core/atomic_file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>

#include "annkit/core/errors.h"
#include "annkit/core/mapped_file.h"

#ifdef _WIN32
#define NOMINMAX
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <share.h>
#include <sys/stat.h>
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace annkit {
namespace {

constexpr size_t kBuffer = size_t{1} << 18;
constexpr size_t kMaxWrite = size_t{1} << 30;  // one call's limit is below 2 GiB on every system
constexpr int kMaxLinks = 40;                  // as Linux
constexpr int kTries = 100;

// Each call below returns 0, or the error's number; those that return a descriptor or a count return -1 and set errno.

#ifdef _WIN32

int process_id() { return _getpid(); }
int create(const std::filesystem::path& path, int) {
    return _wopen(path.c_str(), _O_CREAT | _O_EXCL | _O_RDWR | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
}
int set_mode(int, int) { return 0; }
bool is_writable(const std::filesystem::path& path) { return _waccess(path.c_str(), 2) == 0; }
int64_t write_some(int file, const std::byte* bytes, size_t size) {
    return _write(file, bytes, static_cast<unsigned>(size));
}
int rewind(int file) { return _lseeki64(file, 0, SEEK_SET) == 0 ? 0 : errno; }
int sync_file(int file) { return _commit(file) == 0 ? 0 : errno; }
int close_file(int file) { return _close(file) == 0 ? 0 : errno; }
int replace(const std::filesystem::path& from, const std::filesystem::path& to) {
    if (MoveFileExW(from.c_str(), to.c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)) return 0;
    const std::error_code error(static_cast<int>(GetLastError()), std::system_category());
    return error.default_error_condition().value();
}
int sync_folder(const std::filesystem::path&) { return 0; }  // MOVEFILE_WRITE_THROUGH did it
void remove_file(const std::filesystem::path& path) { _wunlink(path.c_str()); }

#else

int process_id() { return ::getpid(); }
int create(const std::filesystem::path& path, int mode) {
    return ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, static_cast<mode_t>(mode));
}
int set_mode(int file, int mode) { return ::fchmod(file, static_cast<mode_t>(mode)) == 0 ? 0 : errno; }
bool is_writable(const std::filesystem::path& path) {
    return ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0;
}
int64_t write_some(int file, const std::byte* bytes, size_t size) { return ::write(file, bytes, size); }
int rewind(int file) { return ::lseek(file, 0, SEEK_SET) == 0 ? 0 : errno; }
int sync_file(int file) {
#ifdef F_FULLFSYNC  // macOS: fsync leaves the data in the drive's cache; some file systems know fsync only
    if (::fcntl(file, F_FULLFSYNC) == 0) return 0;
#endif
    int result;
    do result = ::fsync(file);
    while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}
// After EINTR the descriptor is closed all the same, and the data were synced before.
int close_file(int file) { return ::close(file) == 0 || errno == EINTR ? 0 : errno; }
int replace(const std::filesystem::path& from, const std::filesystem::path& to) {
    return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}
int sync_folder(const std::filesystem::path& folder) {
    const int file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return errno;
    const int error = sync_file(file);
    close_file(file);
    return error;
}
void remove_file(const std::filesystem::path& path) { ::unlink(path.c_str()); }

#endif

// Follows the chain of links by hand, as the last one may point to a file that does not exist yet.
std::filesystem::path follow_links(std::filesystem::path path) {
    const std::string name = path_text(path);
    for (int links = 0;; ++links) {
        std::error_code error;
        if (!std::filesystem::is_symlink(std::filesystem::symlink_status(path, error))) return path;
        if (links == kMaxLinks) throw OsError(ELOOP, name);
        const std::filesystem::path next = std::filesystem::read_symlink(path, error);
        if (error) throw OsError(error.value(), name);
        path = path.parent_path() / next;  // an absolute `next` replaces the folder
    }
}

// Not derived from the target's name: that may already be as long as names can be.
std::string temporary_name() {
    static std::atomic<uint32_t> count = 0;
    const auto ticks = static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    char name[64];
    std::snprintf(name, sizeof name, ".annkit-%08x%08x%08x.tmp", static_cast<unsigned>(process_id()),
                  static_cast<unsigned>(ticks), static_cast<unsigned>(count++));
    return name;
}

}  // namespace

class AtomicFile::Temporary {
  public:
    explicit Temporary(const std::filesystem::path& given)
        : given_(path_text(given)), target_(follow_links(given)), folder_(target_.parent_path()) {
        if (folder_.empty()) folder_ = ".";
        const int mode = existing_mode();
        open(mode >= 0 ? 0600 : 0666);  // what replaces a private file is never readable to others, not even for now
        if (const int error = mode >= 0 ? set_mode(file_, mode) : 0) {
            discard();  // no destructor runs after a constructor's throw
            throw OsError(error, given_);
        }
    }
    ~Temporary() { discard(); }
    Temporary(const Temporary&) = delete;
    Temporary& operator=(const Temporary&) = delete;

    void write(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const int64_t done = write_some(file_, bytes.data(), std::min(bytes.size(), kMaxWrite));
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) throw OsError(done < 0 ? errno : ENOSPC, given_);
            bytes = bytes.subspan(static_cast<size_t>(done));
        }
    }

    void to_start() { check_os(rewind(file_)); }

    bool commit() {
        check_os(sync_file(file_));
        check_os(close_file(std::exchange(file_, -1)));
        check_os(replace(path_, target_));
        path_.clear();
        return sync_folder(folder_) == 0;
    }

  private:
    void check_os(int error) const {
        if (error != 0) throw OsError(error, given_);
    }

    // The permission bits of the file that will be replaced, or -1 where there is none.
    int existing_mode() const {
        std::error_code error;
        const std::filesystem::file_status status = std::filesystem::status(target_, error);
        if (status.type() == std::filesystem::file_type::not_found) return -1;
        check_os(error.value());
        if (std::filesystem::is_directory(status)) throw OsError(EISDIR, given_);
        if (!std::filesystem::is_regular_file(status)) throw OsError(EINVAL, given_);  // never replace /dev/null
        if (!is_writable(target_)) throw OsError(EACCES, given_);  // a rename would not ask for the file's permission
        return static_cast<int>(status.permissions()) & 07777;
    }

    void open(int mode) {
        for (int i = 0; i < kTries; ++i) {
            path_ = folder_ / temporary_name();
            file_ = create(path_, mode);
            if (file_ >= 0) return;
            const int error = errno;
            path_.clear();
            if (error != EEXIST && error != EINTR) throw OsError(error, given_);
        }
        throw OsError(EEXIST, given_);
    }

    void discard() noexcept {
        if (file_ >= 0) close_file(std::exchange(file_, -1));
        if (!path_.empty()) remove_file(path_);
    }

    std::string given_;  // for errors: the path as the caller knows it
    std::filesystem::path target_, folder_;
    std::filesystem::path path_;  // empty once there is nothing to remove
    int file_ = -1;
};

AtomicFile::AtomicFile(const std::filesystem::path& target) {
    buffer_.reserve(kBuffer);
    file_ = std::make_unique<Temporary>(target);
}
AtomicFile::~AtomicFile() = default;

void AtomicFile::append(std::span<const std::byte> bytes) {
    if (buffer_.size() + bytes.size() > kBuffer) flush();
    if (bytes.size() >= kBuffer)
        file_->write(bytes);
    else
        buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void AtomicFile::overwrite_start(std::span<const std::byte> bytes) {
    flush();
    file_->to_start();
    file_->write(bytes);
}

bool AtomicFile::commit() {
    flush();
    return file_->commit();
}

void AtomicFile::flush() {
    file_->write(buffer_);
    buffer_.clear();
}

}  // namespace annkit
