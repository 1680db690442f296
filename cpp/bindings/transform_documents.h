// The docstrings of the transforms (numpydoc). Their examples run as doctests.
#pragma once

namespace annkit::bindings::documents {

inline constexpr char kTransform[] =
    R"doc(Float rows to float rows. See the subclasses.

Fitted transforms can be pickled and copied. The result of a row does not depend on the rows beside it, nor on threads.
Threads may apply one while another fits it anew: each call sees it as it was before or after.)doc";

inline constexpr char kTransformFit[] = R"doc(Learn from rows.

Parameters
----------
x : array_like of shape (n, dim)
    float32, float64, float16, bfloat16, uint8 or int8, of any strides.
labels : array_like of int, shape (n,), optional
    Each row's class; only ``ITQ`` with ``start="cca"`` or ``"lda"`` looks at them.
seed : int, default 0
    The same rows and seed give the same transform, for any number of threads.
threads : int, optional

Returns
-------
self

Raises
------
ValueError
    Too few rows or dimensions, NaN or infinite values, or labels that are not one a row. The transform is as it was.
TypeError
    Labels that are not integers.)doc";

inline constexpr char kApply[] = R"doc(Transform rows.

Parameters
----------
x : array_like of shape (n, dim_in), or (dim_in,) for one row
threads : int, optional

Returns
-------
ndarray of float32, shape (n, dim_out)

Raises
------
NotFittedError
    Before ``fit``, if it learns anything.
ValueError
    Wrong dimension, NaN or infinite values, or a squared norm beyond a quarter of the largest float32.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((100, 8))
>>> ak.PCA(3).fit(x).apply(x).shape
(100, 3))doc";

inline constexpr char kInvert[] = R"doc(Return to the space of the rows.

Where ``dim_out`` is smaller than ``dim_in``, rows come back as the nearest that are transformed to ``y``.

Parameters
----------
y : array_like of shape (n, dim_out), or (dim_out,) for one row
threads : int, optional

Returns
-------
ndarray of float32, shape (n, dim_in)

Raises
------
ValueError
    Wrong dimension, NaN or infinite values, or a transform without an inverse.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((100, 8))
>>> rotation = ak.Rotation().fit(x)
>>> np.allclose(rotation.invert(rotation.apply(x)), x, atol=1e-5)
True)doc";

inline constexpr char kTransformToBytes[] = R"doc(Return the transform as bytes.

Returns
-------
bytes)doc";

inline constexpr char kTransformFromBytes[] = R"doc(Load a transform from the bytes of ``to_bytes``.

Parameters
----------
data : bytes-like

Returns
-------
Transform

Raises
------
FormatError
    A ValueError: the bytes are damaged, or not a transform.)doc";

inline constexpr char kCenter[] = R"doc(Subtract the mean of the rows seen by ``fit``.

Examples
--------
>>> import annkit as ak, numpy as np
>>> ak.Center().fit([[1.0, 2.0], [3.0, 6.0]]).apply([[2.0, 5.0]])
array([[0., 1.]], dtype=float32))doc";

inline constexpr char kNormalize[] = R"doc(Scale rows to a length of 1; rows of zeros stay zeros. It learns nothing.

Examples
--------
>>> import annkit as ak
>>> ak.Normalize().apply([[3.0, 4.0], [0.0, 0.0]])
array([[0.6, 0.8],
       [0. , 0. ]], dtype=float32))doc";

inline constexpr char kProjection[] = R"doc(Multiply by a random Gaussian matrix, scaled by 1 / sqrt(dim).

Squared distances keep their expectation; their relative error is about sqrt(2 / dim) (Johnson and Lindenstrauss 1984).
``fit`` looks at the dimension of the rows alone, unless they are to be centred.

Parameters
----------
dim : int
    Outputs; may be more than the rows have.
center : bool, default False
    Rows are taken from the mean of those that it was fitted to.

Examples
--------
>>> import annkit as ak, numpy as np
>>> ak.Projection(64).fit(np.eye(256)).apply(np.eye(256)).shape
(256, 64))doc";

inline constexpr char kRotation[] = R"doc(Turn the space at random, so that what few dimensions hold is spread over all.

Lengths and distances stay as they are. ``fit`` looks at the dimension of the rows alone.

Parameters
----------
dim : int, optional
    Keep so many of the outputs; all by default.
kind : {"random", "hadamard"}, default "random"
    "random" is uniform among all rotations, and takes dim_in * dim_out multiply-adds a row. "hadamard" is made of random
    signs and Walsh-Hadamard transforms: some dim_in * log(dim_in) additions a row and next to no memory.

Examples
--------
>>> import annkit as ak, numpy as np
>>> rotation = ak.Rotation(kind="hadamard").fit(np.eye(100))
>>> y = rotation.apply(np.eye(100))
>>> np.allclose(y @ y.T, np.eye(100), atol=1e-5)
True)doc";

inline constexpr char kPca[] =
    R"doc(Principal component analysis: the directions in which rows vary most, largest first.

``fit`` takes at most max(100,000, 50 * dim_in) rows, by random. Signs are such that the largest entry of each component is
positive.

Parameters
----------
dim : int
    Components to keep, at most the dimension and the number of rows.
whiten : bool or float, default False
    Components are divided by this power of their standard deviation: True, or 1.0, gives them all a variance of 1.
    Directions without variance become 0. (Faiss's ``eigen_power`` is -whiten / 2.)
balance : int, optional
    Deal the components to so many groups of dim / balance outputs, such that the products of their variances come out
    even: what product quantization wants (Ge, He, Ke, Sun: Optimized Product Quantization, 2014, section 3.3).

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((1000, 3)) * [1, 5, 0.1]
>>> pca = ak.PCA(2).fit(x)
>>> np.abs(pca.components_).round(1)
array([[0., 1., 0.],
       [1., 0., 0.]], dtype=float32)
>>> np.allclose(pca.explained_variance_, np.var(x, axis=0, ddof=1)[[1, 0]], rtol=1e-2)
True)doc";

inline constexpr char kOpq[] =
    R"doc(Optimized product quantization: the rotation for which product quantization errs least.

It starts from the principal components, dealt to the groups so that the products of their variances are even, which is
best for Gaussian rows, or from the dimensions as they come, whichever turns out better; then codebooks and rotation are
improved in turn (Ge, He, Ke, Sun: Optimized Product Quantization, 2014). No mean is subtracted, so inner products stay what they are.

Parameters
----------
m : int
    Groups of outputs, as many as the ``PQ`` behind it has.
dim : int, optional
    Outputs: a multiple of m. By default as many as the rows have, which then have to be a multiple of m.
bits : int, default 4
    Of a group's code, as of the ``PQ`` behind it: 4 to 12.
rounds : int, default 24
    How often codebooks and rotation are improved; 0 leaves the start.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((1000, 16))
>>> ak.OPQ(4, dim=8).fit(x).apply(x).shape
(1000, 8))doc";

inline constexpr char kItq[] =
    R"doc(Iterative quantization: few dimensions, turned such that their signs keep as much of the rows as signs can.

Rows are centered and reduced to at most ``bits`` dimensions; then signs and the rotation nearest to them are found in turn.
With ``SignBits`` behind it, it makes the binary codes of Gong and Lazebnik.

Parameters
----------
bits : int, default 64
    Outputs. With ``start="pca"`` at most the dimension of the rows.
iterations : int, default 50
    How often signs and rotation are found; 0 leaves a random rotation.
start : {"pca", "cca", "lda"}, default "pca"
    How rows are reduced: to their principal components; or, with labels, to one dimension less than there are classes at
    most, by canonical correlation of rows and classes, each direction scaled by its correlation, or by linear
    discriminants, which have a variance of 1 within the classes. The rotation spreads these over all bits.

Notes
-----
``fit`` takes at most 65,536 rows, by random.

References
----------
Gong, Lazebnik: Iterative quantization: a Procrustean approach to learning binary codes, CVPR 2011; with Gordo and Perronnin in
TPAMI 2013 (sections 2 to 4).

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((1000, 64))
>>> index = ak.Pipeline(ak.ITQ(32), ak.Flat(codec=ak.SignBits(), metric="hamming")).fit(x).add(x)
>>> index.search(x[:2], k=1)
SearchResult(distances=array([[0],
       [0]], dtype=int32), ids=array([[0],
       [1]])))doc";

inline constexpr char kSpectral[] =
    R"doc(Spectral hashing: slow waves along the principal components, whose signs are the bits.

Rows are taken to lie evenly in a box along their principal components. Of its eigenfunctions, which are cosines, ``bits`` of
the lowest frequencies are the outputs: wide components get several.

Parameters
----------
bits : int, default 64
    Outputs.

References
----------
Weiss, Torralba, Fergus: Spectral hashing, NIPS 2008 (section 3).

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((1000, 8))
>>> y = ak.Spectral(16).fit(x).apply(x)
>>> y.shape, bool((abs(y) <= 1).all())
((1000, 16), True))doc";

}  // namespace annkit::bindings::documents
