#include "annkit/index/unit_rows.h"

namespace annkit {

InnerRows::InnerRows(const Rows& rows, bool unit, std::string_view what) : rows_(rows) {
    if (!unit) return;
    const FloatBlock block(rows, what);
    scaled_.resize(rows.n * rows.dim);
    for (size_t i = 0; i < rows.n; ++i) {
        const float scale = inverse_norm(block.norm2(i));
        const float* x = block.row(i);
        float* to = &scaled_[i * rows.dim];
        for (size_t j = 0; j < rows.dim; ++j) to[j] = x[j] * scale;
    }
    rows_ = Rows::of(scaled_.data(), rows.n, rows.dim, rows.first);
}

}  // namespace annkit
