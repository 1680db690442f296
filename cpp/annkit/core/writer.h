// Collects the sections of a file, then writes them. Arrays are referred to, not copied.
//
//     Writer out("ivf");                      // the kind of the outermost part
//     out.value("dim", dim_);
//     out.array("centroids", centroids_, dim_);
//     out.part("codec", *codec_);             // codec_->save(Writer&) writes codec/...
//     const bool durable = out.save(path);
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "annkit/core/container.h"
#include "annkit/core/errors.h"

namespace annkit {

class Monitor;

class Writer {
  public:
    using Pieces = std::vector<std::span<const std::byte>>;

    explicit Writer(std::string_view kind);

    // The writer of a part of this part: its sections are named name/..., in the same file. Valid on its own.
    Writer child(std::string_view name, std::string_view kind) const;
    template <class Part>
    void part(std::string_view name, const Part& part) const {
        Writer inner = child(name, part.kind());
        part.save(inner);
    }

    // Small values; read by Reader::integer, real and text. An integer must fit int64.
    template <std::integral T>
    void value(std::string_view name, T number) {
        if constexpr (!std::same_as<T, bool>)
            check(std::in_range<int64_t>(number), "section ", name, ": ", number, " does not fit an int64");
        array(name, std::vector<int64_t>{static_cast<int64_t>(number)});
    }
    void value(std::string_view name, double number) { array(name, std::vector<double>{number}); }
    void value(std::string_view name, std::string_view text) {
        array(name, std::vector<char>(text.begin(), text.end()));
    }

    // An array of rows of row_elems values each (1 where it is 1-D); read by Reader::array and read_into. An lvalue or
    // a span must live until the file is written; a temporary vector is kept.
    template <std::ranges::contiguous_range R>
    void array(std::string_view name, R&& values, size_t row_elems = 1) {
        using T = std::ranges::range_value_t<R>;
        if constexpr (std::ranges::borrowed_range<R>) {
            add(name, section_type<T>(), row_elems, {std::as_bytes(std::span<const T>(values))}, nullptr);
        } else {
            const auto kept = std::make_shared<const std::remove_cvref_t<R>>(std::forward<R>(values));
            add(name, section_type<T>(), row_elems, {std::as_bytes(std::span<const T>(*kept))}, kept);
        }
    }
    // One section out of several pieces, in this order (slabs, lists). Their bytes must live until the file is written.
    void bytes(std::string_view name, SectionType type, size_t row_elems, Pieces pieces) {
        add(name, type, row_elems, std::move(pieces), nullptr);
    }

    // Replaces the file atomically: see AtomicFile. OsError with the path where that fails, the old file intact; false
    // where the new file is there, but the folder could not be synced. The monitor is told the bytes
    // written and may stop the call, which keeps the old file; the fsync at the end cannot be stopped.
    [[nodiscard]] bool save(const std::filesystem::path& path, Monitor* monitor = nullptr) const;
    std::vector<std::byte> to_bytes(Monitor* monitor = nullptr) const;
    // The bytes that a file of the sections so far takes.
    uint64_t size() const;

  private:
    struct State;
    Writer(std::shared_ptr<State> state, std::string prefix, std::string_view kind);
    void add(std::string_view name, SectionType type, size_t row_elems, Pieces pieces,
             std::shared_ptr<const void> kept);

    std::shared_ptr<State> state_;  // shared with the children
    std::string prefix_;
};

}  // namespace annkit
