// The docstrings of the compiled classes (numpydoc). Their examples run as doctests.
#pragma once

namespace annkit::bindings::documents {

inline constexpr char kFlat[] =
    R"doc(Exhaustive search: every query looks at every row, so results are exact for the codes kept.

One query runs at the speed of memory, a batch at that of the multiply-add units. Results do not depend on batch size or
threads; rows of equal distance come in the order of their ids.

Parameters
----------
codec : Codec, optional
    How rows are kept: ``Raw("f32")`` (the default), another ``Raw`` type, or ``Bits()``. It is copied.
metric : {"l2", "euclidean", "ip", "cosine", "hamming"}, default "l2"
    "l2" is the squared Euclidean distance, "euclidean" its root, "ip" the inner product itself (largest first),
    "cosine" 1 - cosine (a row of zeros has distance 1 to everything), "hamming" a count of bits, for ``Bits()`` alone.
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

inline constexpr char kHnsw[] =
    R"doc(A graph of near neighbours, which a search walks towards its query (Malkov, Yashunin 2018).

Every row is a node with links to rows near it. A search keeps the ``ef`` nearest rows it has met and looks at the
neighbours of the nearest one that it has not looked at, until there is none. It finds most of the k nearest rows, and
looks at few: what it misses, a larger ``ef`` finds.

Parameters
----------
degree : int, default 32
    The most links of a row, in the base layer; Faiss's HNSW32 and hnswlib's ``M=32`` have 64 there.
ef_build : int, default 200
    How many near rows a new one chooses its links from.
codec : Codec, optional
    How rows are kept: ``Raw("f32")`` (the default), another ``Raw`` type, ``SQ``, ``PQ``, ``RaBitQ``, or ``Bits()``. With
    compact codes, ``Refine`` around the index keeps finer ones for the last choice.
build_codec : Codec, optional
    The codes that rows are compared by while the graph is built, where those of ``codec`` are too coarse.
metric : {"l2", "euclidean", "ip", "cosine", "hamming"}, default "l2"
    "hamming" is for ``Bits()`` alone. With "cosine" and codecs of floats, rows are scaled to length one, and that is what
    ``reconstruct`` gives.

Notes
-----
The setting of ``search`` and ``range_search`` is ``ef`` (by default 64, and k if that is more). The graph depends on the
rows and their order, not on the number of threads.

Searches may run beside each other and beside ``add``, ``remove`` and ``compact``, from any thread; they see the rows of an
``add`` once it is done. Changes wait for each other, and so does ``save`` for a change. A row that was removed is walked
through until a quarter of the rows is, or ``compact`` is called; then links lead past it.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((1000, 16)).astype(np.float32)
>>> index = ak.HNSW(degree=16).add(x)
>>> index.search(x[:2], k=1, ef=40).ids
array([[0],
       [1]]))doc";

inline constexpr char kHnswStats[] = R"doc(Describe the graph.

Returns
-------
dict
    ``layers``, from the base up: each a dict with ``nodes``, ``parts`` (of nodes that links connect in whatever
    direction; 1 is what it should be) and ``degrees``, an array in which entry i is how many nodes have i links.
    ``removed``: rows that were removed and are still walked through. ``memory()`` says what the graph takes.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((1000, 16)).astype(np.float32)
>>> stats = ak.HNSW(degree=16).add(x).stats()
>>> stats["layers"][0]["nodes"], stats["layers"][0]["parts"], stats["removed"]
(1000, 1, 0))doc";

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
    With "cosine" rows are scaled to length one, and that is what ``reconstruct`` gives.

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

inline constexpr char kFit[] =
    R"doc(Learn what the parts of the index learn from data; nothing for codecs that learn nothing.

Parameters
----------
x : array_like of shape (n, dim)
seed : int, default 0
    The same rows and seed give the same index, for any number of threads.
progress : bool or callable, optional
threads : int, optional

Returns
-------
self

Raises
------
ValueError
    Fewer rows than there is to learn, NaN or infinite values, or an index that holds rows already.

Warns
-----
UserWarning
    Fewer than 39 rows a centroid, of the lists of IVF or of PQ.)doc";

inline constexpr char kFactory[] = R"doc(str: what ``annkit.index`` makes an index like this from, metric aside.

Raises
------
ValueError
    Where a part has no word in factory strings, such as ``SQ(8, outliers=0.01)``.

Examples
--------
>>> import annkit as ak
>>> ak.Refine(ak.IVF(lists=64, codec=ak.PQ(16, bits=4)), codec=ak.SQ(8)).factory
'IVF64,PQ16x4fsr,Refine(SQ8)')doc";

inline constexpr char kSettings[] = R"doc(tuple of str: the settings that searches know, such as "nprobe".

Examples
--------
>>> import annkit as ak
>>> ak.Refine(ak.IVF(lists=64)).settings
('nprobe', 'spread', 'k_factor'))doc";

inline constexpr char kMemory[] = R"doc(Say where the bytes are.

Returns
-------
dict of str to int
    Bytes of the codes, of the factors beside them, of ids and so on; they add up to ``nbytes``.

Examples
--------
>>> import annkit as ak, numpy as np
>>> ak.Flat(codec=ak.Raw("f16")).add(np.zeros((1000, 8), np.float32)).memory()
{'codes': 16000, 'factors': 4000, 'ids': 0})doc";

inline constexpr char kAdd[] = R"doc(Add rows.

Parameters
----------
x : array_like of shape (n, dim), or (dim,) for one row
    float32, float64, float16, bfloat16, uint8 or int8, of any strides; packed bits as uint8 of shape (n, bits / 8).
ids : array_like of int64, shape (n,), optional
    Distinct, not negative, and new. By default they count on from the largest id ever used.
replace : bool, default False
    Rows whose ids the index holds already are replaced.
progress : bool or callable, optional
    True draws a bar with tqdm; a callable gets (done, total) in rows.
threads : int, optional

Returns
-------
self

Raises
------
ValueError
    Wrong shape, NaN or infinite values, a squared norm beyond a quarter of the largest float32, a value beyond float16,
    or ids that are negative, repeated or held already. The index is as it was.
TypeError
    A dtype that the codec does not take.)doc";

inline constexpr char kSearch[] = R"doc(Find the k nearest rows of each query.

Parameters
----------
queries : array_like of shape (nq, dim), or (dim,) for one query
k : int, default 10
filter : array_like or list of them, optional
    Only these rows are found: an array of ids, or a boolean mask read as ``mask[id]``; a list gives one a query.
threads : int, optional
**settings
    What the parts of the index know: ``nprobe`` and ``spread`` of ``IVF``, ``ef`` of ``HNSW``, ``k_factor`` of
    ``Refine``.

Returns
-------
SearchResult
    ``distances`` and ``ids``, both of shape (nq, k), nearest first, ties by id. Where there are fewer than k hits, ids
    are -1 and distances inf (-inf for "ip", the largest int32 for Hamming).

Raises
------
ValueError
    Wrong dimension or shape, NaN or infinite values, k < 1, or a filter mask shorter than the largest id.
TypeError
    A dtype that the codec does not take, or a setting that the index does not know.

Examples
--------
>>> import annkit as ak, numpy as np
>>> index = ak.Flat(metric="ip").add(np.eye(3, dtype=np.float32))
>>> index.search(np.array([1, 2, 3], np.float32), k=2, filter=[0, 1])
SearchResult(distances=array([[2., 1.]], dtype=float32), ids=array([[1, 0]])))doc";

inline constexpr char kRangeSearch[] = R"doc(Find all rows within a radius of each query.

Parameters
----------
queries : array_like of shape (nq, dim), or (dim,) for one query
radius : float
    In the metric's own terms, border included; for "ip", the least inner product.
filter : array_like or list of them, optional
    As in ``search``.
threads : int, optional
**settings
    As in ``search``.

Returns
-------
RangeResult
    ``lims`` of shape (nq + 1,), ``distances`` and ``ids`` of shape (lims[-1],): the hits of query i lie from lims[i] to
    lims[i + 1], nearest first, ties by id.

Examples
--------
>>> import annkit as ak, numpy as np
>>> index = ak.Flat(metric="euclidean").add(np.array([[0, 0], [3, 4], [0, 6]], np.float32))
>>> index.range_search(np.zeros((1, 2), np.float32), radius=5)
RangeResult(lims=array([0, 2]), distances=array([0., 5.], dtype=float32), ids=array([0, 1])))doc";

inline constexpr char kRemove[] = R"doc(Remove rows by id.

Parameters
----------
ids : array_like of int64

Returns
-------
self

Raises
------
KeyError
    An id that is not in the index; nothing is removed then.)doc";

inline constexpr char kCompact[] = R"doc(Give back the memory of removed rows. It happens by itself when they are many.

Returns
-------
self)doc";

inline constexpr char kReconstruct[] = R"doc(Return rows as they are stored.

Parameters
----------
ids : array_like of int64, shape (n,)

Returns
-------
ndarray of shape (n, dim)
    float32 for the float codecs, the codec's own type for integers, packed uint8 for bits.

Raises
------
KeyError
    An id that is not in the index.)doc";

inline constexpr char kSave[] =
    R"doc(Save to a file, whole or not at all: after a crash the old file or the new one is there.

Parameters
----------
file : path or binary file object

Raises
------
OSError
    The file could not be written; it is as it was.)doc";

inline constexpr char kToBytes[] = R"doc(Return the bytes that ``save`` would write.

Returns
-------
bytes)doc";

inline constexpr char kFromBytes[] = R"doc(Load an index from the bytes of ``to_bytes``.

Parameters
----------
data : bytes-like

Returns
-------
Index

Raises
------
FormatError
    A ValueError: the bytes are damaged, or not an index.)doc";

inline constexpr char kLoad[] = R"doc(Load an index from a file. Nothing in a file is ever executed.

Parameters
----------
file : path or binary file object
mmap : bool, default False
    Open in place: rows are read when they are needed and shared between processes. The index is then read-only, and its
    codes are not compared with their checksums.

Returns
-------
Index

Raises
------
FormatError
    A ValueError: the file is damaged, of a newer format, or not an index.
OSError
    The file cannot be read.

Examples
--------
>>> import annkit as ak, numpy as np, tempfile, pathlib
>>> path = pathlib.Path(tempfile.mkdtemp()) / "demo.ak"
>>> ak.Flat().add(np.eye(3, dtype=np.float32)).save(path)
>>> len(ak.load(path, mmap=True))
3)doc";

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
