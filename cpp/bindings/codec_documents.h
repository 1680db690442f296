// The docstrings of what every codec can do on its own (numpydoc). Their examples run as doctests.
#pragma once

namespace annkit::bindings::documents {

inline constexpr char kCodecFit[] = R"doc(Learn from rows; nothing for codecs that learn nothing.

An index fits its own copy of a codec: see ``Index.fit``.

Parameters
----------
x : array_like of shape (n, dim)
seed : int, default 0
    The same rows and seed give the same codec, for any number of threads.
threads : int, optional

Returns
-------
self

Warns
-----
UserWarning
    Fewer than 39 rows a centroid of PQ.)doc";

inline constexpr char kEncode[] = R"doc(Turn rows into codes.

Parameters
----------
x : array_like of shape (n, dim), or (dim,) for one row
through : Transform or sequence of Transform, optional
    Fitted transforms that rows pass first, one after the other.
threads : int, optional

Returns
-------
ndarray of uint8, shape (n, code_size)
    Each row's code, and behind it what the codec keeps beside codes. The same for equal rows, whatever the others are.

Raises
------
NotFittedError
    Before a fit that it needs.

Examples
--------
>>> import annkit as ak, numpy as np
>>> codec = ak.Raw("f16")
>>> codec.decode(codec.encode(np.array([[0.5, 1.0001]])))
array([[0.5, 1. ]], dtype=float32))doc";

inline constexpr char kDecode[] = R"doc(Turn codes back into rows, as near to the original ones as the codec comes.

Parameters
----------
codes : array_like of uint8, shape (n, code_size)
    As ``encode`` gives them.
threads : int, optional

Returns
-------
ndarray of shape (n, dim)
    float32; of integer and binary codecs their own type.

Raises
------
NotFittedError
    Before a fit that it needs.)doc";

inline constexpr char kCodecToBytes[] = R"doc(Return the codec, with what it has learned, as bytes.

Returns
-------
bytes)doc";

inline constexpr char kCodecFromBytes[] = R"doc(Return the codec that these bytes of ``to_bytes`` hold.

Parameters
----------
data : buffer
    Checked before use: they may come from anywhere.

Returns
-------
Codec

Raises
------
FormatError
    Where they are not what they claim to be.

Examples
--------
>>> import annkit as ak
>>> ak.Codec.from_bytes(ak.Raw("u8").to_bytes())
Raw("u8"))doc";

}  // namespace annkit::bindings::documents
