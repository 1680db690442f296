"""What indexes take and give: the measurements behind annkit.recommend.

python bench/choose.py FOLDER [--rows 50000] [--only sift,mixture-384]

FOLDER holds NAME.base.npy and NAME.query.npy of real data; mixtures are made here. For each data set and factory
string: bytes a row, seconds to build, the most recall that settings reach, and queries a second of one thread at
recalls of .90, .95 and .99 (by ak.tune; a dash where it is not reached).
"""

from __future__ import annotations

import argparse
import pathlib
import time

import numpy as np

import annkit as ak

RECALLS = (0.90, 0.95, 0.99)


def mixture(n: int, dim: int, seed: int = 0) -> np.ndarray:
    """Return rows around centers, with variances that fall off as those of embeddings do."""
    rng = np.random.default_rng(seed)
    scales = (np.arange(dim) + 1.0) ** -0.5
    turn = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    centers = rng.standard_normal((n // 100, dim)) * scales
    rows = centers[rng.integers(len(centers), size=n)] + rng.standard_normal((n, dim)) * scales * 0.7
    return (rows @ turn).astype(np.float32)


def data_sets(folder: pathlib.Path, rows: int, queries: int):
    """Yield names, rows and queries."""
    for base in sorted(folder.glob("*.base.npy")):
        name = base.name.removesuffix(".base.npy")
        x = np.load(base, mmap_mode="r")[:rows].astype(np.float32)
        q = np.load(base.with_name(f"{name}.query.npy"), mmap_mode="r")[:queries].astype(np.float32)
        yield name, x, q
    for dim in (96, 384, 768):
        x = mixture(rows + queries, dim)
        yield f"mixture-{dim}", x[:rows], x[rows:]


def specs(n: int, dim: int) -> list[str]:
    """Return the candidates, from the largest to the smallest codes."""
    ivf = f"IVF{1 << round(np.log2(4 * n**0.5))}"
    half, quarter = dim // 2, dim // 4
    return [
        *["Flat", "SQ8", f"{ivf},Flat", f"{ivf},SQfp16", f"{ivf},SQ8,RFlat", f"{ivf},SQ8,Refine(SQfp16)", f"{ivf},SQ8"],
        *[f"PCA{half},{ivf},SQ8,RFlat", f"PCA{half},{ivf},SQ8,Refine(SQfp16)", f"PCA{half},{ivf},SQ8,Refine(SQ8)"],
        *[f"{ivf},RaBitQ,Refine(SQ8)", f"{ivf},PQ{half}x4fsr,Refine(SQ8)", f"{ivf},SQ4,Refine(SQ8)", f"{ivf},RaBitQ7"],
        *[f"{ivf},SQ6", f"{ivf},RaBitQ5", f"{ivf},SQ4", f"PCA{half},{ivf},SQ8", f"{ivf},RaBitQ4", f"{ivf},RaBitQ3"],
        *[f"{ivf},RaBitQ2", f"{ivf},PQ{half}x4fsr", f"{ivf},RaBitQ", f"{ivf},PQ{quarter}x4fsr"],
    ]


def report(name: str, spec: str, x: np.ndarray, q: np.ndarray, truth: np.ndarray, within: float) -> None:
    """Print a line."""
    start = time.perf_counter()
    index = ak.index(spec, x.shape[1]).fit(x, threads=1).add(x, threads=1)
    built = time.perf_counter() - start
    curve = ak.tune(index, q, truth, 0.95, within=within, threads=1).curve
    rates = []
    for recall in RECALLS:
        enough = [point.qps for point in curve if point.recall >= recall]
        rates.append(f"{max(enough):8.0f}" if enough else "       -")
    most = max(point.recall for point in curve)
    print(f"{name:22} {spec:32} {index.nbytes / len(x):8.1f} {built:6.1f} {most:.4f}", *rates, flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--within", type=float, default=2.0)
    parser.add_argument("--only", default="", help="names of data sets, or their beginnings, between commas")
    given = parser.parse_args()
    print(f"{'data':22} {'index':32} {'B a row':>8} {'build':>6} {'most':>6} {'at .90':>8} {'at .95':>8} {'at .99':>8}")
    for name, x, q in data_sets(given.folder, given.rows, given.queries):
        if not name.startswith(tuple(given.only.split(","))):
            continue
        truth = ak.Flat().add(x).search(q, 10).ids
        for spec in specs(len(x), x.shape[1]):
            report(name, spec, x, q, truth, given.within)


if __name__ == "__main__":
    main()
