// Small indexes of every kind, over every codec and transform.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "annkit/codec/bits.h"
#include "annkit/codec/certified.h"
#include "annkit/codec/product.h"
#include "annkit/codec/rabitq.h"
#include "annkit/codec/raw.h"
#include "annkit/codec/scalar.h"
#include "annkit/codec/sign_bits.h"
#include "annkit/core/random.h"
#include "annkit/core/writer.h"
#include "annkit/index/flat.h"
#include "annkit/index/hnsw.h"
#include "annkit/index/ivf.h"
#include "annkit/index/lsh_tables.h"
#include "annkit/index/multi_index_hash.h"
#include "annkit/index/pipeline.h"
#include "annkit/index/refine.h"
#include "annkit/transform/center.h"
#include "annkit/transform/itq.h"
#include "annkit/transform/normalize.h"
#include "annkit/transform/opq.h"
#include "annkit/transform/pca.h"
#include "annkit/transform/projection.h"
#include "annkit/transform/rotation.h"
#include "annkit/transform/spectral.h"

namespace indexes {

using namespace annkit;

constexpr size_t kRows = 40, kDim = 16;
constexpr size_t kLongDim = 136;  // graphs keep the halves of such float rows apart
template <class T, class... Arguments>
std::unique_ptr<Transform> transform(Arguments&&... arguments) {
    return std::make_unique<T>(std::forward<Arguments>(arguments)...);
}

template <class... Transforms>
inline std::unique_ptr<Index> behind(std::unique_ptr<Index> index, Transforms... transforms) {
    std::vector<std::unique_ptr<Transform>> parts;
    (parts.push_back(std::move(transforms)), ...);
    return std::make_unique<Pipeline>(std::move(parts), std::move(index));
}

inline std::unique_ptr<Index> flat(const Codec& codec, Metric metric) { return std::make_unique<Flat>(codec, metric); }
inline std::unique_ptr<Index> ivf(const Codec& codec, Metric metric, std::optional<bool> residual = {}) {
    return std::make_unique<Ivf>(4, codec, metric, residual);
}
inline std::unique_ptr<Index> hnsw(const Codec& codec, Metric metric) {
    return std::make_unique<Hnsw>(6, 12, codec, nullptr, metric);
}
inline std::unique_ptr<Index> lsh(const Codec& codec, Metric metric, LshKind kind, size_t tables, size_t sketch) {
    LshOptions options;
    options.kind = kind;
    options.tables = tables;
    options.bits = 4;
    options.sketch = sketch;
    return std::make_unique<LshTables>(options, codec, metric);
}

inline std::vector<std::unique_ptr<Index>> of_floats() {
    std::vector<std::unique_ptr<Index>> all;
    const auto keep = [&](std::unique_ptr<Index> index) { all.push_back(std::move(index)); };
    keep(flat(Raw("f32"), Metric::l2));
    keep(flat(Raw("f16"), Metric::cosine));
    keep(flat(Certified(Raw("f32"), false), Metric::ip));
    keep(flat(Scalar(8, false, 0), Metric::l2));
    keep(flat(Scalar(6, true, 0.1), Metric::ip));
    keep(flat(Scalar(4, false, 0), Metric::cosine));
    keep(flat(Product(8, 4), Metric::l2));
    keep(flat(Product(4, 5, 9), Metric::ip));
    keep(flat(RaBitQ(1), Metric::l2));
    keep(flat(RaBitQ(4), Metric::cosine));
    keep(ivf(Raw("bf16"), Metric::euclidean));
    keep(ivf(Scalar(8, false, 0), Metric::l2, true));
    keep(ivf(Scalar(4, false, 0), Metric::cosine));
    keep(ivf(Product(8, 4), Metric::l2));
    keep(ivf(Product(4, 5), Metric::ip, false));
    keep(ivf(RaBitQ(1), Metric::l2));
    keep(ivf(RaBitQ(3), Metric::ip));
    const Hnsw graph(4, 10, Raw("f32"), nullptr, Metric::l2);
    keep(std::make_unique<Ivf>(4, Scalar(8, false, 0), Metric::l2, std::nullopt, &graph));
    keep(hnsw(Raw("f32"), Metric::l2));
    keep(hnsw(Raw("bf16"), Metric::cosine));
    keep(hnsw(Scalar(8, false, 0), Metric::ip));
    keep(hnsw(Product(8, 4), Metric::l2));
    keep(lsh(Raw("f32"), Metric::l2, LshKind::hyperplane, 2, 64));
    keep(lsh(Scalar(8, false, 0), Metric::ip, LshKind::p_stable, 1, 0));
    keep(lsh(Product(8, 4), Metric::cosine, LshKind::cross_polytope, 1, 128));
    keep(std::make_unique<Hnsw>(8, 12, RaBitQ(1), &static_cast<const Codec&>(Scalar(8, false, 0)), Metric::l2));
    keep(std::make_unique<Refine>(*hnsw(Scalar(4, false, 0), Metric::cosine), Raw("f16"), 2));
    keep(std::make_unique<Refine>(*ivf(Product(8, 4), Metric::l2), Raw("f32"), 4));
    keep(std::make_unique<Refine>(*flat(RaBitQ(1), Metric::cosine), Scalar(8, false, 0), 2));
    keep(
        behind(flat(Scalar(8, false, 0), Metric::l2), transform<Pca>(Pca::Options{8, 0.5, 2}), transform<Normalize>()));
    keep(behind(ivf(Product(4, 4), Metric::l2), transform<Center>(), transform<Opq>(Opq::Options{4, 8, 4, 2})));
    keep(behind(flat(Raw("f32"), Metric::ip), transform<Projection>(size_t(6)), transform<Rotation>(size_t(0), true)));
    keep(behind(ivf(RaBitQ(1), Metric::cosine), transform<Rotation>(size_t(8), false)));
    keep(flat(SignBits(true), Metric::hamming));
    keep(hnsw(SignBits(false), Metric::hamming));
    keep(ivf(SignBits(true), Metric::hamming));
    keep(flat(SignBits(true, true), Metric::l2));
    keep(hnsw(SignBits(false, true), Metric::ip));
    keep(ivf(SignBits(false, true), Metric::l2));
    keep(std::make_unique<MultiIndexHash>(SignBits(true), 2));
    keep(behind(flat(SignBits(false), Metric::hamming), transform<Itq>(Itq::Options{12, 3})));
    keep(behind(flat(Raw("f32"), Metric::l2), transform<Spectral>(size_t(20))));
    return all;
}

// An index, and rows that it takes.
struct Example {
    std::unique_ptr<Index> index;
    Rows rows;
};

class Examples {
  public:
    explicit Examples(Random& random, size_t rows = kRows)
        : floats_(rows * kDim), long_(rows * kLongDim), bytes_(rows * kDim) {
        for (std::vector<float>* values : {&floats_, &long_})
            for (float& x : *values) x = float(random.normal());
        for (uint8_t& x : bytes_) x = uint8_t(random.next());
        const auto* data = reinterpret_cast<const std::byte*>(bytes_.data());
        const Rows bits{data, rows, 8 * kDim, Dtype::bits, kDim, 1};
        for (auto& index : of_floats()) all_.push_back({std::move(index), Rows::of(floats_.data(), rows, kDim)});
        for (const Metric metric : {Metric::l2, Metric::cosine})
            all_.push_back({hnsw(Raw("f32"), metric), Rows::of(long_.data(), rows, kLongDim)});
        const Rows bytes{data, rows, kDim, Dtype::u8, kDim, 1};
        all_.push_back({flat(Raw("u8"), Metric::l2), bytes});
        for (const Metric metric : {Metric::l2, Metric::cosine}) all_.push_back({ivf(Raw("u8"), metric), bytes});
        all_.push_back({flat(Bits(), Metric::hamming), bits});
        all_.push_back({ivf(Bits(), Metric::hamming), bits});
        const Hnsw graph(4, 10, Bits(), nullptr, Metric::hamming);
        all_.push_back({std::make_unique<Ivf>(4, Bits(), Metric::hamming, std::nullopt, &graph), bits});
        all_.push_back({std::make_unique<MultiIndexHash>(), bits});
    }
    const std::vector<Example>& all() const { return all_; }

  private:
    std::vector<float> floats_, long_;
    std::vector<uint8_t> bytes_;
    std::vector<Example> all_;
};

inline std::vector<std::byte> saved(const Index& index) {
    Writer out(index.kind());
    index.save(out);
    return out.to_bytes();
}

}  // namespace indexes
