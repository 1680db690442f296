// Which loader reads which kind of part: a table that the layers above fill. A file names kinds, never code.
//
// Nothing relies on static initialisers, which linkers drop from static libraries: annkit/registry.cpp adds the rows,
// one a class, when the module or a program starts.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"

namespace annkit {

namespace detail {
[[noreturn]] void fail_unknown_kind(const Reader& reader, std::string_view kind, std::string_view known);
}

// One table for each base class (Transform, Codec, Index): a file cannot put an index where a codec belongs.
template <class Base>
class Registry {
  public:
    using Load = std::unique_ptr<Base> (*)(const Reader&);

    // To be called before threads load. Adding the same row again changes nothing.
    static void add(std::string_view kind, Load load) {
        const auto [row, added] = table().emplace(kind, load);
        check(added || row->second == load, "there are two loaders of the kind ", kind);
    }
    static bool knows(std::string_view kind) { return table().contains(kind); }

    // A part of a file that is being loaded.
    static std::unique_ptr<Base> load(const Reader& reader) {
        const std::string_view kind = reader.kind();
        const auto row = table().find(kind);
        if (row == table().end()) detail::fail_unknown_kind(reader, kind, known());
        return row->second(reader);
    }
    // A whole file. Unless it is mapped, what no loader asked for is verified too: no damage passes.
    static std::unique_ptr<Base> load_file(const Reader& reader) {
        std::unique_ptr<Base> part = load(reader);
        if (!reader.is_mapped()) reader.verify();
        return part;
    }
    static std::unique_ptr<Base> open(const std::filesystem::path& path, bool mmap, Monitor* monitor = nullptr) {
        return load_file(Reader::open(path, mmap, monitor));
    }

  private:
    using Table = std::map<std::string, Load, std::less<>>;
    static Table& table() {
        static Table rows;
        return rows;
    }
    static std::string known() {
        std::string names;
        for (const auto& [kind, load] : table()) names += (names.empty() ? "" : ", ") + kind;
        return names;
    }
};

}  // namespace annkit
