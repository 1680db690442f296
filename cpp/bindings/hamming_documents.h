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

inline constexpr char kHammingPairs[] = R"doc(Find all pairs of codes within a Hamming radius of each other.

Codes that differ in at most r bits agree in all but r of any blocks of their bits: codes are sorted by the other blocks,
for every choice of r, and those that meet are compared (Manku, Jain, Das Sarma 2007, section 3). The number of blocks
follows from a sample of the codes; where no choice of blocks pays (wide radii), all pairs are compared. Equal codes are
looked at once, and their pairs are written from one list of neighbours.

Parameters
----------
codes : ndarray of uint8, shape (n, bits / 8)
    Fewer than 2^31, of at most 1,024 bits.
radius : int
    Border included.
progress : bool or callable, optional
    As in ``Index.add``.
threads : int, optional

Returns
-------
PairsResult
    ``lims``, ``distances`` and ``j``: code i is near to the later codes ``j[lims[i]:lims[i + 1]]``; ``i`` repeats each i for
    its pairs. 6 bytes a pair: m equal codes have m (m - 1) / 2 pairs, and a ``MemoryError`` says so where they do not fit.

References
----------
G. S. Manku, A. Jain, A. Das Sarma, "Detecting near-duplicates for web crawling", WWW 2007.

Examples
--------
>>> import annkit as ak, numpy as np
>>> near = ak.hamming.pairs(np.array([[0b0000], [0b1111], [0b0001]], np.uint8), radius=1)
>>> near
PairsResult(lims=array([0, 1, 1, 1]), distances=array([1], dtype=int16), j=array([2], dtype=int32))
>>> near.i
array([0], dtype=int32))doc";

}  // namespace annkit::bindings::documents
