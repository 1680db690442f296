// The interface of every transform: float rows to float rows.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "annkit/core/part.h"
#include "annkit/core/rows.h"

namespace annkit {

// The most dimensions a transform takes: a matrix of kMaxTransformDim^2 floats is 16 GB.
inline constexpr size_t kMaxTransformDim = size_t(1) << 16;

class Transform : public Part {
  public:
    virtual std::unique_ptr<Transform> clone() const = 0;
    virtual std::string repr() const = 0;  // the Python constructor call
    // The word in a factory string before those behind it; ValueError where there is none.
    virtual std::string factory(std::string_view behind) const;
    virtual bool is_fitted() const = 0;  // also true of those that learn nothing
    virtual size_t dim_in() const = 0;   // 0: not known yet, or any
    virtual size_t dim_out(size_t dim_in) const = 0;
    virtual size_t nbytes() const = 0;  // of what it has learned
    // Whether fit refuses any row that is not finite by itself; for others all rows are looked at before.
    virtual bool looks_at_all_rows() const { return false; }
    // in: any float or integer dtype, of the fitted dimension; out: n * dim_out floats. Safe from many threads at once.
    // The result of a row does not depend on the rows beside it.
    virtual void apply(const Rows& in, float* out) const = 0;
    // What gives apply(back(y)) ~ y: the transpose or inverse. For reconstruct.
    virtual bool is_invertible() const = 0;
    virtual void invert(const float* in, size_t n, float* out) const = 0;  // rows of dim_out to rows of dim_in
};

// All rows by several threads. NotFittedError, and ValueError where the dimension is another.
void apply(const Transform& transform, const Rows& in, float* out, const Call& call);
void invert(const Transform& transform, const Rows& in, float* out, const Call& call);
// ValueError unless rows are as many as needed, of at most kMaxTransformDim dimensions.
void check_fit(const Transform& transform, const Rows& rows, size_t needed);

}  // namespace annkit
