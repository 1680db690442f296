// The docstrings of what every index does, and of load (numpydoc). Their examples run as doctests.
#pragma once

namespace annkit::bindings::documents {

inline constexpr char kFit[] =
    R"doc(Learn what the parts of the index learn from data; nothing for codecs that learn nothing.

Parameters
----------
x : array_like of shape (n, dim)
labels : array_like of int, shape (n,), optional
    Each row's class, for transforms that learn from classes: ``ITQ`` with ``start="cca"`` or ``"lda"``.
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

inline constexpr char kIndexCodec[] = R"doc(Codec: a copy of what codes the rows, with what it has learned.

Raises
------
ValueError
    Of ``Refine``, which has two.

Examples
--------
>>> import annkit as ak
>>> ak.index("PCA16,IVF64,SQ8").codec
SQ(bits=8))doc";

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
    Bytes of the codes, of the factors beside them, of what the codec has learned, of ids and so on; they add up to
    ``nbytes``.

Examples
--------
>>> import annkit as ak, numpy as np
>>> ak.Flat(codec=ak.Raw("f16")).add(np.zeros((1000, 8), np.float32)).memory()
{'codes': 16000, 'factors': 4000, 'ids': 0})doc";

inline constexpr char kReserve[] =
    R"doc(Make room for rows to come, as ``std::vector`` does: adding up to so many then moves nothing.

Parameters
----------
rows : int
    How many rows there are to be in all. Fewer than there is room for changes nothing.

Returns
-------
self

Raises
------
ValueError
    A count below 1 or above 2^31 - 1, an index that was opened with mmap, or one that cannot know where rows will lie:
    ``IVF``, ``LSHTables`` and ``MultiIndexHash``, and what wraps them.
MemoryError
    There is not so much memory; nothing has changed.

Notes
-----
Growing is cheap without it, and never takes twice the memory: codes and links lie in slabs of some 16 MB, of which the
last one alone moves while it is not full. Ids that do not count rows from 0 lie in one array, which is copied when it
grows by half. The room shows in ``memory()``, from the first rows on where the dimension is not known before; ``compact``
keeps it, files and copies do not. Operating systems hand out the memory when it is written.

Examples
--------
>>> import annkit as ak, numpy as np
>>> index = ak.Flat().add(np.zeros((1, 8), np.float32)).reserve(1000)
>>> index.memory()
{'codes': 32000, 'factors': 4000, 'ids': 0}
>>> index.add(np.ones((999, 8), np.float32)).memory()
{'codes': 32000, 'factors': 4000, 'ids': 0})doc";

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
    A dtype that the codec does not take.

Notes
-----
What may run beside what, from any thread: searches beside each other, always. Changes (``fit``, ``add``, ``remove``,
``compact``, ``reserve``) wait for each other, and ``save`` and copies wait for a change.

=======================================  ==========================================  =========================
index                                    searches and ``add``                        searches and ``remove``
=======================================  ==========================================  =========================
``HNSW``                                 beside each other                           beside each other
``Flat``                                 beside each other, but for ``PQ(bits=4)``   one after the other
``Refine``                               as the base, but where rows are replaced    as the base
``Pipeline``                             as the index                                as the index
``IVF``                                  one after the other                         one after the other
``LSHTables``, ``MultiIndexHash``        one after the other                         one after the other
=======================================  ==========================================  =========================)doc";

inline constexpr char kSearch[] = R"doc(Find the k nearest rows of each query.

Parameters
----------
queries : array_like of shape (nq, dim), or (dim,) for one query
k : int, default 10
filter : array_like or list of them, optional
    Only these rows are found: an array of ids, or a boolean mask read as ``mask[id]``; a list gives one a query.
threads : int, optional
**settings
    What the parts of the index know: ``nprobe`` and ``spread`` of ``IVF``, ``ef`` and ``gamma`` of ``HNSW``,
    ``k_factor`` of ``Refine``, ``probes`` and ``candidates`` of ``LSHTables``.

Returns
-------
SearchResult
    ``distances`` and ``ids``, both of shape (nq, k), nearest first, ties by id. Where there are fewer than k hits, ids
    are -1 and distances inf (-inf for "ip", the largest int32 for Hamming). Scores are compared before they become
    distances ("euclidean" takes their root, "cosine" takes them from 1): two that differ may round to one distance, and
    are then in the order of their scores, whatever their ids.

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
    lims[i + 1], nearest first, ties by id, as in ``search``.

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

``Raw`` and ``Bits`` give rows as they came (rounded to the type), the other codecs what they make of them. With metric
"cosine", lengths are not kept by the other codecs, nor by any in ``IVF``: the rows have length one.

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

}  // namespace annkit::bindings::documents
