// The few helpers of the native tests: checks that count and go on, and files in a folder of their own.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace checks {

inline size_t passed = 0, failed = 0;

inline void expect(bool ok, const std::string& what) {
    ok ? ++passed : ++failed;
    if (!ok && failed <= 20) std::fprintf(stderr, "FAILED: %s\n", what.c_str());
}

// Whether the call throws exactly this error; any other propagates or counts as a failure.
template <class Error, class Call>
void expect_throw(Call&& call, const std::string& what, const std::string& message_has = "") {
    try {
        call();
        expect(false, what + ": nothing was thrown");
    } catch (const Error& error) {
        const std::string message = error.what();
        expect(message.find(message_has) != message.npos, what + ": the message is: " + message);
    } catch (const std::exception& error) {
        expect(false, what + ": another error was thrown: " + error.what());
    }
}

inline int summary(const char* name) {
    std::printf("%s: %zu checks passed, %zu failed\n", name, passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

// A new folder, removed at the end.
class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "annkit-test-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) std::abort();
        path_ = name;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
    const std::filesystem::path& path() const { return path_; }
    size_t entries() const {
        return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
    }

  private:
    std::filesystem::path path_;
};

inline void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
}

inline std::vector<std::byte> read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

}  // namespace checks
