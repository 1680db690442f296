// The docstrings of the classes of indexes (numpydoc). Their examples run as doctests.
#pragma once

namespace annkit::bindings::documents {

inline constexpr char kFlat[] =
    R"doc(Exhaustive search: every query looks at every row, so results are exact for the codes kept.

One query runs at the speed of memory, a batch at that of the multiply-add units. Results do not depend on batch size or
threads; rows of equal distance come in the order of their ids.

Parameters
----------
codec : Codec, optional
    How rows are kept: ``Raw("f32")`` (the default), another ``Raw`` type, ``SQ``, ``PQ``, ``RaBitQ``, or ``Bits()``. It
    is copied.
metric : {"l2", "euclidean", "ip", "cosine", "hamming"}, default "l2"
    "l2" is the squared Euclidean distance, "euclidean" its root, "ip" the inner product itself (largest first),
    "cosine" 1 - cosine (a row of zeros has distance 1 to everything), "hamming" a count of bits, for ``Bits()`` alone.
    With "cosine", ``SQ``, ``PQ`` and ``RaBitQ`` code rows scaled to length one, and that is what ``reconstruct`` gives;
    ``Raw`` keeps rows as they are.
scan : {None, "sq8"}, optional
    "sq8" keeps an 8-bit sketch of every float row besides, with a bound of its error. Small batches then read a quarter
    of the memory and look at the floats only where the bound cannot decide: the results are the same.

Notes
-----
Searches may run beside each other from any thread. ``add``, ``remove`` and ``compact`` wait until no search runs, and
searches wait for them.

Examples
--------
>>> import annkit as ak, numpy as np
>>> index = ak.Flat(metric="l2").add(np.array([[0, 0], [1, 0], [0, 3]], np.float32))
>>> distances, ids = index.search(np.array([[0.9, 0]], np.float32), k=2)
>>> ids
array([[1, 0]])
>>> distances.round(2)
array([[0.01, 0.81]], dtype=float32))doc";

inline constexpr char kIvf[] =
    R"doc(Inverted lists: rows in lists around the centroids of k-means; a query looks at the lists nearest to it.

Queries of a batch are grouped by the lists they visit, so that a list is read once for many of them.

Parameters
----------
lists : int
    How many centroids; some 1 to 4 times the root of the number of rows.
codec : Codec, optional
    How rows are kept in the lists: ``Raw("f32")`` (the default), "f16" or "bf16", ``SQ``, ``PQ``, ``RaBitQ``.
residual : bool, optional
    Code what is left of a row beyond its centroid. By default as the codec is best used: not for ``Raw`` and ``SQ(8)``.
metric : {"l2", "euclidean", "ip", "cosine"}, default "l2"
    With "cosine" rows are scaled to length one, and that is what ``reconstruct`` gives, whatever the codec. Within
    ``Refine(index, codec=Raw())`` rows come back as they were given.

Notes
-----
``fit`` learns the centroids (and what the codec learns) before the first ``add``. Settings of ``search`` and
``range_search``: ``nprobe``, how many lists a query visits (by default lists / 64, from 8 to 64), and ``spread``, which
leaves out lists whose centroid is more than so many times as far as the nearest one (Chen et al., SPANN, NeurIPS 2021,
section 3.3). A query sees only rows in the lists it visits; with every list, results are exact for the codes kept.

Searches may run beside each other from any thread. ``fit``, ``add``, ``remove`` and ``compact`` wait until no search
runs, and searches wait for them.

References
----------
Jegou, Douze, Schmid: Product quantization for nearest neighbor search. TPAMI 33 (2011), section IV.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).random((2000, 16), dtype=np.float32)
>>> index = ak.IVF(lists=20, codec=ak.SQ(8)).fit(x).add(x)
>>> index.search(x[:3], k=1, nprobe=4).ids.ravel()
array([0, 1, 2]))doc";

inline constexpr char kPipeline[] =
    R"doc(Transforms in front of an index: rows and queries pass through them, one after the other.

Parameters
----------
*parts : Transform, ..., Index
    One or more transforms and then the index. All are copied. ``fit`` fits the transforms that have not been fitted.

Notes
-----
Distances are those of the transformed rows. ``reconstruct`` takes rows back through the transforms, where they can be.
What may run beside what is as in the index.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).random((2000, 32), dtype=np.float32)
>>> index = ak.Pipeline(ak.PCA(16), ak.IVF(lists=20, codec=ak.SQ(8))).fit(x).add(x)
>>> index.search(x[:3], k=1, nprobe=4).ids.ravel()
array([0, 1, 2]))doc";

inline constexpr char kRefine[] =
    R"doc(An index over coarse codes that finds candidates, and finer codes of the same rows that choose among them.

Parameters
----------
base : Index
    Finds candidates. It is copied, and holds no rows yet.
codec : Codec, optional
    The finer codes: ``Raw("f32")`` (the default), "f16", ``SQ(8)`` and so on.
k_factor : float, default 4
    How many candidates a hit the base is asked for; the setting ``k_factor`` of ``search`` takes its place.

Notes
-----
``range_search`` gives those of the base's hits that are within the radius by the finer codes too. ``reconstruct`` gives
the finer codes' rows. What may run beside what is as in the base.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).random((2000, 16), dtype=np.float32)
>>> index = ak.Refine(ak.IVF(lists=20, codec=ak.SQ(4)), codec=ak.Raw("f16")).fit(x).add(x)
>>> index.search(x[:3], k=1, nprobe=4, k_factor=8).ids.ravel()
array([0, 1, 2]))doc";

}  // namespace annkit::bindings::documents
