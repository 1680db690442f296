// The errors the core throws. The binding maps each type to its Python exception.
#pragma once

#include <charconv>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace annkit {

struct ValueError : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};
struct FormatError : ValueError {  // the content of a file is not what it claims to be
    using ValueError::ValueError;
};
struct NotFittedError : ValueError {
    using ValueError::ValueError;
};
struct TypeError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct KeyError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct OsError : std::runtime_error {
    OsError(int error_code, std::string where) : std::runtime_error(where), code(error_code), path(std::move(where)) {}
    int code;
    std::string path;
};
// Thrown at the caller's wish (Ctrl-C, a callback that raised): the binding finds the Python error already set.
struct Interrupted : std::runtime_error {
    Interrupted() : std::runtime_error("interrupted") {}
};

namespace detail {
template <class T>
void append(std::string& out, const T& part) {
    if constexpr (std::is_convertible_v<const T&, std::string_view>)
        out += std::string_view(part);
    else if constexpr (std::is_floating_point_v<T>) {
        char digits[32];  // the fewest that tell the number from all others
        out.append(digits, std::to_chars(digits, digits + sizeof digits, part).ptr);
    } else
        out += std::to_string(part);
}
}  // namespace detail

template <class... Parts>
std::string concat(const Parts&... parts) {
    std::string out;
    (detail::append(out, parts), ...);
    return out;
}

template <class Error = ValueError, class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
    throw Error(concat(parts...));
}

// check(dim == dim_, "dim is ", dim, ", index expects ", dim_)
template <class Error = ValueError, class... Parts>
void check(bool ok, const Parts&... parts) {
    if (!ok) [[unlikely]]
        fail<Error>(parts...);
}

}  // namespace annkit
