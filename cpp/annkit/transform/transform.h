// The interface of every transform: float rows to float rows.
#pragma once

#include <memory>
#include <string>

#include "annkit/core/part.h"
#include "annkit/core/rows.h"

namespace annkit {

class Transform : public Part {
  public:
    virtual std::unique_ptr<Transform> clone() const = 0;
    virtual std::string repr() const = 0;  // the Python constructor call
    virtual bool is_fitted() const = 0;    // also true of those that learn nothing
    virtual size_t dim_in() const = 0;     // 0: not known yet, or any
    virtual size_t dim_out(size_t dim_in) const = 0;
    // in: any float or integer dtype, of the fitted dimension; out: n * dim_out floats. Safe from many threads at once.
    // The result of a row does not depend on the rows beside it.
    virtual void apply(const Rows& in, float* out) const = 0;
    // What gives apply(back(y)) ~ y: the transpose or inverse. For reconstruct.
    virtual bool is_invertible() const = 0;
    virtual void invert(const float* in, size_t n, float* out) const = 0;  // rows of dim_out to rows of dim_in
};

}  // namespace annkit
