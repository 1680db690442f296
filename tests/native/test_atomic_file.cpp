// Saving: every failing system call, a full disk, kill -9, links, permissions, and the order on disk (POSIX only).
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <random>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "checks.h"

// The program's own versions of the calls that AtomicFile makes: they log, and fail where a test says so.
namespace calls {
std::string log;                     // the calls in their order, repeated ones once
std::map<std::string, int> failing;  // the how-manieth call from now on fails
int error = EIO;
bool dribble = false;  // every write is interrupted once, then writes one byte out of two

bool fails(const std::string& name) {
    if (log.size() < name.size() || log.compare(log.size() - name.size(), name.npos, name) != 0) log += " " + name;
    const auto it = failing.find(name);
    if (it == failing.end() || --it->second != 0) return false;
    errno = error;
    return true;
}
template <class Function>
Function next(const char* name) {
    return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}
}  // namespace calls

extern "C" {
ssize_t write(int file, const void* bytes, size_t size) {
    static const auto call = calls::next<ssize_t (*)(int, const void*, size_t)>("write");
    static bool interrupted = false;
    if (calls::fails("write")) return -1;
    if (calls::dribble && (interrupted = !interrupted)) return errno = EINTR, -1;
    return call(file, bytes, calls::dribble ? (size + 1) / 2 : size);
}
int fsync(int file) {
    static const auto call = calls::next<int (*)(int)>("fsync");
    struct stat status;
    const bool folder = ::fstat(file, &status) == 0 && S_ISDIR(status.st_mode);
    return calls::fails(folder ? "fsync-folder" : "fsync") ? -1 : call(file);
}
int rename(const char* from, const char* to) noexcept {
    static const auto call = calls::next<int (*)(const char*, const char*)>("rename");
    return calls::fails("rename") ? -1 : call(from, to);
}
int fchmod(int file, mode_t mode) noexcept {
    static const auto call = calls::next<int (*)(int, mode_t)>("fchmod");
    return calls::fails("fchmod") ? -1 : call(file, mode);
}
off_t lseek(int file, off_t offset, int from) noexcept {
    static const auto call = calls::next<off_t (*)(int, off_t, int)>("lseek");
    return calls::fails("lseek") ? -1 : call(file, offset, from);
}
}

namespace {

using namespace annkit;
using checks::expect, checks::expect_throw;

// A file of the given value, larger than the write buffer.
Writer numbers(int32_t value, size_t count = 300000) {
    Writer out("numbers");
    out.array("all", std::vector<int32_t>(count, value));
    return out;
}

// The value of a file that is whole, or -1.
int32_t value_of(const std::filesystem::path& path) {
    try {
        const Reader in = Reader::open(path, false);
        in.verify();
        return in.array<int32_t>("all", in.rows("all"))[0];
    } catch (const std::exception&) {
        return -1;
    }
}

void save(int32_t value, const std::filesystem::path& path) { expect(numbers(value).save(path), "saved durably"); }

unsigned mode_of(const std::filesystem::path& path) {
    struct stat status {};
    ::stat(path.c_str(), &status);
    return status.st_mode & 07777;
}

void expect_old_file(const checks::Folder& folder, const std::string& what) {
    expect(value_of(folder / "a.ak") == 1, what + ": the old file is there");
    expect(folder.entries() == 1, what + ": no temporary file is left");
}

void test_order_on_disk() {
    const checks::Folder folder;
    calls::log.clear();
    save(1, folder / "a.ak");
    expect(calls::log == " write lseek write fsync rename fsync-folder", "the order is" + calls::log);
}

void test_every_failing_call_keeps_the_old_file() {
    const checks::Folder folder;
    save(1, folder / "a.ak");
    size_t failures = 0;
    for (const char* name : {"fchmod", "write", "lseek", "fsync", "rename"}) {
        for (int nth = 1;; ++nth) {
            calls::failing = {{name, nth}};
            bool thrown = false;
            try {
                expect(numbers(2).save(folder / "a.ak"), "durable");
            } catch (const OsError& error) {
                thrown = error.code == EIO && error.path == (folder / "a.ak").string();
            }
            calls::failing.clear();
            if (!thrown) break;  // there is no nth call
            ++failures;
            expect_old_file(folder, name);
        }
        expect(value_of(folder / "a.ak") == 2, "without a failure the new file is there");
        save(1, folder / "a.ak");
    }
    expect(failures >= 10, "failures tried: " + std::to_string(failures));
    calls::failing = {{"fsync-folder", 1}};
    expect(!numbers(2).save(folder / "a.ak"), "a failure after the rename is reported, not thrown");
    calls::failing.clear();
    expect(value_of(folder / "a.ak") == 2 && folder.entries() == 1, "and the new file is there");
}

void test_interrupted_and_short_writes_go_on() {
    const checks::Folder folder;
    calls::dribble = true;
    save(3, folder / "a.ak");
    calls::dribble = false;
    expect(value_of(folder / "a.ak") == 3, "dribbled");
}

void test_a_full_disk_keeps_the_old_file() {
    const checks::Folder folder;
    save(1, folder / "a.ak");
    ::signal(SIGXFSZ, SIG_IGN);  // as Python does
    rlimit limit;
    ::getrlimit(RLIMIT_FSIZE, &limit);
    const uint64_t size = numbers(2).size();
    for (uint64_t room = 0; room < size; room += size / 50) {
        const rlimit full{room, limit.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &full);
        expect_throw<OsError>([&] { static_cast<void>(numbers(2).save(folder / "a.ak")); }, "full disk", "a.ak");
        ::setrlimit(RLIMIT_FSIZE, &limit);
        expect_old_file(folder, "full disk");
    }
}

// Runs as nobody where the test runs as root, whom no permission stops; the exit status is the number of failures.
template <class Call>
void as_user(const checks::Folder& folder, Call&& call) {
    if (::getuid() == 0 && ::chown(folder.path().c_str(), 65534, 65534) != 0) return;
    const pid_t child = ::fork();
    if (child == 0) {
        if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(0);
        checks::failed = 0;
        call();
        ::_exit(static_cast<int>(std::min<size_t>(checks::failed, 100)));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "as a user");
}

void test_read_only_places() {
    const checks::Folder folder;
    as_user(folder, [&] {
        const auto failing_save = [&](const std::string& name, int code) {
            try {
                static_cast<void>(numbers(2).save(folder / name));
                expect(false, "saved where nothing may be written");
            } catch (const OsError& error) {
                expect(error.code == code && error.path == (folder / name).string(), "read-only: " + error.path);
            }
        };
        save(1, folder / "a.ak");
        ::chmod((folder / "a.ak").c_str(), 0400);
        failing_save("a.ak", EACCES);  // a file marked read-only is not replaced
        ::chmod((folder / "a.ak").c_str(), 0600);
        ::chmod(folder.path().c_str(), 0500);
        failing_save("a.ak", EACCES);
        failing_save("new.ak", EACCES);
        ::chmod(folder.path().c_str(), 0700);
        expect_old_file(folder, "read-only folder");
        failing_save("no/a.ak", ENOENT);
        failing_save(std::string(300, 'x'), ENAMETOOLONG);
        failing_save(".", EISDIR);
        save(2, folder / std::string(255, 'y'));
        expect(value_of(folder / std::string(255, 'y')) == 2, "the longest name");
    });
    expect_throw<OsError>([] { static_cast<void>(numbers(2).save("/dev/null")); }, "a device", "/dev/null");
}

void test_permissions_are_kept() {
    const checks::Folder folder;
    const mode_t mask = ::umask(027);
    save(1, folder / "a.ak");
    expect(mode_of(folder / "a.ak") == 0640, "a new file has 0666 less the umask");
    ::chmod((folder / "a.ak").c_str(), 0604);
    save(2, folder / "a.ak");
    expect(mode_of(folder / "a.ak") == 0604 && value_of(folder / "a.ak") == 2, "an existing one keeps its bits");
    ::umask(mask);
}

void test_links_stay() {
    const checks::Folder folder;
    namespace fs = std::filesystem;
    fs::create_directory(folder / "sub");
    fs::create_symlink("sub/real.ak", folder / "middle");
    fs::create_symlink("middle", folder / "link");
    for (const int32_t value : {1, 2}) {  // first the target does not exist
        save(value, folder / "link");
        expect(fs::is_symlink(folder / "link") && fs::is_symlink(folder / "middle"), "the links stay");
        expect(!fs::is_symlink(folder / "sub/real.ak"), "the target is a file");
        expect(value_of(folder / "sub/real.ak") == value, "the target is new");
    }
    fs::create_symlink("loop", folder / "loop");
    expect_throw<OsError>([&] { static_cast<void>(numbers(1).save(folder / "loop")); }, "a loop", "loop");
    const fs::path here = fs::current_path();
    fs::current_path(folder.path());
    save(5, "plain.ak");  // no folder in the path
    fs::current_path(here);
    expect(value_of(folder / "plain.ak") == 5, "a bare name");
}

void test_kill_leaves_the_old_or_the_new_file() {
    const checks::Folder folder;
    std::mt19937 random(7);
    size_t stray = 0;
    save(0, folder / "a.ak");
    for (int round = 0; round < 200; ++round) {
        const int32_t before = value_of(folder / "a.ak");
        const pid_t child = ::fork();
        if (child == 0) {
            for (int32_t next = before + 1;; ++next) static_cast<void>(numbers(next).save(folder / "a.ak"));
        }
        ::usleep(random() % 6000);
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        expect(value_of(folder / "a.ak") >= before, "after a kill a whole file is there");
        for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
            if (entry.path().extension() != ".tmp") continue;
            expect(entry.path() != folder / "a.ak", "a temporary file is not the target");
            std::filesystem::remove(entry.path());
            ++stray;
        }
    }
    expect(value_of(folder / "a.ak") > 0 && stray > 0, "some saves were finished, some were cut");
    std::printf("kill -9: %d saves finished, %zu of 200 kills came amid one\n", value_of(folder / "a.ak"), stray);
}

}  // namespace

int main() {
    test_order_on_disk();
    test_every_failing_call_keeps_the_old_file();
    test_interrupted_and_short_writes_go_on();
    test_a_full_disk_keeps_the_old_file();
    test_read_only_places();
    test_permissions_are_kept();
    test_links_stay();
    test_kill_leaves_the_old_or_the_new_file();
    return checks::summary("atomic_file");
}
