// Loads damaged and hostile index files for a while (ANNKIT_FUZZ_SECONDS, 2 by default): each is refused with a typed
// error, or gives an index that answers, grows and is stored again. ANNKIT_FUZZ_SEED repeats a run.
//
// Files are damaged in three ways: bytes anywhere (which checksums find); values inside sections, or whole sections
// that go missing or change their shape, with checksums that are right again; and files of Flat made up from nothing.
// Before that, every section of every file gets each number that is none, or that is none to be expected.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "annkit/core/checksum.h"
#include "annkit/core/container.h"
#include "annkit/core/mapped_file.h"
#include "annkit/core/random.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/registry.h"
#include "checks.h"
#include "indexes.h"

namespace {

using namespace annkit;
using indexes::saved;
using Bytes = std::vector<std::byte>;

double number_from(const char* name, double otherwise) {
    const char* given = std::getenv(name);
    return given == nullptr ? otherwise : std::atof(given);
}

// Small files of every kind: with ids and removed rows, without rows, and not fitted.
std::vector<Bytes> seeds(Random& random) {
    std::vector<Bytes> files;
    std::vector<int64_t> ids(indexes::kRows);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = int64_t(i * i);
    const std::vector<int64_t> removed{4, 9};
    const indexes::Examples examples(random);
    for (const auto& [index, rows] : examples.all()) {
        files.push_back(saved(*index));
        index->fit(rows, {});
        files.push_back(saved(*index));
        index->add(rows, rows.dtype != Dtype::f32 || files.size() % 4 == 0 ? Ids(ids) : std::nullopt, false, {});
        index->remove(removed, {});
        for (size_t times = 0; times < 4; ++times) files.push_back(saved(*index));  // full ones are worth more trials
    }
    return files;
}

// A value that loaders may not expect, over the bytes at hand.
void overwrite(std::byte* at, size_t size, SectionType type, Random& random) {
    const auto put = [&](auto value) { std::memcpy(at, &value, std::min(sizeof value, size)); };
    const auto real = [&]() -> double {
        constexpr double kReals[] = {0, -1, 1e38, -3e38, 1e-42, 1e18, 65504, 0.3};
        const uint64_t which = random.below(10);
        if (which == 8) return std::numeric_limits<double>::quiet_NaN();
        if (which == 9) return std::numeric_limits<double>::infinity();
        return kReals[which];
    };
    constexpr int64_t kIntegers[] = {0,  1,  2,  3,   4,     5,       7,  8,         15,        16,        17,
                                     39, 40, 41, 255, 65536, 1 << 24, -1, INT64_MAX, INT64_MIN, UINT32_MAX};
    switch (type) {
        case SectionType::f32:
            return put(float(real()));
        case SectionType::f64:
            return put(real());
        case SectionType::u64:
        case SectionType::i64:
        case SectionType::u32:
        case SectionType::i32:
            return put(kIntegers[random.below(std::size(kIntegers))]);
        default:
            if (size >= 4 && random.below(2)) return put(float(real()));  // factors lie in columns of bytes
            return put(uint8_t(random.next()));
    }
}

// The file of these sections, with right checksums.
Bytes assembled(std::vector<Section> sections, const std::vector<Bytes>& contents) {
    for (size_t i = 0; i < sections.size(); ++i) sections[i].checksum = checksum(contents[i]);
    Bytes file = container::encode_header(sections);
    for (const Bytes& content : contents) {
        file.insert(file.end(), content.begin(), content.end());
        file.resize(container::padded(file.size()));
    }
    file.resize(file.size() + container::kTrailer);
    return file;
}

std::vector<Bytes> contents_of(const Bytes& file, const std::vector<Section>& sections) {
    std::vector<Bytes> contents;
    for (const Section& section : sections) {
        const auto from = file.begin() + ptrdiff_t(section.offset);
        contents.emplace_back(from, from + ptrdiff_t(section.bytes));
    }
    return contents;
}

// A name of another metric, part or type.
Bytes another_word(Random& random) {
    constexpr std::string_view kWords[] = {"l2",        "euclidean", "ip",        "cosine",     "hamming",  "flat",
                                           "ivf",       "hnsw",      "refine",    "pipeline",   "raw",      "bits",
                                           "certified", "scalar",    "product",   "rabitq",     "pca",      "opq",
                                           "rotation",  "normalize", "center",    "projection", "f32",      "f16",
                                           "u8",        "i8",        "sign_bits", "itq",        "spectral", "cca"};
    const std::string_view word = kWords[random.below(std::size(kWords))];
    const auto* bytes = reinterpret_cast<const std::byte*>(word.data());
    return {bytes, bytes + word.size()};
}

// The file with some sections' values, shapes or presence changed, and checksums that are right again.
Bytes altered(const Bytes& file, Random& random) {
    std::vector<Section> sections = container::decode_header(*memory_source(file, nullptr));
    std::vector<Bytes> contents = contents_of(file, sections);
    for (uint64_t times = 1 + random.below(3); times > 0 && !sections.empty(); --times) {
        const size_t which = random.below(sections.size());
        Section& section = sections[which];
        Bytes& content = contents[which];
        const size_t width = size_of(section.type);
        const uint64_t way = random.below(16);
        if (way == 0) {
            sections.erase(sections.begin() + ptrdiff_t(which));
            contents.erase(contents.begin() + ptrdiff_t(which));
        } else if (way == 1) {
            section.rows = section.rows + random.below(3) - (section.rows > 0);
            content.resize(section.rows * section.row_elems * width, std::byte(random.next()));
        } else if (way == 2) {
            section.row_elems = std::max<uint64_t>(1, section.row_elems + random.below(3) - 1);
            content.resize(section.rows * section.row_elems * width, std::byte(random.next()));
        } else if (way == 3) {
            section.type = SectionType(random.below(10));
            content.resize(section.rows * section.row_elems * size_of(section.type));
        } else if (section.type == SectionType::text) {
            content = another_word(random);
            section.rows = content.size();
            section.row_elems = 1;
        } else if (!content.empty()) {
            const size_t at = random.below(content.size() / width) * width;
            overwrite(&content[at], content.size() - at, section.type, random);
        }
    }
    return assembled(sections, contents);
}

// A flat index whose checksums are right and whose values are anybody's guess.
Bytes hostile(Random& random) {
    const auto pick = [&](std::initializer_list<int64_t> values) {
        return *(values.begin() + random.below(values.size()));
    };
    const auto size = [&] { return pick({0, 1, 3, 16, 40, 1 << 20, INT64_MAX, -1}); };
    Writer out("flat");
    out.value("metric", std::string_view(random.below(2) ? "l2" : "hamming"));
    out.value("dim", size());
    Writer codec = out.child("codec", random.below(2) ? "raw" : "certified");
    codec.value("type", std::string_view(random.below(2) ? "f32" : "u8"));
    out.value("rows", size());
    out.value("largest", size());
    std::vector<int64_t> ids(random.below(41));
    for (int64_t& id : ids) id = size();
    out.array("ids", std::move(ids));
    std::vector<uint32_t> removed(random.below(4));
    for (uint32_t& row : removed) row = uint32_t(random.below(60));
    out.array("removed", std::move(removed));
    const auto width = size_t(pick({1, 4, 16, 64}));
    out.array("column0", std::vector<uint8_t>(random.below(41) * width, 0xff), width);
    out.array("column1", std::vector<uint8_t>(random.below(41) * 4, 0xff), 4);
    return out.to_bytes();
}

void mutate(Bytes& bytes, Random& random) {
    for (uint64_t times = 1 + random.below(4); times > 0 && !bytes.empty(); --times) {
        const size_t at = random.below(bytes.size());
        switch (random.below(4)) {
            case 0:
                bytes[at] ^= std::byte(1u << random.below(8));
                break;
            case 1:
                bytes[at] = std::byte(random.next());
                break;
            case 2:
                bytes.resize(at);
                break;
            default:
                bytes.insert(bytes.begin() + ptrdiff_t(at), random.below(100), std::byte(0));
        }
    }
}

// Every call on an index of a file: results are in range, and errors are typed.
void use(Index& index, Random& random) {
    const Dtype type = index.decoded();
    const size_t dim = index.dim(), bytes = type == Dtype::bits ? dim / 8 : dim * element_size(type);
    std::vector<std::byte> queries(3 * bytes);  // the first is zero
    for (size_t i = bytes; i < queries.size(); ++i) queries[i] = std::byte(random.next());
    for (size_t i = bytes; type == Dtype::f32 && i < queries.size(); i += 4) {
        const auto value = float(random.normal());
        std::memcpy(&queries[i], &value, 4);
    }
    const Rows rows{queries.data(), 3, dim, type, ptrdiff_t(bytes), ptrdiff_t(element_size(type))};
    constexpr size_t kHits = 7;
    float distances[3 * kHits];
    int32_t counts[3 * kHits];
    int64_t ids[3 * kHits];
    const std::vector<Filter> none;
    const bool bits = index.metric() == Metric::hamming;
    Settings settings;
    if (index.takes("nprobe")) settings.nprobe = 1 + random.below(6);
    const std::vector<int64_t> held = index.ids();
    const Request request{none, settings, {1, nullptr}};
    index.search(rows, kHits, request, {distances, bits ? counts : nullptr, ids});
    const auto known = [&](int64_t id) { return id == -1 || std::find(held.begin(), held.end(), id) != held.end(); };
    checks::expect(std::all_of(ids, ids + 3 * kHits, known), "a search finds ids of the index");
    const std::vector<int64_t> half(held.begin(), held.begin() + ptrdiff_t(held.size() / 2));
    const std::vector<Filter> filters{{false, half, {}}};
    index.search(rows, kHits, {filters, settings, {1, nullptr}}, {distances, bits ? counts : nullptr, ids});
    checks::expect(std::all_of(ids, ids + 3 * kHits, known), "a filtered search finds ids of the index");
    const RangeAnswer answer = index.range_search(rows, 10, request);
    checks::expect(std::all_of(answer.ids.begin(), answer.ids.end(), known), "a range search finds ids of the index");
    try {
        std::vector<std::byte> out(held.size() * bytes);
        index.reconstruct(held, out.data());
    } catch (const ValueError&) {  // a transform that cannot be taken back
    }
    index.add(rows, std::nullopt, false, {1, nullptr});
    if (!held.empty()) index.remove(std::span(held).first(held.size() / 2), {});
    index.compact({1, nullptr});
    Registry<Index>::load_file(Reader::from_bytes(saved(index)));
}

// Whether the bytes were taken for an index, which then has to work.
bool takes(const Bytes& bytes, Random& random) {
    std::unique_ptr<Index> index;
    try {
        index = Registry<Index>::load_file(Reader::from_bytes(bytes));
    } catch (const ValueError&) {
        return false;
    }
    if (index->dim() == 0 || index->dim() > 4096) return true;
    try {
        use(*index, random);
    } catch (const FormatError& error) {
        checks::expect(false, concat("an index loads what it saved: ", error.what()));
    } catch (const ValueError&) {  // values that no sum of float32 holds, no id left to give, an index not fitted
    }
    return true;
}

// In every section, one value or all, in the sizes of floats, doubles and integers.
size_t strange_numbers(const Bytes& file, Random& random) {
    constexpr float kFloats[] = {NAN, INFINITY, -INFINITY, 3e38f, -1};
    constexpr double kDoubles[] = {NAN, INFINITY, -1, 1e300};
    constexpr int64_t kIntegers[] = {-1, INT64_MAX, INT64_MIN, UINT32_MAX, 1 << 20};
    const std::vector<Section> sections = container::decode_header(*memory_source(file, nullptr));
    const std::vector<Bytes> contents = contents_of(file, sections);
    size_t tried = 0;
    const auto put = [&](size_t which, auto value) {
        for (const bool all : {false, true}) {
            std::vector<Bytes> changed = contents;
            const size_t places = changed[which].size() / sizeof value;
            if (places == 0) return;
            const size_t one = random.below(places);
            for (size_t i = all ? 0 : one; i < (all ? places : one + 1); ++i)
                std::memcpy(&changed[which][i * sizeof value], &value, sizeof value);
            takes(assembled(sections, changed), random);
            ++tried;
        }
    };
    for (size_t i = 0; i < sections.size(); ++i) {
        if (sections[i].type == SectionType::text) continue;
        for (float value : kFloats) put(i, value);
        if (size_of(sections[i].type) == 8)
            for (double value : kDoubles) put(i, value);
        for (int64_t value : kIntegers) size_of(sections[i].type) == 8 ? put(i, value) : put(i, int32_t(value));
    }
    return tried;
}

}  // namespace

int main() {
    register_parts();
    const auto seed = uint64_t(number_from("ANNKIT_FUZZ_SEED", 1));
    Random random(seed);
    const std::vector<Bytes> files = seeds(random);
    for (const Bytes& file : files) checks::expect(takes(file, random), "an index loads what it saved");
    size_t strange = 0;
    for (size_t i = 0; i < files.size(); ++i)
        if (i == 0 || files[i] != files[i - 1]) strange += strange_numbers(files[i], random);
    const auto start = std::chrono::steady_clock::now();
    const std::chrono::duration<double> span(number_from("ANNKIT_FUZZ_SECONDS", 2));
    size_t tried = 0, taken = 0;
    while (std::chrono::steady_clock::now() - start < span) {
        for (size_t i = 0; i < 100; ++i, ++tried) {
            const uint64_t way = random.below(8);
            Bytes bytes = way == 0 ? hostile(random) : files[random.below(files.size())];
            if (way > 2) bytes = altered(bytes, random);
            if (way == 1 || way == 2) mutate(bytes, random);
            try {
                taken += takes(bytes, random);
            } catch (const std::exception& error) {
                checks::expect(false, concat("seed ", seed, ", file ", tried, ": ", error.what()));
            }
        }
    }
    checks::expect(taken > 0 && taken < tried, "some files are taken and some refused");
    std::printf("fuzz: %zu files with strange numbers; %zu others, %zu taken\n", strange, tried, taken);
    return checks::summary("fuzz");
}
