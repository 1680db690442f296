// The container: round trips, and what damaged, hostile and foreign files do. Made to run under ASan and UBSan.
#include <malloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>
#include <new>
#include <numeric>
#include <random>

#include "annkit/core/checksum.h"
#include "annkit/core/errors.h"
#include "annkit/core/parallel.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "checks.h"

namespace {
std::atomic<size_t> held = 0, peak = 0;  // bytes allocated by operator new, counted for the test of allocation bombs

void* counted(void* memory) {
    if (memory == nullptr) throw std::bad_alloc();
    held += malloc_usable_size(memory);
    peak = std::max(peak.load(), held.load());
    return memory;
}
void release(void* memory) {
    if (memory != nullptr) held -= malloc_usable_size(memory);
    std::free(memory);
}
}  // namespace

void* operator new(size_t size) { return counted(std::malloc(std::max<size_t>(size, 1))); }
void* operator new(size_t size, std::align_val_t align) {
    const size_t step = static_cast<size_t>(align);
    return counted(std::aligned_alloc(step, (size + step - 1) / step * step));
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }

namespace {

using namespace annkit;
using checks::expect, checks::expect_throw;
using Bytes = std::vector<std::byte>;

struct Demo {  // a part, as the layers above write them
    std::vector<float> rows;
    std::string_view kind() const { return "demo"; }
    void save(Writer& out) const {
        out.value("dim", 3);
        out.array("rows", rows, 3);
    }
    static std::unique_ptr<Demo> load(const Reader& in) {
        auto demo = std::make_unique<Demo>();
        const int64_t dim = in.integer("dim", 1, 100);
        demo->rows.resize(in.rows("rows") * static_cast<size_t>(dim));
        in.read_into("rows", std::span(demo->rows), static_cast<uint64_t>(dim));
        return demo;
    }
};

const std::vector<uint8_t> kLeft(100, 7), kRight(44, 9);
const Demo kDemo{{1, 2, 3, 4, 5, 6}};
constexpr uint64_t kEmpty = 4974784835589605201u, kPinned = 1383050444570518306u;

Writer example() {
    Writer out("root");
    out.value("flag", true);
    out.value("real", 0.25);
    out.value("name", "h\xc3\xa9llo");
    out.array("ids", std::vector<int64_t>{5, -1, 1LL << 62});
    out.bytes("codes", SectionType::u8, 12, {std::as_bytes(std::span(kLeft)), {}, std::as_bytes(std::span(kRight))});
    out.array("none", std::vector<float>{}, 96);
    Writer middle = out.child("middle", "middle_kind");
    middle.part("inner", kDemo);
    return out;
}

void check_example(const Reader& in) {
    expect(in.kind() == "root" && in.child("middle").kind() == "middle_kind", "kinds");
    expect(in.integer("flag", 0, 1) == 1 && in.real("real") == 0.25 && in.text("name", 10) == "h\xc3\xa9llo", "values");
    const auto ids = in.array<int64_t>("ids", 3);
    expect(ids[0] == 5 && ids[1] == -1 && ids[2] == 1LL << 62, "ids");
    expect(in.rows("codes") == 12 && in.array<float>("none", 0, 96).empty(), "shapes");
    const auto codes = in.array<uint8_t>("codes", 12, 12);
    expect(codes[99] == 7 && codes[100] == 9 && reinterpret_cast<uintptr_t>(codes.data()) % 64 == 0, "codes");
    std::vector<uint8_t> head(10), tail(134);
    in.read_into("codes", SectionType::u8, 12,
                 {std::as_writable_bytes(std::span(head)), std::as_writable_bytes(std::span(tail))});
    expect(tail[89] == 7 && tail[90] == 9 && tail.back() == 9, "codes in pieces");
    expect(Demo::load(in.child("middle").child("inner"))->rows == kDemo.rows, "nested part");
    expect(in.has("ids") && in.has("middle") && !in.has("id") && !in.child("middle").has("ids"), "has");
    in.verify();
}

void test_round_trip(const checks::Folder& folder) {
    const Writer out = example();
    const Bytes bytes = out.to_bytes();
    expect(bytes.size() == out.size() && bytes.size() % 64 == 0, "size");
    expect(out.save(folder / "a.ak") && checks::read_file(folder / "a.ak") == bytes, "the file is the bytes");
    check_example(Reader::open(folder / "a.ak", false));
    check_example(Reader::open(folder / "a.ak", true));
    check_example(Reader::from_bytes(bytes));
    const auto shifted = std::make_shared<Bytes>(bytes.size() + 1);  // borrowed, and not aligned
    std::copy(bytes.begin(), bytes.end(), shifted->begin() + 1);
    check_example(Reader::from_bytes(std::span(*shifted).subspan(1), shifted));
}

void test_mapping_survives_its_reader_and_a_save(const checks::Folder& folder) {
    Writer big("big");
    std::vector<uint32_t> numbers(1 << 20);
    std::iota(numbers.begin(), numbers.end(), 0u);
    big.array("numbers", numbers);
    expect(big.save(folder / "big.ak"), "durable");
    std::span<const uint32_t> mapped;
    std::shared_ptr<const void> storage;
    {
        const Reader in = Reader::open(folder / "big.ak", true);
        expect(in.is_mapped(), "mapped");
        mapped = in.array<uint32_t>("numbers", numbers.size());
        storage = in.storage();
    }
    expect(example().save(folder / "big.ak"), "durable");
    expect(std::equal(mapped.begin(), mapped.end(), numbers.begin()), "an overwritten mapping reads as before");
    Bytes bytes = big.to_bytes();
    bytes[bytes.size() / 2] ^= std::byte{1};
    checks::write_file(folder / "bad.ak", bytes);
    const Reader bad = Reader::open(folder / "bad.ak", true);
    expect_throw<FormatError>([&] { bad.verify("numbers"); }, "damage in a mapping", "numbers");
    expect_throw<FormatError>([&] { Reader::open(folder / "bad.ak", false).verify(); }, "damage in a file", "numbers");
}

void test_wrong_requests_are_errors() {
    const Reader in = Reader::from_bytes(example().to_bytes());
    expect_throw<FormatError>([&] { in.array<float>("ids", 3); }, "type", "section ids is i64 of 3, expected f32 of 3");
    expect_throw<FormatError>([&] { in.array<uint8_t>("codes", 12, 13); }, "shape", "12 x 12, expected u8 of 12 x 13");
    expect_throw<FormatError>([&] { in.integer("flag", 2, 3); }, "range", "flag is 1, expected 2 to 3");
    expect_throw<FormatError>([&] { in.text("name", 3); }, "length", "6 characters");
    expect_throw<FormatError>([&] { in.array<float>("no", 1); }, "missing", "no section no");
    expect_throw<FormatError>([&] { in.child("no"); }, "missing part", "no section no/kind");
    Writer out("w");
    expect_throw<ValueError>([&] { out.value("Bad", 1); }, "name");
    expect_throw<ValueError>([&] { out.value("kind", 1); }, "twice", "two sections kind");
    expect_throw<ValueError>([&] { out.value("u", std::numeric_limits<uint64_t>::max()); }, "too large", "int64");
    expect_throw<ValueError>([&] { out.array("a", std::vector<float>(4), 3); }, "ragged", "no whole rows");
}

void test_every_flip_and_truncation_is_found(const checks::Folder& folder) {
    const Bytes bytes = example().to_bytes();
    Bytes damaged = bytes;
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        damaged[bit / 8] ^= std::byte(1 << bit % 8);
        expect_throw<FormatError>([&] { Reader::from_bytes(damaged).verify(); }, "flip of bit " + std::to_string(bit));
        damaged[bit / 8] = bytes[bit / 8];
    }
    for (size_t size = 0; size < bytes.size(); ++size) {
        const auto cut = std::span(bytes).first(size);
        expect_throw<FormatError>([&] { Reader::from_bytes(cut); }, "cut at " + std::to_string(size));
        checks::write_file(folder / "cut.ak", cut);
        for (const bool mmap : {false, true})
            expect_throw<FormatError>([&] { Reader::open(folder / "cut.ak", mmap); }, concat("cut file at ", size));
    }
    damaged.push_back(std::byte{0});
    expect_throw<FormatError>([&] { Reader::from_bytes(damaged); }, "a byte more", "1 bytes after its end");
}

uint64_t header_bytes(const Bytes& bytes) {
    uint64_t size;
    std::memcpy(&size, bytes.data() + 16, 8);
    return std::min<uint64_t>(size, bytes.size());
}

void sign_header(Bytes& bytes) {
    uint64_t sum = 0;
    std::memcpy(bytes.data() + 56, &sum, 8);
    sum = checksum(std::span(bytes).first(header_bytes(bytes)));
    std::memcpy(bytes.data() + 56, &sum, 8);
}

// With the checksums recomputed, a file is read or refused; ASan watches.
void test_mutated_headers() {
    const Bytes bytes = example().to_bytes();
    const uint64_t header = header_bytes(bytes);
    constexpr uint64_t kOdd[] = {0, 1, 255, 1ull << 31, 1ull << 32, 1ull << 60, 1ull << 63, ~0ull};
    std::mt19937 random(1);
    size_t refused = 0;
    for (int trial = 0; trial < 20000; ++trial) {
        Bytes mutated = bytes;
        for (uint32_t i = random() % 3 + 1; i > 0; --i) {
            const size_t at = random() % (header - 8);
            if (random() % 2)
                std::memcpy(mutated.data() + at, &kOdd[random() % std::size(kOdd)], 8);
            else
                mutated[at] = std::byte(random());
        }
        sign_header(mutated);
        try {
            Reader in = Reader::from_bytes(mutated);
            for (const char* name : {"kind", "flag", "real", "name", "ids", "codes", "none", "middle/kind"})
                if (in.has(name)) in.array<uint8_t>(name, in.rows(name));
            in.verify();
        } catch (const FormatError&) {
            ++refused;
        }
    }
    expect(refused > 15000, concat("mutated headers refused: ", refused));
}

void test_allocation_bombs() {
    Writer out("bomb");
    out.array("a", std::vector<uint64_t>(1000));
    const Bytes bytes = out.to_bytes();
    for (const size_t field : {12, 16, 64, 72, 94, 102}) {  // sections, header; rows and elements of kind and of a
        for (const uint64_t value : {1ull << 20, 1ull << 33, 1ull << 50, 1ull << 61, ~0ull}) {
            Bytes bomb = bytes;
            std::memcpy(bomb.data() + field, &value, field == 12 ? 4 : 8);
            sign_header(bomb);
            const size_t before = held;
            peak = before;
            expect_throw<FormatError>(
                [&] {
                    const Reader in = Reader::from_bytes(bomb);
                    std::vector<uint64_t> into(in.rows("a"));
                    in.read_into("a", std::span(into));
                    in.verify();
                },
                concat("a bomb at ", field));
            expect(peak - before <= 2 * bytes.size() + (16 << 20), concat("memory of the bomb at ", field));
        }
    }
}

void test_other_files_are_named() {
    const auto message = [](std::string_view text, const char* has) {
        expect_throw<FormatError>([&] { Reader::from_bytes(std::as_bytes(std::span(text))); }, has, has);
    };
    message("", "not an annkit file: it is empty");
    message("\x93NUMPY and more", "NumPy");
    message("version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer");
    message(std::string(500, '\0'), "zeros");
    message("some text", "starts with 73 6f");
    Bytes newer = example().to_bytes();
    newer[8] = std::byte{3};
    expect_throw<FormatError>([&] { Reader::from_bytes(newer); }, "newer", "has format 3, this annkit reads up to 1");
}

void test_registry(const checks::Folder& folder) {
    Registry<Demo>::add("demo", &Demo::load);
    Registry<Demo>::add("demo", &Demo::load);
    Writer out(kDemo.kind());
    kDemo.save(out);
    expect(out.save(folder / "demo.ak"), "durable");
    expect(Registry<Demo>::open(folder / "demo.ak", false)->rows == kDemo.rows, "load");
    expect(Registry<Demo>::open(folder / "demo.ak", true)->rows == kDemo.rows, "load mapped");
    expect_throw<FormatError>([] { Registry<Demo>::load(Reader::from_bytes(example().to_bytes())); }, "kind",
                              "kind root, which cannot be loaded here; known are demo");
}

void test_a_monitor_stops_saving_and_loading(const checks::Folder& folder) {
    struct Stop : Monitor {
        void poll() override {
            if (--left == 0) throw Interrupted();
        }
        void progress(size_t done, size_t total) override { sane = sane && done <= total; }
        int left = 2;
        bool sane = true;
    };
    const std::vector<uint8_t> zeros(20 << 20);
    Writer out("large");
    out.array("zeros", zeros);
    const size_t files = folder.entries();
    Stop stop;
    expect_throw<Interrupted>([&] { static_cast<void>(out.save(folder / "stopped.ak", &stop)); }, "save");
    expect(stop.sane && folder.entries() == files, "an interrupted save leaves nothing");
    expect(out.save(folder / "large.ak"), "durable");
    for (const bool mmap : {false, true}) {
        stop.left = 2;
        expect_throw<Interrupted>([&] { Reader::open(folder / "large.ak", mmap, &stop).verify(); }, "load");
    }
}

void test_what_cannot_be_opened(const checks::Folder& folder) {
    ::mkfifo((folder / "fifo").c_str(), 0600);
    for (const char* name : {"missing", "fifo", "."})
        expect_throw<OsError>([&] { Reader::open(folder / name, true); }, name, name);
    expect_throw<ValueError>([&] { Reader::open(folder / std::string("a\0b", 3), true); }, "null", "null character");
}

void test_checksum() {
    Bytes bytes(1000);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(i * 37);
    const uint64_t whole = checksum(bytes);
    for (size_t cut = 0; cut <= bytes.size(); cut += 13) {
        Checksum sum;
        sum.update(std::span(bytes).first(cut));
        sum.update(std::span(bytes).subspan(cut));
        expect(sum.value() == whole, "pieces");
    }
    // Pinned: changing the checksum would make every file that exists unreadable.
    expect(checksum({}) == kEmpty && whole == kPinned, concat("pinned checksums ", checksum({}), " ", whole));
    const Bytes large(64 << 20);
    const auto start = std::chrono::steady_clock::now();
    volatile uint64_t keep = checksum(large);
    static_cast<void>(keep);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("checksum: %.1f GB/s\n", static_cast<double>(large.size()) / took.count() / 1e9);
}

}  // namespace

int main() {
    const checks::Folder folder;
    test_checksum();
    test_round_trip(folder);
    test_mapping_survives_its_reader_and_a_save(folder);
    test_wrong_requests_are_errors();
    test_every_flip_and_truncation_is_found(folder);
    test_mutated_headers();
    test_allocation_bombs();
    test_other_files_are_named();
    test_registry(folder);
    test_a_monitor_stops_saving_and_loading(folder);
    test_what_cannot_be_opened(folder);
    return checks::summary("container");
}
