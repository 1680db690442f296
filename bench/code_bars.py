"""Bars of scans over codes: their rates beside the machine's limits and Faiss, and the recall of their estimates."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from figures import (
    Limits,
    Rows,
    Truth,
    divisor,
    faiss_module,
    fma_rate,
    median_times,
    mixture,
    probe_rate,
    read_rate,
    show,
)

import annkit as ak

# Faiss's OPQ learns for minutes beyond it.
_WIDEST_OPQ = 200


def scalar(limits: Limits) -> None:
    """SQ in batches of 1000 queries, Faiss asked 50 of them; then recall@10."""
    faiss = faiss_module()
    limit = fma_rate()
    for n, dim in ((200_000, 128), (60_000, 768), (30_000, 1536)):
        base, queries = mixture(limits.bounded(n), dim, 1000)
        peer = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit)
        peer.train(base)
        peer.add(base)
        for bits in (8, 6, 4):
            index = ak.Flat(codec=ak.SQ(bits)).fit(base).add(base)
            theirs, seconds = median_times(
                lambda p=peer, q=queries: p.search(q[:50], 10),
                lambda i=index, q=queries: i.search(q, k=10, threads=1),
            )
            pairs = len(base) * 1000 / seconds
            show(
                f"Flat SQ{bits} l2, d={dim}, {len(base):,} rows, 1000 queries",
                f"{pairs / 1e6:.0f} M pairs/s",
                f"{2 * dim * pairs / limit:.1f} x the f32 FMA rate",
                f"{20 * theirs / seconds:.1f} x Faiss SQ8 (8)",
            )
    for rows in limits.sets():
        truth = Truth(rows.base, rows.queries)
        for bits in (8, 6, 4):
            compare(rows, truth, Pair(f"SQ{bits}", ak.Flat(codec=ak.SQ(bits)), (f"SQ{bits}",)), aim=-0.001)


def scan_rates(base: np.ndarray, queries: np.ndarray) -> None:
    """Print rates of PQ of 32 codes of 4 bits beside those of Faiss, by batches and k."""
    index = ak.Flat(codec=ak.PQ(32, bits=4)).fit(base[:65_536]).add(base)
    peer = faiss_module().IndexPQFastScan(base.shape[1], 32, 4)
    peer.train(base[:65_536])
    peer.add(base)
    lookups, read = 16 * probe_rate("shuffle"), read_rate()
    for nq, k in ((1, 10), (64, 10), (64, 100), (1000, 10)):
        theirs, seconds = median_times(
            lambda q=queries[:nq], k=k: peer.search(q, k), lambda q=queries[:nq], k=k: index.search(q, k=k, threads=1)
        )
        rate = len(base) * nq / seconds
        share = f"{100 * rate * 16 / read:.0f} % of {read / 1e9:.1f} GB/s"
        show(
            f"Flat PQ(32, bits=4), {len(base):,} rows, {nq} queries, k={k}",
            f"{rate / 1e9:.2f} G codes/s" + (" (2.2)" if (nq, k) == (64, 10) else ""),
            share if nq == 1 else f"{100 * rate * 32 / lookups:.0f} % of the shuffle rate",
            f"{theirs / seconds:.2f} x Faiss" + (" (2)" if nq == 64 else ""),
        )


def fastscan(limits: Limits) -> None:
    """PQ of 32 codes of 4 bits, by rows and batches; then recall@10."""
    base, queries = mixture(limits.bounded(500_000), 128, 1000)
    for n in sorted({min(n, len(base)) for n in (20_000, 50_000, len(base))}):
        scan_rates(base[:n], queries)
    for rows in limits.sets():
        m = divisor(rows.base.shape[1], 32)
        pair = Pair(f"PQ({m}, bits=4)", ak.Flat(codec=ak.PQ(m, bits=4)), (f"PQ{m}x4fs",))
        compare(rows, Truth(rows.base, rows.queries), pair, aim=-0.003)


def codes(limits: Limits) -> None:
    """Recall@10 of scans over codes of as many bits."""
    for rows in limits.sets():
        truth = Truth(rows.base, rows.queries)
        for pair in pairs_for(rows.base.shape[1]):
            compare(rows, truth, pair, aim=-0.003)


def seeds(limits: Limits) -> None:
    """Recall@10 of PQ over seeds, by exact distances from decoded rows: codebooks alone are compared.

    4000 queries leave about 0.0015 to chance.
    """
    faiss = faiss_module()
    for rows in limits.sets(4000):
        truth, dim = Truth(rows.base, rows.queries), rows.base.shape[1]
        cases = [*((divisor(dim, dim // share), 4) for share in (24, 4, 2)), (divisor(dim, 16), 8)]
        for m, bits in cases:
            own, theirs = [], []
            for seed in range(10):
                codec = ak.PQ(m, bits=bits).fit(rows.base, seed=seed)
                own.append(decoded_recall(codec.decode(codec.encode(rows.base)), rows, truth))
            for seed in range(5):
                peer = faiss.ProductQuantizer(dim, m, bits)
                peer.cp.seed += seed
                peer.train(rows.base)
                theirs.append(decoded_recall(peer.decode(peer.compute_codes(rows.base)), rows, truth))
            mean = statistics.mean(theirs)
            show(
                f"PQ({m}, bits={bits}), {rows.name}, recall@10",
                f"{statistics.mean(own):.4f}, least {min(own):.4f}",
                f"Faiss {mean:.4f}, least {min(theirs):.4f}",
                f"least {min(own) - mean:+.4f} (-0.003)",
            )


def decoded_recall(decoded: np.ndarray, rows: Rows, truth: Truth) -> float:
    """Return the recall of an exact search among decoded rows."""
    return truth.recall(ak.Flat().add(decoded).search(rows.queries, k=10, threads=1).ids)


class Pair(NamedTuple):
    """An index of annkit and Faiss's factory strings for as many bits, of which the best counts."""

    name: str
    own: ak.Index
    peers: tuple[str, ...]


def pairs_for(dim: int) -> Iterator[Pair]:
    """Yield what to compare at one dimension; Faiss's PQ wants divisors of it."""
    fine, coarse = divisor(dim, 32), divisor(dim, 16)
    yield Pair(f"PQ({fine}, bits=4)", ak.Flat(codec=ak.PQ(fine, bits=4)), (f"PQ{fine}x4fs", f"PQ{fine}x4"))
    yield Pair(f"PQ({coarse})", ak.Flat(codec=ak.PQ(coarse)), (f"PQ{coarse}",))
    opq = getattr(ak, "OPQ", None)
    if opq is not None and dim <= _WIDEST_OPQ:
        rotated = ak.Pipeline(opq(coarse), ak.Flat(codec=ak.PQ(coarse)))
        yield Pair(f"OPQ({coarse}), PQ({coarse})", rotated, (f"OPQ{coarse},PQ{coarse}",))
    for bits in (8, 6, 4):
        yield Pair(f"SQ({bits})", ak.Flat(codec=ak.SQ(bits)), (f"SQ{bits}",))
    for bits in (1, 4):
        key = "RaBitQ" + (str(bits) if bits > 1 else "")
        yield Pair(f"RaBitQ({bits})", ak.Flat(codec=ak.RaBitQ(bits=bits)), (key, f"RR{dim},{key}"))


def compare(rows: Rows, truth: Truth, pair: Pair, aim: float) -> None:
    """Print the recall@10 of both; both learn from all rows."""
    pair.own.fit(rows.base).add(rows.base)
    own = truth.recall(pair.own.search(rows.queries, k=10, threads=1).ids)
    theirs: dict[str, float] = {}
    for key in pair.peers:
        peer = faiss_module().index_factory(rows.base.shape[1], key)
        peer.train(rows.base)
        peer.add(rows.base)
        theirs[key] = truth.recall(peer.search(rows.queries, 10)[1])
    best = max(theirs, key=lambda key: theirs[key])
    show(
        f"{pair.name}, {rows.name}, recall@10",
        f"{own:.4f}",
        f"{best} {theirs[best]:.4f}",
        f"{own - theirs[best]:+.4f} (from {aim:+} on)",
    )
