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
    How rows are kept: ``Raw("f32")`` (the default), another ``Raw`` type, ``SQ``, ``PQ``, ``RaBitQ``, ``SignBits`` or
    ``Bits()``. It is copied.
metric : {"l2", "euclidean", "ip", "cosine", "hamming"}, default "l2"
    "l2" is the squared Euclidean distance, "euclidean" its root, "ip" the inner product itself (largest first),
    "cosine" 1 - cosine (a row of zeros has distance 1 to everything), "hamming" a count of bits, for ``Bits()`` and
    ``SignBits`` alone.
    With "cosine", ``SQ``, ``PQ`` and ``RaBitQ`` code rows scaled to length one, and that is what ``reconstruct`` gives;
    ``Raw`` keeps rows as they are.
scan : {None, "sq8"}, optional
    "sq8" keeps an 8-bit sketch of every float row besides, with a bound of its error. Small batches then read a quarter
    of the memory and look at the floats only where the bound cannot decide: the results are the same.

Notes
-----
Searches may run beside each other and beside ``add``, from any thread; they see the rows of an ``add`` once it is done.
``remove`` and ``compact`` wait until no search runs, and searches wait for them.

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
Settings: ``ef`` of ``search`` and ``range_search`` (by default 64, and k if that is more), and ``gamma`` of ``search``, a
number from 0 on that ends a walk where the nearest row that it has not looked at is farther than 1 + gamma times the k-th
nearest it has met (Al-Jazzazi et al. 2025). Easy queries then end early and hard ones go on, which reaches recalls of 0.95
and 0.99 sooner; values from 0.02 to 0.1 are worth trying first. Distances are Euclidean here, for "l2" too, with "cosine"
those of rows of length one, and with "hamming" counts of bits; "ip" has none. With ``gamma``, ``ef`` only bounds how many
rows a walk keeps (by default 1,000, and 10 k if that is more).

Walks over ``Raw("f32")`` rows of 128 dimensions or more read the upper 16 bits of each number, unless the metric is "ip":
rows lie in two halves, which take what whole ones do. Rows near the query, and all that a walk ends with, are compared
whole, and distances are those of the rows as they were given.

The graph depends on the rows and their order, not on the number of threads. Nor do answers, and on the batch only with a
filter or removed rows: what is left is scanned, which is exact, where that is sooner, and for 16 queries and more it is for
more rows.

Searches may run beside each other and beside ``add``, ``remove`` and ``compact``, from any thread; they see the rows of an
``add`` once it is done. Changes wait for each other, and so does ``save`` for a change. A row that was removed is walked
through until a quarter of the rows is, or ``compact`` is called; then links lead past it.

References
----------
Malkov, Yashunin: Efficient and robust approximate nearest neighbor search using hierarchical navigable small world
graphs. TPAMI 42 (2018). Al-Jazzazi, Diwan, Gou, Musco, Musco, Suel: Distance adaptive beam search for provably accurate
graph-based nearest neighbor search. arXiv 2505.15636 (2025).

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((1000, 16)).astype(np.float32)
>>> index = ak.HNSW(degree=16).add(x)
>>> index.search(x[:2], k=1, ef=40).ids
array([[0],
       [1]])
>>> index.search(x[:2], k=1, gamma=0.1).ids
array([[0],
       [1]]))doc";

inline constexpr char kHnswStats[] = R"doc(Describe the graph, also where Pipeline and Refine are around it.

Returns
-------
dict
    ``layers``, from the base up: each a dict with ``nodes``, ``parts`` (of nodes that links connect in whatever
    direction; 1 is what it should be) and ``degrees``, an array in which entry i is how many nodes have i links.
    ``removed``: rows that were removed and are still walked through. ``memory()`` says what the graph takes.

Raises
------
ValueError
    The index has no graph.

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
    How rows are kept in the lists: ``Raw("f32")`` (the default), another ``Raw`` type, ``SQ``, ``PQ``, ``RaBitQ``; or
    ``Bits`` and ``SignBits`` for "hamming".
residual : bool, optional
    Code what is left of a row beyond its centroid. By default as the codec is best used: not for ``Raw`` and ``SQ(8)``.
coarse : HNSW, optional
    A graph to find a query's lists by: it has the index's metric and no rows so far, and gets the centroids. For
    "hamming" these are bits: ``HNSW(codec=Bits(), metric="hamming")``. Beyond 32,768 lists it also tells where rows
    go. By default all centroids are compared. Adds the setting ``ef`` to those of ``search``.
metric : {"l2", "euclidean", "ip", "cosine", "hamming"}, default "l2"
    With "cosine" rows are scaled to length one, and that is what ``reconstruct`` gives, whatever the codec, but for
    ``Raw("u8")`` and ``Raw("i8")``, which keep bytes as they are. Within ``Refine(index, codec=Raw())`` rows come back
    as they were given.

Notes
-----
For "hamming" the centroids are packed bits as well: the signs of the means that k-means finds among the codes as rows
of +1 and -1, as in Faiss's ``IndexBinaryIVF``. Rows go to, and queries visit, the lists whose centroids differ in the
fewest bits, of equal ones the first; with every list, answers are those of ``Flat``.

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
array([0, 1, 2])

>>> codes = np.random.default_rng(0).integers(0, 256, (2000, 8), dtype=np.uint8)
>>> bits = ak.IVF(lists=20, codec=ak.Bits(), metric="hamming").fit(codes).add(codes)
>>> bits.search(codes[:3], k=1, nprobe=4).distances.ravel()
array([0, 0, 0], dtype=int32))doc";

inline constexpr char kPipeline[] =
    R"doc(Transforms in front of an index: rows and queries pass through them, one after the other.

Parameters
----------
*parts : Transform, ..., Index
    One or more transforms and then the index. All are copied. ``fit`` fits the transforms that have not been fitted.

Notes
-----
Distances are those of the transformed rows. ``reconstruct`` takes rows back through the transforms, where they can be.
What may run beside what is as in the index; but where more than 131,072 rows are added, searches wait for all of them,
unless the index is ``HNSW``.

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
    How many candidates a hit the base is asked for; the setting ``k_factor`` of a search takes its place.

Notes
-----
``range_search`` looks at the base's hits, and at what the base's codes put beyond the radius by as much as they err: by
``k_factor - 1`` times the spread of their errors above the mean, as seen on the query's own hits or nearest rows. With
``k_factor=1`` it looks at the base's hits alone, which takes least time. ``reconstruct`` gives the finer codes' rows.

What may run beside what is as in the base: searches of ``Refine(HNSW(...))`` go on beside ``add``, and see its rows once it
is done. Where rows are replaced they wait, and ``remove`` and ``compact`` wait for a moment until no search looks at the
finer codes. ``reconstruct`` knows rows as soon as they have their finer codes.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).random((2000, 16), dtype=np.float32)
>>> index = ak.Refine(ak.IVF(lists=20, codec=ak.SQ(4)), codec=ak.Raw("f16")).fit(x).add(x)
>>> index.search(x[:3], k=1, nprobe=4, k_factor=8).ids.ravel()
array([0, 1, 2]))doc";

}  // namespace annkit::bindings::documents
