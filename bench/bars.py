"""The figures annkit is held to, each beside Faiss and beside this machine's limit, measured in one run.

    taskset -c 0 python bench/bars.py [BAR ...]
    python bench/bars.py ivf --data sift --budget 60

Rates are medians over several passes, with one thread unless a line says two. `threads`, `fit-threads`, `add-threads`,
`kmeans`, `pq`, `ivf`, `ivf-build`, `graph`, `mih`, `pairs`, `binary-graph`, `itq` and `itq-quality` want two cores: run
them without taskset.
"""

from __future__ import annotations

import argparse
import copy
import resource
from collections.abc import Callable
from typing import Any

import binary_bars
import code_bars
import graph_bars
import hash_bars
import image_bars
import list_bars
import lsh_bars
import numpy as np
import pair_bars
import training_bars
from figures import (
    MADE,
    REAL,
    Limits,
    Rows,
    data_sets,
    faiss_flat_time,
    faiss_module,
    fma_rate,
    median_time,
    median_times,
    read_rate,
    rng,
    show,
)

import annkit as ak


def flat() -> None:
    """Float batches."""
    for n, dim, sizes in ((200_000, 128, (1000, 256, 64, 16)), (60_000, 784, (1000,)), (60_000, 768, (1000, 64))):
        base = rng.random((n, dim), np.float32)
        index = ak.Flat().add(base)
        for nq in sizes:
            queries = rng.random((nq, dim), np.float32)
            limit = fma_rate()
            seconds = median_time(lambda q=queries, i=index: i.search(q, k=10, threads=1))
            rate = 2.0 * n * nq * dim / seconds
            show(
                f"Flat f32 l2, d={dim}, {n:,} rows, {nq} queries",
                f"{n * nq / seconds / 1e6:.0f} M pairs/s",
                f"{100 * rate / limit:.0f} % of the FMA rate",
                f"{faiss_flat_time(base, queries) / seconds:.2f} x Faiss",
            )


def single() -> None:
    """One query over rows in DRAM."""
    faiss = faiss_module()
    base = rng.standard_normal((1 << 20, 128), np.float32)
    queries = rng.standard_normal((8, 128), np.float32)
    peer = faiss.IndexFlatL2(128)
    peer.add(base)
    faiss_time = median_time(lambda: [peer.search(queries[i : i + 1], 10) for i in range(8)])
    index = ak.Flat().add(base)
    limit = read_rate()
    seconds = median_time(lambda: [index.search(queries[i], k=10, threads=1) for i in range(8)])
    rate = 8 * base.nbytes / seconds
    show(
        "Flat f32 l2, one query, 512 MB",
        f"{rate / 1e9:.1f} GB/s",
        f"{100 * rate / limit:.0f} % of {limit / 1e9:.1f} GB/s",
        f"{faiss_time / seconds:.2f} x Faiss",
    )
    certified = ak.Flat(scan="sq8").add(base)
    same = all(
        np.array_equal(a, b) for a, b in zip(index.search(queries, 10), certified.search(queries, 10), strict=True)
    )
    sketched = median_time(lambda: [certified.search(queries[i], k=10, threads=1) for i in range(8)])
    show(
        "the same with scan='sq8'",
        f"{8 / sketched:.0f} queries/s",
        f"identical: {same}",
        f"{seconds / sketched:.2f} x Flat f32",
    )


def byte_rows() -> None:
    """Integer batches."""
    faiss = faiss_module()
    for kind, low, high in (("u8", 0, 256), ("i8", -128, 128)):
        dtype = np.uint8 if kind == "u8" else np.int8
        base = rng.integers(low, high, (200_000, 128)).astype(dtype)
        queries = rng.integers(low, high, (1000, 128)).astype(dtype)
        peer = faiss.IndexScalarQuantizer(128, faiss.ScalarQuantizer.QT_8bit)
        as_float = base.astype(np.float32)
        peer.train(as_float)
        peer.add(as_float)
        peer_queries = queries[:50].astype(np.float32)
        faiss_time = median_time(lambda p=peer, q=peer_queries: p.search(q, 10)) * 20
        index = ak.Flat(codec=ak.Raw(kind)).add(base)
        seconds = median_time(lambda i=index, q=queries: i.search(q, k=10, threads=1))
        show(
            f"Flat {kind} l2, d=128, 200,000 rows, 1000 queries",
            f"{2e8 / seconds / 1e6:.0f} M pairs/s",
            "",
            f"{faiss_time / seconds:.1f} x Faiss SQ8",
        )


def hamming() -> None:
    """Packed codes."""
    faiss = faiss_module()
    for bits in (64, 128, 256, 512, 1024):
        codes = rng.integers(0, 256, (1_000_000, bits // 8)).astype(np.uint8)
        queries = rng.integers(0, 256, (200, bits // 8)).astype(np.uint8)
        peer = faiss.IndexBinaryFlat(bits)
        peer.add(codes)
        faiss_time = median_time(lambda p=peer, q=queries: p.search(q, 10))
        seconds = median_time(lambda c=codes, q=queries: ak.hamming.topk(q, c, 10, threads=1))
        show(
            f"Hamming {bits} bit, 1,000,000 codes, 200 queries",
            f"{2e8 / seconds / 1e9:.2f} G pairs/s",
            "",
            f"{faiss_time / seconds:.1f} x Faiss",
        )
    for bits in (24, 32, 48, 64, 96, 160, 256, 384, 768, 1024):
        codes = rng.integers(0, 256, (200_000, bits // 8)).astype(np.uint8)
        index, peer = ak.Flat(codec=ak.Bits(), metric="hamming").add(codes), faiss.IndexBinaryFlat(bits)
        peer.add(codes)
        queries = rng.integers(0, 256, (16, bits // 8)).astype(np.uint8)
        times = [median_time(lambda i=index, q=queries[:n]: i.search(q, threads=1), 0.1) / n for n in (1, 4, 8, 16)]
        rates = " / ".join(f"{1e6 * seconds:.0f}" for seconds in times)
        own, theirs = median_times(
            lambda i=index, q=queries[:1]: i.search(q, threads=1),
            lambda p=peer, q=queries[:1]: p.search(q, 10),
            seconds=0.1,
        )
        what = f"Hamming {bits} bit, 200,000 codes, 1/4/8/16 queries"
        show(what, f"{rates} us a query", "", f"one: {theirs / own:.1f} x Faiss")
    queries = rng.integers(0, 256, (1, 32)).astype(np.uint8)
    codes = np.tile(rng.integers(0, 256, (1 << 15, 32)).astype(np.uint8), (2048, 1))
    limit = read_rate()
    seconds = median_time(lambda: ak.hamming.topk(queries, codes, 10, threads=1))
    rate = codes.nbytes / seconds
    show(
        "Hamming 256 bit, one query, 2 GB",
        f"{rate / 1e9:.1f} GB/s",
        f"{100 * rate / limit:.0f} % of {limit / 1e9:.1f} GB/s",
        "",
    )


def call() -> None:
    """What a call costs besides its kernel: a search of one row of one dimension."""
    index = ak.Flat().add(np.zeros((10, 16), np.float32))
    query = np.zeros((1, 16), np.float32)
    seconds = median_time(lambda: [index.search(query, k=10) for _ in range(1000)]) / 1000
    show("one-query call on 10 rows", f"{seconds * 1e6:.2f} us", "", "")


def memory() -> None:
    """What a search adds to the process's peak."""
    index = ak.Flat().add(rng.random((500_000, 128), np.float32))
    queries = rng.random((1000, 128), np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index.search(queries, k=10)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    show("peak memory added by 1000 queries, k=10", f"{(after - before) / 1024:.1f} MB", "", "")


def threads() -> None:
    """Two threads against one."""
    base = rng.random((200_000, 128), np.float32)
    codes = rng.integers(0, 256, (1_000_000, 32)).astype(np.uint8)
    as_bytes = (base * 255).astype(np.uint8)
    cases: list[tuple[str, Any, np.ndarray]] = [
        (f"f32, {nq} queries", ak.Flat().add(base), rng.random((nq, 128), np.float32)) for nq in (1000, 256, 64, 16)
    ]
    few = base[:50_000]
    cases += [(f"f32, 1000 queries, {len(few):,} rows", ak.Flat().add(few), rng.random((1000, 128), np.float32))]
    cases.append(("u8, 1000 queries", ak.Flat(codec=ak.Raw("u8")).add(as_bytes), as_bytes[:1000]))
    cases.append(("256 bit, 200 queries", ak.Flat(codec=ak.Bits(), metric="hamming").add(codes), codes[:200]))
    few_codes = ak.Flat(codec=ak.Bits(), metric="hamming").add(codes[: len(few)])
    cases.append((f"256 bit, 1000 queries, {len(few):,} rows", few_codes, codes[:1000]))
    for name, index, queries in cases:
        for k in (10, 100):
            one, two = median_times(
                lambda i=index, q=queries, k=k: i.search(q, k=k, threads=1),
                lambda i=index, q=queries, k=k: i.search(q, k=k, threads=2),
            )
            show(f"two threads, {name}, k={k}", f"{one / two:.2f} x one", "", "")
    for rows in data_sets(["sift", "mixture-128"], most=200_000, queries=4000):
        for codec in (ak.SQ(8), ak.PQ(32, bits=4), ak.PQ(16), ak.RaBitQ(4)):
            lists_by_two_threads(rows, codec)


def lists_by_two_threads(rows: Rows, codec: ak.Codec) -> None:
    """Show what two threads gain in IVF: learning, adding and searching, also of few queries in few lists."""
    index = ak.IVF(lists=1024, codec=codec).fit(rows.base)
    full = copy.copy(index).add(rows.base)

    def gain(act: Callable[[int], Any]) -> str:
        one, two = median_times(lambda: act(1), lambda: act(2))
        return f"{one / two:.2f}"

    fit = gain(lambda threads: ak.IVF(lists=1024, codec=codec).fit(rows.base, threads=threads))
    add = gain(lambda threads: copy.copy(index).add(rows.base, threads=threads))
    search = " / ".join(
        gain(lambda threads, q=rows.queries[:n], p=nprobe: full.search(q, k=10, nprobe=p, threads=threads))
        for n, nprobe in ((4000, 24), (1000, 4), (64, 4))
    )
    show(f"two threads, IVF, {codec}, {rows.name}", f"search {search} x", f"fit {fit} x", f"add {add} x one")


BARS: dict[str, Callable[..., None]] = {
    "flat": flat,
    "single": single,
    "bytes": byte_rows,
    "hamming": hamming,
    "call": call,
    "memory": memory,
    "threads": threads,
    "kmeans": training_bars.kmeans,
    "pq": training_bars.pq,
    "rabitq": training_bars.rabitq,
    "transforms": training_bars.transforms,
    "fit-threads": training_bars.fit_threads,
    "add-threads": training_bars.add_threads,
    "copies": image_bars.copies,
    "imagehash": image_bars.against_imagehash,
}
# These take the data to look at and the seconds to spend.
LIMITED: dict[str, Callable[[Limits], None]] = {
    "sq": code_bars.scalar,
    "fastscan": code_bars.fastscan,
    "codes": code_bars.codes,
    "pq-seeds": code_bars.seeds,
    "ivf": list_bars.search,
    "ivf-build": list_bars.build,
    "ivf-memory": list_bars.memory,
    "ivf-filter": list_bars.filtered,
    "coarse": list_bars.coarse,
    "graph": graph_bars.search,
    "gamma": graph_bars.gamma,
    "lsh": lsh_bars.search,
    "mih": binary_bars.hashes,
    "pairs": pair_bars.pairs,
    "binary-lists": binary_bars.lists,
    "binary-graph": binary_bars.graphs,
    "itq": hash_bars.itq,
    "itq-quality": hash_bars.quality,
    "asymmetric": hash_bars.asymmetric,
}


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", nargs="*", metavar="BAR", help=f"of {', '.join([*BARS, *LIMITED])}; all by default")
    parser.add_argument(
        "--data",
        default="",
        metavar="A,B",
        help=f"of {', '.join(REAL)}, mixture-D, clusters-D of D dimensions; {', '.join([*REAL, *MADE])} by default",
    )
    parser.add_argument("--rows", type=int, help="at most so many rows")
    parser.add_argument(
        "--budget", type=float, default=300.0, help="seconds of ivf for each data set, after builds and a first pass"
    )
    options = parser.parse_args()
    limits = Limits([name for name in options.data.split(",") if name], options.rows, options.budget)
    for bar in options.bars or [*BARS, *LIMITED]:
        if bar in LIMITED:
            LIMITED[bar](limits)
        else:
            BARS[bar]()


if __name__ == "__main__":
    _main()
