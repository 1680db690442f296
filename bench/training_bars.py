"""Bars of what is learned: k-means, product quantization, RaBitQ and transforms, beside Faiss."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from figures import (
    data_folder,
    faiss_flat_time,
    faiss_module,
    fma_rate,
    median_of,
    median_time,
    median_times,
    once,
    rng,
    show,
)

import annkit as ak
from annkit._core import _codes


def rows_to_cluster() -> Iterator[tuple[str, np.ndarray]]:
    """Yield real descriptors where they are at hand, and mixtures of normal distributions."""
    path = data_folder() / "sift-caltech-128.base.npy"
    if path.exists():
        yield "SIFT", np.load(path)[:200_000].astype(np.float32)
    for n, dim in ((200_000, 96), (100_000, 384), (60_000, 768)):
        means = rng.standard_normal((2000, dim), np.float32)
        x = means[rng.integers(0, 2000, n)] + np.float32(0.7) * rng.standard_normal((n, dim), np.float32)
        yield "mixture", x


def nearest_cost(rows: np.ndarray, centroids: np.ndarray) -> float:
    """Return the sum of squared distances from the nearest centroids."""
    index = faiss_module().IndexFlatL2(rows.shape[1])
    index.add(centroids)
    nearest = index.search(rows, 1)[1][:, 0]
    return float(np.square(rows - centroids[nearest], dtype=np.float64).sum())


def kmeans() -> None:
    """k-means into 1024, 10 rounds over all rows, and the nearest of 2828 centroids."""
    faiss = faiss_module()
    for name, x in rows_to_cluster():
        n, dim = x.shape
        times: dict[str, list[float]] = {"faiss": [], "one": [], "two": []}
        costs: dict[str, list[float]] = {"faiss": [], "one": [], "two": []}
        for seed in range(3):
            peer = faiss.Kmeans(dim, 1024, niter=10, max_points_per_centroid=n, seed=seed)
            own = ak.KMeans(1024, sample=0, seed=seed)
            runs = {
                "faiss": lambda p=peer, x=x: (p.train(x), p.centroids)[1],
                "one": lambda o=own, x=x: o.fit(x, threads=1).centroids_,
                "two": lambda o=own, x=x: o.fit(x, threads=2).centroids_,
            }
            for who, train in runs.items():
                start = time.perf_counter()
                centroids = train()
                times[who].append(time.perf_counter() - start)
                costs[who].append(nearest_cost(x, centroids))
        seconds = {who: statistics.median(all_times) for who, all_times in times.items()}
        show(
            f"k-means, {name}, {n:,} x {dim} into 1024",
            f"{seconds['one']:.2f} s",
            f"two threads {seconds['one'] / seconds['two']:.2f} x",
            f"{seconds['faiss'] / seconds['one']:.2f} x Faiss, cost {sum(costs['one']) / sum(costs['faiss']):.4f} x",
        )
    x = rng.standard_normal((500_000, 128), np.float32)
    own = ak.KMeans(2828, rounds=1, sample=40).fit(x)
    seconds = median_time(lambda: own.predict(x, threads=1))
    faiss_time = faiss_flat_time(own.centroids_, x[:100_000], k=1) * 5
    rate = 2.0 * x.size * 2828 / seconds
    show(
        "nearest of 2828 centroids, 500,000 x 128",
        f"{len(x) / seconds / 1e6:.2f} M rows/s",
        f"{100 * rate / fma_rate():.0f} % of the FMA rate",
        f"{faiss_time / seconds:.2f} x Faiss",
    )


def pq() -> None:
    """Product quantization: training and encoding, and the error that is left, beside Faiss."""
    faiss = faiss_module()
    shapes = (
        (128, 32, 4),
        (128, 16, 8),
        (128, 4, 8),
        (96, 24, 8),
        (96, 24, 4),
        (768, 96, 8),
        (768, 192, 4),
        (768, 32, 8),
    )
    for dim, m, bits in shapes:
        centers = rng.standard_normal((200, dim), np.float32) * 2
        x = centers[rng.integers(0, 200, 65_536)] + rng.standard_normal((65_536, dim), np.float32)
        rows = x[:16_384]
        peer = faiss.ProductQuantizer(dim, m, bits)
        codec = ak.PQ(m, bits=bits)
        passes = 1 if dim > 128 else 3
        faiss_fit = median_of(lambda p=peer, x=x: once(lambda: p.train(x)), passes)
        fit = median_of(lambda c=codec, x=x: once(lambda: c.fit(x, threads=1)), 3)
        fit_by_two = median_of(lambda c=codec, x=x: once(lambda: c.fit(x, threads=2)), 3)
        faiss_encode = median_time(lambda p=peer, r=rows: p.compute_codes(r), 0.5)
        encode = median_time(lambda c=codec, r=rows: c.encode(r, threads=1), 0.5)
        encode_by_two = median_time(lambda c=codec, r=rows: c.encode(r, threads=2), 0.5)
        faiss_error = ((peer.decode(peer.compute_codes(rows)) - rows) ** 2).sum()
        error = ((codec.decode(codec.encode(rows)) - rows) ** 2).sum()
        name = f"PQ d={dim} m={m} bits={bits}"
        show(
            f"{name}, fit of 65,536 rows",
            f"{fit * 1e3:.1f} ms",
            f"{fit / fit_by_two:.2f} x by two threads",
            f"{faiss_fit / fit:.2f} x Faiss",
        )
        show(
            f"{name}, encode",
            f"{len(rows) / encode / 1e6:.2f} M rows/s",
            f"{encode / encode_by_two:.2f} x by two threads",
            f"{faiss_encode / encode:.2f} x Faiss",
        )
        show(f"{name}, error", "", "", f"{error / faiss_error:.4f} x Faiss")


def code_data() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (name, rows, queries) for the quality of codes: real sets where they are at hand, and normal rows."""
    folder = data_folder()
    for name, rows, queries in (
        ("sift-caltech-128", 100_000, 500),
        ("fashion-mnist-784", 30_000, 500),
        ("w2v-enwiki-100", 100_000, 500),
    ):
        files = [folder / f"{name}.{part}.npy" for part in ("base", "query")]
        if not all(file.exists() for file in files):
            continue
        x = np.load(files[0], mmap_mode="r")[:rows].astype(np.float32)
        q = np.load(files[1], mmap_mode="r")[:queries].astype(np.float32)
        if name.startswith("w2v"):
            x /= np.linalg.norm(x, axis=1, keepdims=True)
            q /= np.linalg.norm(q, axis=1, keepdims=True)
        yield name, x, q
    for dim in (96, 384, 768):
        yield f"normal-{dim}", *(rng.standard_normal((n, dim), np.float32) for n in (20_000, 500))


def rabitq() -> None:
    """Recall@10 of RaBitQ's estimates over all rows, beside Faiss with and without a random rotation in front."""
    faiss = faiss_module()
    for name, x, q in code_data():
        dim = x.shape[1]
        exact = faiss.IndexFlatL2(dim)
        exact.add(x)
        truth = exact.search(q, 10)[1]
        for bits in (1, 2, 4, 8):
            codec = ak.RaBitQ(bits=bits)
            _codes.fit(codec, x, 1)
            start = time.perf_counter()
            size = sum(map(len, _codes.columns(codec, x))) / len(x)
            seconds = time.perf_counter() - start
            scores = np.concatenate(
                [_codes.scores(codec, x, q[i : i + 100], bounds=False)[0] for i in range(0, len(q), 100)]
            )
            own = ak.metrics.recall(np.argpartition(scores, 10, axis=1)[:, :10], truth)
            peers = []
            for spec in ("RaBitQ", f"RR{dim},RaBitQ"):
                peer = faiss.index_factory(dim, spec + (str(bits) if bits > 1 else ""))
                peer.train(x)
                start = time.perf_counter()
                peer.add(x)
                peer_seconds = time.perf_counter() - start
                peers.append(ak.metrics.recall(peer.search(q, 10)[1], truth))
            show(
                f"RaBitQ {bits} bit, {name}, recall@10",
                f"{own:.4f}",
                f"{size:.0f} bytes, {seconds * 1e5 / len(x):.2f} s/100k",
                f"{own - max(peers):+.4f}, Faiss {peer_seconds / seconds:.1f} x time",
            )


def fit_time(fit: Callable[[], Any]) -> float:
    """Return the seconds of one call: fits are long."""
    start = time.perf_counter()
    fit()
    return time.perf_counter() - start


def quantizing_error(x: np.ndarray, matrix: np.ndarray, m: int) -> float:
    """Return what Faiss's product quantization of 4 bits errs by a row behind a rotation."""
    faiss = faiss_module()
    y = np.ascontiguousarray(x @ matrix.T)
    pq = faiss.ProductQuantizer(y.shape[1], m, 4)
    pq.train(y)
    return float(np.sum((y - pq.decode(pq.compute_codes(y))) ** 2, axis=1).mean())


def transforms() -> None:
    """Products with a matrix; PCA's and OPQ's fit."""
    faiss = faiss_module()
    for dim in (96, 384, 768, 1536):
        x = rng.standard_normal((4000, dim), np.float32)
        rotation, fast = ak.Rotation().fit(x), ak.Rotation(kind="hadamard").fit(x)
        peer = faiss.RandomRotationMatrix(dim, dim)
        peer.init(1)
        limit = fma_rate()
        for n in (4000, 1):
            seconds = median_time(lambda r=rotation, q=x[:n]: r.apply(q, threads=1), 0.5)
            theirs = median_time(lambda p=peer, q=x[:n]: p.apply(q), 0.5)
            share = f"{100 * 2.0 * n * dim * dim / seconds / limit:.0f} % of the FMA rate"
            show(f"Rotation, d={dim}, {n} rows", f"{n / seconds:,.0f} rows/s", share, f"{theirs / seconds:.2f} x Faiss")
        seconds = median_time(lambda r=fast, q=x: r.apply(q, threads=1), 0.5)
        show(f"the same by Hadamard, {len(x)} rows", f"{len(x) / seconds:,.0f} rows/s", "", "")
    for dim in (96, 384, 768):
        mix = rng.standard_normal((dim, dim)) * np.arange(1, dim + 1) ** -0.5
        x = (rng.standard_normal((40_000, dim)) @ mix.T).astype(np.float32)
        peer = faiss.PCAMatrix(dim, 64)
        seconds = fit_time(lambda q=x: ak.PCA(64).fit(q, threads=1))
        theirs = fit_time(lambda p=peer, q=x: p.train(q))
        show(f"PCA fit, d={dim}, 40,000 rows", f"{seconds:.2f} s", "", f"{theirs / seconds:.1f} x Faiss")
        if dim > 384:
            continue  # Faiss takes minutes there
        m = dim // 8
        peer = faiss.OPQMatrix(dim, m)
        peer.pq = faiss.ProductQuantizer(dim, m, 4)
        opq = ak.OPQ(m)
        seconds = fit_time(lambda o=opq, q=x: o.fit(q, threads=1))
        theirs = fit_time(lambda p=peer, q=x: p.train(q))
        ratio = quantizing_error(x, opq.matrix_, m) / quantizing_error(
            x, faiss.vector_to_array(peer.A).reshape(dim, dim), m
        )
        show(f"OPQ fit, d={dim}", f"{seconds:.2f} s", f"error {ratio:.3f} x Faiss's", f"{theirs / seconds:.1f} x Faiss")


def fit_threads() -> None:
    """Fits by two threads against one."""
    for name, x in rows_to_cluster():
        n, dim = x.shape
        for part in (
            ak.PQ(dim // 4, bits=4),
            ak.PQ(dim // 8),
            ak.OPQ(dim // 8),
            ak.PCA(64),
            ak.PCA(dim),
            ak.ITQ(64),
        ):
            one, two = median_times(
                lambda p=part, x=x: p.fit(x, threads=1), lambda p=part, x=x: p.fit(x, threads=2), seconds=0.5
            )
            show(f"{part}, {name}, fit of {n:,} x {dim}", f"{one:.3f} s", f"two threads {one / two:.2f} x (1.9)", "")


def add_threads() -> None:
    """Adding rows by two threads against one."""
    for name, x in rows_to_cluster():
        dim = x.shape[1]
        indexes = [
            ak.Flat(),
            *(ak.Flat(codec=codec) for codec in (ak.SQ(8), ak.PQ(dim // 4, bits=4), ak.PQ(dim // 8), ak.RaBitQ(1))),
            *(ak.IVF(lists=1024, codec=codec) for codec in (ak.Raw("f32"), ak.SQ(8), ak.PQ(dim // 4, bits=4))),
            ak.HNSW(),
        ]
        for index in indexes:
            rows = x[:5000] if isinstance(index, ak.HNSW) else x
            index.fit(x)
            one, two = median_times(
                lambda i=index, r=rows: copy.copy(i).add(r, threads=1),
                lambda i=index, r=rows: copy.copy(i).add(r, threads=2),
                seconds=0.5,
            )
            show(
                f"{index}, {name}, {len(rows):,} x {dim} added",
                f"{one * 1e3:.1f} ms",
                f"two threads {one / two:.2f} x (1.9)",
                "",
            )
