// Docstrings of indexes by hashing, in numpydoc.
#pragma once

namespace annkit::bindings::documents {

inline constexpr char kLshTables[] =
    R"doc(LSH tables: a query looks at the rows in the buckets that near rows are likely to share with it.

Parameters
----------
family : {"hyperplane", "p-stable", "cross-polytope"}, default "hyperplane"
    The hash functions: sides of hyperplanes (Charikar 2002), stretches of lines (Datar et al. 2004) or the nearest
    corner of cross-polytopes (Andoni et al. 2015).
tables : int, default 1
    Each keeps every row. One table and many probes take less memory than many tables, and mostly less time.
bits : int, default 12
    A table has 2^bits buckets, at most 2^24: about the number of rows divided by 10 to 100.
sketch : int, default 256
    Bits that each table keeps beside a row, a multiple of 64, or 0. Of the rows in a query's buckets only those with
    the nearest sketches get exact scores (Aumueller et al. 2019).
directions : {"principal", "random"}, default "principal"
    "principal" draws directions from those in which the rows given to ``fit`` vary most, about their mean, and halves
    the rows with each hyperplane. "random" draws them as in the papers, without a look at the rows.
width : float, optional
    Of the stretches of "p-stable"; by default the mean deviation of the rows along the lines.
codec : Codec, optional
    What the rows are kept as and scored by: ``Raw("f32")`` (the default), "f16", ``SQ(8)`` and so on.
metric : {"l2", "euclidean", "ip", "cosine"}, default "l2"
    With "cosine" rows are scaled to length one, and that is what ``reconstruct`` gives, unless the codec scores cosine
    by itself. For "ip" the functions see rows of equal length (Neyshabur and Srebro 2015).

Notes
-----
``fit`` draws the functions before the first ``add``. Settings of ``search``: ``probes``, how many buckets a query visits
in each table, its own first and then those it is nearest to (by default 2^bits / 32 / tables, from 8 to 512), and
``candidates``, how many rows get exact scores, at least k (by default 5,120 / sketch for each of the k).
``range_search`` scores all rows in the buckets. With all 2^bits probes and as many candidates as rows, results are exact
for the codes kept. ``ak.tune`` finds settings that reach a recall, and ``LSHTables.tuned`` the index as well.

Searches may run beside each other from any thread. ``fit``, ``add``, ``remove`` and ``compact`` wait until no search
runs, and searches wait for them.

References
----------
Charikar: Similarity estimation techniques from rounding algorithms. STOC 2002.
Datar, Immorlica, Indyk, Mirrokni: Locality-sensitive hashing scheme based on p-stable distributions. SoCG 2004.
Lv, Josephson, Wang, Charikar, Li: Multi-probe LSH. VLDB 2007.
Andoni, Indyk, Laarhoven, Razenshteyn, Schmidt: Practical and optimal LSH for angular distance. NIPS 2015.
Neyshabur, Srebro: On symmetric and asymmetric LSHs for inner product search. ICML 2015.
Aumueller, Christiani, Pagh, Vesterli: PUFFINN. ESA 2019, on sketches.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).random((2000, 16), dtype=np.float32)
>>> index = ak.LSHTables(bits=8).fit(x).add(x)
>>> index.search(x[:3], k=1, probes=4).ids.ravel()
array([0, 1, 2]))doc";

inline constexpr char kLshBuckets[] = R"doc(Say which bucket of each table rows fall into.

Parameters
----------
x : array_like of shape (n, dim), or (dim,) for one row
    Rows, of the index or not.
threads : int, optional

Returns
-------
ndarray of int64, shape (n, tables)
    Numbers below 2^bits.

Raises
------
ValueError
    Before ``fit``, wrong dimension or shape, NaN or infinite values.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((2000, 16)).astype("f4")
>>> index = ak.LSHTables(tables=3, bits=8).fit(x)
>>> index.buckets(x[:5]).shape
(5, 3)
>>> bool((index.buckets(x[:5]) == index.buckets(1.001 * x[:5])).mean() > 0.8)
True)doc";

inline constexpr char kLshTuned[] = R"doc(Choose family, tables, bits and settings that reach a recall soonest.

Candidates are built over at most 100,000 of the rows and timed with ``ak.tune``; then the best is built over all rows,
and its settings are looked for again there. Rows take the place of queries: those to come should be like them.

Parameters
----------
x : array_like of shape (n, dim)
    The rows, at least 100.
recall : float, default 0.9
    What to reach, above 0 and at most 1.
k : int, default 10
    Neighbours of each query that are looked for.
metric : {"l2", "euclidean", "ip", "cosine"}, default "l2"
codec : Codec, optional
    As in the constructor.
families : sequence of str, optional
    To choose among; all by default.
within : float, default 20.0
    Seconds to take for the choice, about; building comes on top, and what it takes until the recall is reached.
seed : int, default 0
threads : int, optional

Returns
-------
TunedLSH
    ``tables``, with the rows in them, ``settings`` for its ``search``, ``recall`` and ``qps`` that they gave, ``reached``.

Raises
------
ValueError
    Fewer than 100 rows, wrong shapes, values out of range.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((3000, 16)).astype("f4")
>>> found = ak.LSHTables.tuned(x, recall=0.9, within=1.0)
>>> len(found.tables), sorted(found.settings)
(3000, ['candidates', 'probes'])
>>> ids = found.tables.search(x[:5], 10, **found.settings).ids)doc";

inline constexpr char kMultiIndexHash[] =
    R"doc(Exact Hamming search that looks at few of the codes (Norouzi, Punjani, Fleet 2014).

The bits of a code are shared out among substrings, and a table tells which codes have which value there. A code that
differs from the query in r bits differs in at most r / tables bits in one of its substrings: a search looks up the
values near the query's, nearest first, until nothing else can be among the answers. Queries for which looking at every
code is faster (many bits, wide radii, rows that are few) are answered that way. The answers are those of
``Flat(codec=..., metric="hamming")``, rows of equal distance in the order of their ids.

Parameters
----------
codec : Bits or SignBits, optional
    Packed codes (by default), or floats whose signs are the bits: behind ``ITQ(64)`` a learned code.
tables : int, optional
    How many substrings a code has; by default as many as make them about log2(rows) bits long. A substring has at most
    24 bits.

Notes
-----
Codes have 8 to 1,024 bits. Each table takes 8 bytes a row, and 4 bytes for each value of its substring. Bits that go
together lie in different substrings (section 4 of the paper); that is learned from the rows that are added, ``fit``
fits the codec. Rows that came since the tables were made, at most one in 32, are looked at one by one.

Searches may run beside each other from any thread. ``add``, ``remove`` and ``compact`` wait until no search runs, and
searches wait for them.

References
----------
M. Norouzi, A. Punjani, D. J. Fleet, "Fast exact search in Hamming space with multi-index hashing", IEEE TPAMI 36(6),
2014.

Examples
--------
>>> import annkit as ak, numpy as np
>>> codes = np.random.default_rng(0).integers(0, 256, (10_000, 8)).astype(np.uint8)
>>> index = ak.MultiIndexHash().add(codes)
>>> index.range_search(codes[7], radius=3)
RangeResult(lims=array([0, 1]), distances=array([0], dtype=int32), ids=array([7]))
>>> ak.Pipeline(ak.ITQ(64), ak.MultiIndexHash(codec=ak.SignBits())).factory
'ITQ64,MIH')doc";

}  // namespace annkit::bindings::documents
