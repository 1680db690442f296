// Loads damaged and hostile index files for a while (ANNKIT_FUZZ_SECONDS, 2 by default): each is refused with a typed
// error, or gives an index that answers. ANNKIT_FUZZ_SEED repeats a run.
#include <chrono>

#include "annkit/codec/bits.h"
#include "annkit/codec/certified.h"
#include "annkit/core/random.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/index/flat.h"
#include "annkit/registry.h"
#include "checks.h"

namespace {

using namespace annkit;
using Bytes = std::vector<std::byte>;

double number_from(const char* name, double otherwise) {
    const char* given = std::getenv(name);
    return given == nullptr ? otherwise : std::atof(given);
}

Bytes saved(const Index& index) {
    Writer out(index.kind());
    index.save(out);
    return out.to_bytes();
}

// Small indexes of every kind, with ids and removed rows.
std::vector<Bytes> seeds(Random& random) {
    std::vector<Bytes> files;
    const size_t n = 40, dim = 16;
    std::vector<float> rows(n * dim);
    for (float& x : rows) x = float(random.normal());
    std::vector<uint8_t> codes(n * dim);
    for (uint8_t& x : codes) x = uint8_t(random.next());
    std::vector<int64_t> ids(n);
    for (size_t i = 0; i < n; ++i) ids[i] = int64_t(i * i);
    const std::vector<int64_t> removed{4, 9};
    const auto keep = [&](Flat&& index, const Rows& x, const Ids& given) {
        index.add(x, given, false, {});
        index.remove(removed);
        files.push_back(saved(index));
    };
    const Rows floats = Rows::of(rows.data(), n, dim);
    const auto* raw_bytes = reinterpret_cast<const std::byte*>(codes.data());
    keep(Flat(Raw("f32"), Metric::l2), floats, ids);
    keep(Flat(Raw("f16"), Metric::cosine), floats, std::nullopt);
    keep(Flat(Certified(Raw("f32"), false), Metric::ip), floats, ids);
    keep(Flat(Raw("u8"), Metric::l2), {raw_bytes, n, dim, Dtype::u8, dim, 1}, ids);
    keep(Flat(Bits(), Metric::hamming), {raw_bytes, n, 8 * dim, Dtype::bits, dim, 1}, ids);
    return files;
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

// Whether the bytes were taken for an index, which then has to answer.
bool takes(const Bytes& bytes) {
    std::unique_ptr<Index> index;
    try {
        index = Registry<Index>::load_file(Reader::from_bytes(bytes));
    } catch (const ValueError&) {
        return false;
    }
    if (index->dim() == 0 || index->dim() > 4096) return true;
    const std::vector<std::byte> query(index->dim() * sizeof(float));
    const Dtype type = index->decoded();
    const Rows rows{query.data(), 1, index->dim(), type, ptrdiff_t(index->dim()), ptrdiff_t(element_size(type))};
    float distances[10];
    int32_t counts[10];
    int64_t ids[10];
    const bool bits = index->metric() == Metric::hamming;
    index->search(rows, 10, {{}, {}, {}}, {distances, bits ? counts : nullptr, ids});
    return true;
}

}  // namespace

int main() {
    register_parts();
    const auto seed = uint64_t(number_from("ANNKIT_FUZZ_SEED", 1));
    Random random(seed);
    const std::vector<Bytes> files = seeds(random);
    for (const Bytes& file : files) checks::expect(takes(file), "an index loads what it saved");
    const auto start = std::chrono::steady_clock::now();
    const std::chrono::duration<double> span(number_from("ANNKIT_FUZZ_SECONDS", 2));
    size_t tried = 0, taken = 0;
    while (std::chrono::steady_clock::now() - start < span) {
        for (size_t i = 0; i < 100; ++i, ++tried) {
            Bytes bytes = random.below(3) == 0 ? hostile(random) : files[random.below(files.size())];
            const bool damaged = bytes.size() > 0 && random.below(2) == 0;
            if (damaged) mutate(bytes, random);
            try {
                taken += takes(bytes);
            } catch (const std::exception& error) {
                checks::expect(false, concat("seed ", seed, ", file ", tried, ": ", error.what()));
            }
        }
    }
    checks::expect(taken > 0 && taken < tried, "some files are taken and some refused");
    std::printf("fuzz: %zu files, %zu taken\n", tried, taken);
    return checks::summary("fuzz");
}
