// What every table's functions make of rows, in one product of matrices: values for the tables' keys, and behind them
// those whose signs are a row's sketch (Aumueller, Christiani, Pagh, Vesterli: PUFFINN, ESA 2019, section 3.4).
#pragma once

#include <memory>
#include <vector>

#include "annkit/core/metric.h"
#include "annkit/core/part.h"
#include "annkit/index/lsh_family.h"
#include "annkit/transform/affine.h"

namespace annkit {

class Reader;
class Writer;

struct LshOptions {
    LshKind kind = LshKind::hyperplane;
    size_t tables = 1;
    size_t bits = 12;     // 2^bits slots a table
    size_t sketch = 256;  // bits, a multiple of 64; 0: none
    // Directions at random within those in which rows vary most, and offsets from the rows; else as the papers draw
    // them.
    bool principal = true;
    double width = 0;  // of the stretches of p-stable functions; 0: the mean deviation of their values
};

class LshHash {
  public:
    LshHash(const LshOptions& options, Metric metric, const Rows& rows, const Fit& fit);
    static LshHash load(const Reader& in, const LshOptions& options, Metric metric, size_t dim);
    void save(Writer& out) const;

    const LshFamily& family() const { return *family_; }
    size_t dim() const { return dim_; }
    size_t values() const { return map_.outputs(); }  // of a row
    size_t sketch_bytes() const { return options_.sketch / 8; }
    size_t nbytes() const { return 2 * map_.matrix().size() * sizeof(float); }

    // Queries differ from rows where the metric is ip.
    enum class Side { row, query };
    void apply(const Rows& rows, Side side, std::string_view what, float* values) const;
    const float* of_table(const float* values, size_t table) const { return values + table * family_->values(); }
    uint32_t slot(const float* values, size_t table) const {
        return family_->slot(family_->key(of_table(values, table)));
    }
    void sketch(const float* values, uint8_t* out) const;

  private:
    LshHash(const LshOptions& options, Metric metric, size_t dim);
    size_t width() const { return dim_ + (metric_ == Metric::ip); }  // of the rows that are multiplied
    size_t table_values() const { return options_.tables * family_->values(); }
    std::vector<float> prepared(const Rows& rows, Side side, std::string_view what) const;
    void find_reach(const Rows& rows, std::span<const size_t> chosen);
    Affine draw(const Rows& sample, const Fit& fit) const;
    void set_offsets(const Rows& sample, const Fit& fit);

    LshOptions options_;
    Metric metric_;
    size_t dim_;
    std::unique_ptr<LshFamily> family_;
    Affine map_;
    std::vector<float> offsets_, scales_;  // value = (map - offset) * scale
    float reach_ = 1;                      // of ip: the largest norm of the rows that were learned from
};

}  // namespace annkit
