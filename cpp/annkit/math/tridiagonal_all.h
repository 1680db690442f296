// All eigenvalues and vectors of a symmetric tridiagonal matrix.
#pragma once

#include <optional>
#include <vector>

#include "annkit/core/parallel.h"

namespace annkit {

// By implicit QR steps with Wilkinson's shift (Golub and Van Loan: Matrix computations, 8.3), which take T to its
// eigenvalues: they are returned, in no order. vectors: n columns, one after the other, to which the rotations of all
// steps are applied; of Q, where A = Q T Q^T, are left the eigenvectors of A. The rotations of many steps are found
// before strips of rows get them all (Van Zee, van de Geijn, Quintana-Orti: Restructuring the tridiagonal and
// bidiagonal QR algorithms for performance, ACM TOMS 2014), by all threads, while one of them finds the next. Nothing
// where the steps do not converge.
std::optional<std::vector<double>> tridiagonal_all(std::vector<double> diagonal, std::vector<double> next_to,
                                                   std::vector<double>& vectors, const Call& call);

}  // namespace annkit
