"""Bars of learned hash codes: fit and encoding beside NumPy and Faiss, mean average precision and recall."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from figures import REAL, Limits, Truth, data_folder, faiss_module, median_times, once, rng, show

import annkit as ak

BITS = (32, 64, 128)
SEEDS = range(5)
QUERIES = 300  # of quality
Encode = Callable[[np.ndarray], np.ndarray]


def numpy_itq(x: np.ndarray, bits: int, seed: int, iterations: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and matrix of PCA-ITQ, as Gong and Lazebnik write it down."""
    mean = x.mean(axis=0)
    centred = x - mean
    components = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :bits]
    v = centred @ components
    gaussian = np.random.default_rng(seed).standard_normal((bits, bits))
    rotation = np.linalg.qr(gaussian)[0].astype(np.float32)
    for _ in range(iterations):
        signs = np.where(v @ rotation > 0, np.float32(1), np.float32(-1))
        left, _, right = np.linalg.svd(signs.T @ v)
        rotation = right.T @ left.T
    return mean, (components @ rotation).T


def numpy_encoder(x: np.ndarray, bits: int, seed: int, most: int = 100_000) -> Encode:
    """Return the way to make codes that it learns from at most so many rows: more take minutes."""
    mean, matrix = numpy_itq(x[:: -(-len(x) // most)], bits, seed)
    return lambda rows: np.packbits((rows - mean) @ matrix.T > 0, axis=1, bitorder="little")


def faiss_itq(x: np.ndarray, bits: int, seed: int) -> Any:
    """Return Faiss's ITQ and signs, trained on its own choice of rows."""
    faiss = faiss_module()
    transform = faiss.ITQTransform(x.shape[1], bits, True)
    transform.itq.seed = seed + 1
    index = faiss.IndexPreTransform(transform, faiss.IndexLSH(bits, bits, False, False))
    transform.train(x)
    index.is_trained = True
    return index


def encoders(x: np.ndarray, bits: int, seed: int, labels: np.ndarray | None) -> Iterator[tuple[str, Encode]]:
    """Yield the ways to make codes, fitted."""
    yield "ITQ", ak.hash.ITQ(bits, seed=seed).fit(x).encode
    if labels is not None:
        yield "CCA-ITQ", ak.hash.ITQ(bits, start="cca", seed=seed).fit(x, labels=labels).encode
        yield "LDA-ITQ", ak.hash.ITQ(bits, start="lda", seed=seed).fit(x, labels=labels).encode
    yield "LSH", ak.hash.LSH(bits, seed=seed).fit(x).encode
    if seed == 0:
        yield "PCA", ak.hash.PCAHash(bits).fit(x).encode
        yield "spectral", ak.hash.Spectral(bits).fit(x).encode
    yield "NumPy ITQ", numpy_encoder(x, bits, seed)
    yield "Faiss ITQ", faiss_itq(x, bits, seed).sa_encode


def mean_average_precision(encode: Encode, x: np.ndarray, q: np.ndarray, same: np.ndarray) -> float:
    """Return the mean over queries of the precision at each row of their class; equal distances in the rows' order."""
    distances = ak.hamming.pairwise(encode(q), encode(x)).astype(np.int16)
    total = 0.0
    for near, mine in zip(distances, same, strict=True):
        hits = mine[np.argsort(near, kind="stable")]
        at = np.flatnonzero(hits) + 1
        total += float((np.arange(1, len(at) + 1) / at).mean())
    return total / len(q)


def _quality(name: str, score: Callable[[Encode], float], x: np.ndarray, labels: np.ndarray | None) -> None:
    for bits in BITS:
        found: dict[str, list[float]] = {}
        for seed in SEEDS:
            for who, encode in encoders(x, bits, seed, labels):
                found.setdefault(who, []).append(score(encode))
        for who, scores in found.items():
            show(f"{name}, {bits} bits, {who}", f"{np.mean(scores):.4f}", f"+- {np.std(scores):.4f}", "")


def _map_by_labels(rows: int | None) -> None:
    files = {part: data_folder() / f"fashion-mnist-784.{part}.npy" for part in ("base", "query")}
    if not all(file.exists() for file in files.values()):
        return
    x, q = (np.load(file)[:most].astype(np.float32) for file, most in zip(files.values(), (rows, QUERIES), strict=True))
    labels, wanted = (
        np.load(data_folder() / f"fashion-mnist-784.labels_{part}.npy")[: len(some)].astype(np.int64)
        for part, some in (("base", x), ("query", q))
    )
    same = wanted[:, None] == labels[None]
    _quality("mAP, fashion", lambda encode: mean_average_precision(encode, x, q, same), x, labels)


def _recall(limits: Limits) -> None:
    for data in limits._replace(names=limits.names or ["sift"]).sets(QUERIES):
        truth = Truth(data.base, data.queries)

        def score(encode: Encode, data: Any = data, truth: Truth = truth) -> float:
            return truth.recall(ak.hamming.topk(encode(data.queries), encode(data.base), k=100).ids)

        _quality(f"10 nearest among 100, {data.name}", score, data.base, None)


def _fit() -> None:
    faiss = faiss_module()
    x = _rows(60_000, 784)
    labels = rng.integers(0, 10, len(x))
    for start in ("pca", "cca"):
        own = once(lambda s=start: ak.ITQ(64, start=s).fit(x, labels=labels, threads=1))
        two = once(lambda s=start: ak.ITQ(64, start=s).fit(x, labels=labels, threads=2))
        if start == "cca":
            show("CCA-ITQ fit, 60,000 x 784 into 64", f"{own:.2f} s", f"two threads {own / two:.2f} x", "")
            continue
        by_numpy = once(lambda: numpy_itq(x, 64, 0))
        theirs = []
        for most in (10, 100):
            peer = faiss.ITQTransform(784, 64, True)
            peer.max_train_per_dim = most
            theirs.append(once(lambda p=peer: p.train(x)))
        show(
            "ITQ fit, 60,000 x 784 into 64",
            f"{own:.2f} s, two threads {own / two:.2f} x",
            f"{by_numpy / own:.2f} x NumPy",
            f"{theirs[0] / own:.2f} x Faiss by 7,840 rows, {theirs[1] / own:.2f} x by all",
        )


def _rows(n: int, dim: int) -> np.ndarray:
    """Return rows with a mean, and variances that fall."""
    falling = rng.standard_normal((n, dim), np.float32) / np.arange(1, dim + 1, dtype=np.float32) ** np.float32(0.5)
    return rng.random(dim, np.float32) + falling


def _encode() -> None:
    for dim in (100, 128, 256, 784):
        x = _rows(100_000, dim)
        for bits in [bits for bits in BITS if bits <= dim]:
            _encode_into(x, bits)


def _encode_into(x: np.ndarray, bits: int) -> None:
    """Learned codes beside Faiss's ITQ, random hyperplanes beside its LSH, whose are a rotation of the rows."""
    dim = x.shape[1]
    learned, peer_learned = ak.hash.ITQ(bits).fit(x[:5000]), faiss_itq(x[:5000], bits, 0)
    random = ak.hash.LSH(bits).fit(x)
    peer = faiss_module().IndexLSH(dim, bits, True, False)
    peer.train(x)
    own, theirs, own_learned, theirs_learned = median_times(
        lambda: random.encode(x, threads=1),
        lambda: peer.sa_encode(x),
        lambda: learned.encode(x, threads=1),
        lambda: peer_learned.sa_encode(x),
        seconds=0.4,
    )
    show(
        f"encode {len(x):,} x {dim} into {bits} bits",
        f"LSH {own * 1e3:.1f} ms",
        f"{theirs / own:.2f} x Faiss",
        f"ITQ {own_learned * 1e3:.1f} ms, {theirs_learned / own_learned:.2f} x Faiss",
    )


def itq(limits: Limits) -> None:
    """ITQ's fit, and encoding."""
    _fit()
    _encode()


def quality(limits: Limits) -> None:
    """Mean average precision with labels as the truth, and recall of the nearest, of five seeds."""
    _map_by_labels(limits.rows)
    _recall(limits)


def asymmetric(limits: Limits) -> None:
    """Float queries against bits beside bits against bits: recall, and rates of one thread.

    Faiss's IndexLSH compares bits with bits alone; it stands behind the same ITQ's or rotation's like.
    """
    for data in limits._replace(names=limits.names or list(REAL)).sets():
        truth, dim = Truth(data.base, data.queries), data.base.shape[1]
        for bits in (64, 128):
            made = ak.hash.ITQ(bits) if bits <= dim else ak.hash.LSH(bits)
            made.fit(data.base)
            indexes = [made.index().add(data.base), made.index(asymmetric=True).add(data.base)]
            print(f"{data.name}, {len(data.base):,} rows of {dim}, {made!r}")
            _beside(data.queries, truth, indexes, _faiss_lsh(data.base, bits))


def _faiss_lsh(base: np.ndarray, bits: int) -> Any:
    if bits <= base.shape[1]:
        index = faiss_itq(base[:: -(-len(base) // 50_000)], bits, 0)
    else:
        index = faiss_module().IndexLSH(base.shape[1], bits, True, False)
        index.train(base)
    index.add(base)
    return index


def _beside(queries: np.ndarray, truth: Truth, indexes: list[ak.Index], peer: Any) -> None:
    few = queries[:20]
    batches = median_times(
        *(lambda i=index: i.search(queries, k=10, threads=1) for index in indexes),
        lambda: peer.search(queries, 10),
        seconds=0.4,
    )
    alone = median_times(
        *(lambda i=index: [i.search(q, k=10, threads=1) for q in few] for index in indexes),
        lambda: [peer.search(q[None], 10) for q in few],
        seconds=0.3,
    )
    found = [[index.search(queries, k=k).ids for k in (10, 100)] for index in indexes]
    found.append([peer.search(queries, k)[1] for k in (10, 100)])
    for name, ids, batch, one in zip(("symmetric", "asymmetric", "Faiss LSH"), found, batches, alone, strict=True):
        recalls = " / ".join(f"{truth.recall(some):.3f}" for some in ids)
        rates = f"{len(queries) / batch:,.0f} q/s", f"alone {1e6 * one / len(few):.0f} us"
        show(f"  {name}: 10 nearest among 10 / 100", recalls, *rates)
