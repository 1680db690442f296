"""Bars of packed codes: multi-index hashing beside scans and Faiss, lists and graphs of bits.

Codes are those of ITQ (Gong, Lazebnik 2011), which are skewed as learned codes are: many equal ones, values that many
share. A bar of codes takes the data set `sift` unless others are named.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from figures import Limits, Rows, faiss_module, median_times, once, rng, show
from graph_bars import EFS, THREADS, Graph

import annkit as ak

_BITS = 64


def itq_codes(rows: Rows, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return packed codes of the rows and the queries; beyond the rows' dimension, of random hyperplanes."""
    generator = np.random.default_rng(0)
    sample = rows.base[generator.choice(len(rows.base), min(len(rows.base), 50_000), replace=False)]
    mean = sample.mean(axis=0)
    if bits > sample.shape[1]:
        learned = generator.standard_normal((sample.shape[1], bits))
    else:
        directions = np.linalg.eigh(np.cov(sample.T))[1][:, ::-1][:, :bits]
        projected = (sample - mean) @ directions
        rotation = np.linalg.qr(generator.standard_normal((bits, bits)))[0]
        for _ in range(30):
            u, _, vt = np.linalg.svd(np.where(projected @ rotation > 0, 1.0, -1.0).T @ projected)
            rotation = (u @ vt).T
        learned = directions @ rotation
    base, queries = (
        np.packbits((x - mean) @ learned.astype(np.float32) > 0, axis=1) for x in (rows.base, rows.queries)
    )
    return base, queries


def code_sets(limits: Limits, queries: int) -> Any:
    named = limits if limits.names else limits._replace(names=["sift"])
    yield from named.sets(queries)


def hashes(limits: Limits) -> None:
    """MultiIndexHash: microseconds a query in a batch and alone, beside Flat and Faiss's multi-hash."""
    for rows in code_sets(limits, 10_000):
        codes, queries = itq_codes(rows, _BITS)
        _hashes(rows.name, codes, queries)
        _multi_hash(codes, queries)
        for bits in (32, 128, 256):
            _hashes(rows.name, *itq_codes(rows, bits))
    uniform = rng.integers(0, 256, (500_000, _BITS // 8)).astype(np.uint8)
    _hashes("uniform", uniform, uniform[::500] ^ np.uint8(1))


def _hashes(name: str, codes: np.ndarray, queries: np.ndarray) -> None:
    flat = ak.Flat(codec=ak.Bits(), metric="hamming").add(codes)
    begin = time.perf_counter()
    index = ak.MultiIndexHash().add(codes, threads=1)
    built = time.perf_counter() - begin
    few = queries[:200]
    calls = {
        "k=10": lambda i, q: i.search(q, k=10, threads=1),
        "radius 6": lambda i, q: i.range_search(q, 6, threads=1),
    }
    print(f"{name}, {len(codes):,} codes of {8 * codes.shape[1]} bits, {index.nbytes / len(codes):.0f} bytes a code,")
    print(f"built in {built:.2f} s")
    for what, call in calls.items():
        same = all(np.array_equal(a, b) for a, b in zip(call(index, queries), call(flat, queries), strict=True))
        own, scan = median_times(lambda c=call: c(index, queries), lambda c=call: c(flat, queries), seconds=1)
        alone, lone_scan = median_times(
            lambda c=call: [c(index, q) for q in few], lambda c=call: [c(flat, q) for q in few], seconds=1
        )
        us, lone_us = 1e6 * own / len(queries), 1e6 * alone / len(few)
        show(f"  {what}, {len(queries):,} queries", f"{us:.1f} us", f"same as Flat: {same}", f"{scan / own:.2f} x Flat")
        show(f"  {what}, one query at a time", f"{lone_us:.1f} us", "", f"{lone_scan / alone:.2f} x Flat")


def _multi_hash(codes: np.ndarray, queries: np.ndarray) -> None:
    """Print Faiss's rates at the settings that come nearest to all neighbours."""
    faiss = faiss_module()
    queries = queries[:300]
    index = ak.MultiIndexHash().add(codes)
    own = once(lambda: index.search(queries, k=10, threads=1))
    kth = index.search(queries, k=10).distances
    for tables, bits, flips in ((4, 16, 1), (4, 16, 2), (8, 8, 0), (5, 12, 1), (6, 10, 1)):
        peer = faiss.IndexBinaryMultiHash(8 * codes.shape[1], tables, bits)
        peer.add(codes)
        peer.nflip = flips
        seconds = once(lambda p=peer: p.search(queries, 10))
        recall = (peer.search(queries, 10)[0] == kth).mean()
        what = f"  Faiss BinaryMultiHash {tables} x {bits}, {flips} flips, k=10"
        show(what, f"{1e6 * seconds / len(queries):.0f} us", f"recall {recall:.4f}", f"own: {seconds / own:.1f} x")


class _Nearest:
    """The distances to the k-th neighbours, which judge answers: see figures.Truth."""

    def __init__(self, codes: np.ndarray, queries: np.ndarray, k: int = 10) -> None:
        self.codes, self.queries = codes, queries
        self.kth = ak.hamming.topk(queries, codes, k=k).distances[:, -1:]

    def recall(self, ids: np.ndarray) -> float:
        """Return which share of the k nearest is among `ids`."""
        distances = np.unpackbits(self.codes[ids] ^ self.queries[:, None], axis=2).sum(axis=2)
        return float(((ids >= 0) & (distances <= self.kth)).mean())


def spread_codes(n: int, bits: int) -> np.ndarray:
    """Return codes as learned ones are: the sides of hyperplanes on which points around 3,000 centers lie."""
    generator = np.random.default_rng(0)
    centers, planes = generator.standard_normal((3000, 48)), generator.standard_normal((48, bits))
    codes = []
    for first in range(0, n, 50_000):
        count = min(50_000, n - first)
        points = centers[generator.integers(0, 3000, count)] + 0.7 * generator.standard_normal((count, 48))
        codes.append(np.packbits(points @ planes > 0, axis=1))
    return np.concatenate(codes)


def lists(limits: Limits) -> None:
    """IVF over bits beside Faiss's: a thousand queries and single ones, by nprobe, and the recall of both."""
    faiss, n, n_lists = faiss_module(), limits.bounded(500_000), 1024
    for bits in (64, 256):
        codes = spread_codes(n + 1000, bits)
        base, queries = codes[:n], codes[n:]
        own, peer = (
            ak.IVF(lists=n_lists, codec=ak.Bits(), metric="hamming"),
            faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(bits), bits, n_lists),
        )
        seconds = [
            once(lambda i=own, x=base: i.fit(x, threads=1)),
            once(lambda i=own, x=base: i.add(x, threads=1)),
            once(lambda i=peer, x=base: i.train(x)),
            once(lambda i=peer, x=base: i.add(x)),
        ]
        print(f"{n:,} codes of {bits} bits, {n_lists} lists; fitted and filled in", end=" ")
        print("{:.2f} and {:.2f} s, Faiss {:.2f} and {:.2f} s".format(*seconds))
        truth = _Nearest(base, queries)
        for nprobe in (1, 4, 16, 64):
            _visit(own, peer, queries, nprobe, truth)


def _visit(own: ak.IVF, peer: Any, queries: np.ndarray, nprobe: int, truth: _Nearest) -> None:
    peer.nprobe = nprobe
    recalls = truth.recall(own.search(queries, k=10, nprobe=nprobe).ids), truth.recall(peer.search(queries, 10)[1])
    batch, their_batch = median_times(
        lambda: own.search(queries, k=10, nprobe=nprobe, threads=1), lambda: peer.search(queries, 10), seconds=0.5
    )
    few = queries[:100]
    alone, their_alone = median_times(
        lambda: [own.search(q, k=10, nprobe=nprobe, threads=1) for q in few],
        lambda: [peer.search(q[None], 10) for q in few],
        seconds=0.5,
    )
    recall = f"recall {recalls[0]:.3f}, {recalls[1]:.3f}"
    us, lone_us = 1e6 * batch / len(queries), 1e6 * alone / len(few)
    show(f"  nprobe {nprobe}, {len(queries):,} queries", f"{us:.2f} us", recall, f"{their_batch / batch:.2f} x Faiss")
    show(f"  nprobe {nprobe}, one query at a time", f"{lone_us:.1f} us", "", f"{their_alone / alone:.2f} x Faiss")


def _own_graph() -> Graph:
    def search(index: Any, queries: np.ndarray, ef: int) -> np.ndarray:
        return index.search(queries, k=10, ef=ef, threads=1).ids

    return Graph(
        "annkit HNSW, bits", lambda x: ak.HNSW(codec=ak.Bits(), metric="hamming").add(x, threads=THREADS), search
    )


def _faiss_graph() -> Graph:
    faiss = faiss_module()

    def build(codes: np.ndarray) -> Any:
        index = faiss.IndexBinaryHNSW(8 * codes.shape[1], 16)
        index.hnsw.efConstruction = 200
        faiss.omp_set_num_threads(THREADS)
        index.add(codes)
        faiss.omp_set_num_threads(1)
        return index

    def search(index: Any, queries: np.ndarray, ef: int) -> np.ndarray:
        index.hnsw.efSearch = ef
        return index.search(queries, 10)[1]

    return Graph("Faiss BinaryHNSW16, efC=200", build, search)


def _usearch_graph() -> Graph:
    try:
        from usearch.index import Index
    except ImportError as error:
        raise SystemExit("this bench needs usearch: pip install usearch") from error

    def build(codes: np.ndarray) -> Any:
        bits = 8 * codes.shape[1]
        index = Index(ndim=bits, metric="hamming", dtype="b1", connectivity=16, expansion_add=200)
        index.add(np.arange(len(codes)), codes, threads=THREADS)
        return index

    def search(index: Any, queries: np.ndarray, ef: int) -> np.ndarray:
        index.expansion_search = ef
        return index.search(queries, 10, threads=1).keys.astype(np.int64)

    return Graph("usearch b1 M=16, efC=200", build, search)


def graphs(limits: Limits) -> None:
    """Graphs over 256-bit codes at a recall of 0.95."""
    for rows in code_sets(limits, 1000):
        codes, queries = itq_codes(rows, 256)
        truth, compared = _Nearest(codes, queries), [_own_graph(), _faiss_graph(), _usearch_graph()]
        bits = Rows(rows.name, codes, queries)
        for graph in compared:
            graph.settings = [*EFS, 400, 800]
            graph.open(bits, truth)  # type: ignore[arg-type]
        end, passes = time.perf_counter() + limits.seconds, 0
        while passes < 3 or (passes < 20 and time.perf_counter() < end):
            for graph in compared:
                graph.ask(queries)
            passes += 1
        print(f"{rows.name}, {len(codes):,} codes of 256 bits, at a recall of 0.95")
        own = compared[0].qps(0.95, len(queries))
        for graph in compared:
            rate = graph.qps(0.95, len(queries))
            what = f"{rate:,.0f} queries/s" if rate else f"recall at most {max(p[0] for p in graph.points):.3f}"
            times = f"own: {own / rate:.2f} x" if own and rate else ""
            show(f"  {graph.name}", what, f"built in {graph.seconds:.1f} s", times)
