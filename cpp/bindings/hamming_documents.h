// The docstrings of annkit.hamming (numpydoc). Their examples run as doctests.
#pragma once

namespace annkit::bindings::documents {

inline constexpr char kHammingTopk[] = R"doc(Find the k nearest codes of each query by Hamming distance.

Parameters
----------
queries : ndarray of uint8, shape (nq, bits / 8)
codes : ndarray of uint8, shape (n, bits / 8)
    Read where it lies.
k : int, default 10
threads : int, optional

Returns
-------
SearchResult
    int32 ``distances`` and ``ids`` (positions in codes), shape (nq, k); padding as in ``Flat.search``.

Examples
--------
>>> import annkit as ak, numpy as np
>>> codes = np.array([[0b0000], [0b0001], [0b0111]], np.uint8)
>>> ak.hamming.topk(codes[:1], codes, k=2)
SearchResult(distances=array([[0, 1]], dtype=int32), ids=array([[0, 1]])))doc";

inline constexpr char kHammingRange[] = R"doc(Find all codes within a Hamming radius of each query.

Parameters
----------
queries : ndarray of uint8, shape (nq, bits / 8)
codes : ndarray of uint8, shape (n, bits / 8)
radius : int
    Border included.
threads : int, optional

Returns
-------
RangeResult

Examples
--------
>>> import annkit as ak, numpy as np
>>> codes = np.array([[0b0000], [0b0001], [0b0111]], np.uint8)
>>> ak.hamming.range(codes[:1], codes, radius=1)
RangeResult(lims=array([0, 2]), distances=array([0, 1], dtype=int32), ids=array([0, 1])))doc";

inline constexpr char kHammingPairwise[] = R"doc(Return the Hamming distances of all pairs.

Parameters
----------
a : ndarray of uint8, shape (na, bits / 8)
b : ndarray of uint8, shape (nb, bits / 8)
threads : int, optional

Returns
-------
ndarray of int32, shape (na, nb)

Examples
--------
>>> import annkit as ak, numpy as np
>>> ak.hamming.pairwise(np.array([[0], [255]], np.uint8), np.array([[1]], np.uint8))
array([[1],
       [7]], dtype=int32))doc";

}  // namespace annkit::bindings::documents
