"""Indexes of every construction, and rows for them."""

from __future__ import annotations

import copy
import functools

import numpy as np

import annkit as ak

DIM, N, LISTS = 16, 1500, 12
METRICS = ["l2", "euclidean", "ip", "cosine"]
CODECS = {
    "f32": lambda: ak.Raw("f32"),
    "f16": lambda: ak.Raw("f16"),
    "sq8": lambda: ak.SQ(8),
    "sq6": lambda: ak.SQ(6),
    "sq4": lambda: ak.SQ(4),
    "pq4": lambda: ak.PQ(8, bits=4),
    "pq5": lambda: ak.PQ(4, bits=5),
    "pq8": lambda: ak.PQ(4),
    "rabitq1": lambda: ak.RaBitQ(1),
    "rabitq4": lambda: ak.RaBitQ(4),
}


def flat(codec):
    return lambda metric: ak.Flat(codec=CODECS[codec](), metric=metric)


def ivf(codec, residual=None):
    return lambda metric: ak.IVF(lists=LISTS, codec=CODECS[codec](), residual=residual, metric=metric)


def graph_of_lists(codec):
    return lambda metric: ak.IVF(
        lists=LISTS, codec=CODECS[codec](), coarse=ak.HNSW(degree=8, metric=metric), metric=metric
    )


def hnsw(codec, **options):
    return lambda metric: ak.HNSW(degree=16, ef_build=60, codec=CODECS[codec](), metric=metric, **options)


def lsh(family, **options):
    codec = CODECS[options.pop("codec", "f32")]
    return lambda metric: ak.LSHTables(family=family, bits=6, codec=codec(), metric=metric, **options)


def refine(base, codec, k_factor=4):
    return lambda metric: ak.Refine(base(metric), codec=CODECS[codec](), k_factor=k_factor)


def behind(base, *transforms):
    return lambda metric: ak.Pipeline(*(one() for one in transforms), base(metric))


TRANSFORMS = {
    "pca": lambda: ak.PCA(12),
    "opq": lambda: ak.OPQ(8, bits=4),
    "rotation": lambda: ak.Rotation(),
    "normalize": lambda: ak.Normalize(),
    "center": lambda: ak.Center(),
}
FLATS = {f"flat {codec}": flat(codec) for codec in CODECS if codec[0] != "f"}
IVFS = {
    **{f"ivf {codec}": ivf(codec) for codec in CODECS},
    **{f"ivf graph {codec}": graph_of_lists(codec) for codec in ("f32", "sq8", "pq4", "rabitq4")},
    **{f"ivf {codec} residual": ivf(codec, residual=True) for codec in ("sq8", "sq6")},
    **{f"ivf {codec} plain": ivf(codec, residual=False) for codec in ("sq4", "pq4", "pq8", "rabitq1", "rabitq4")},
}
HNSWS = {f"hnsw {codec}": hnsw(codec) for codec in CODECS}
LSHS = {
    "lsh hyperplane": lsh("hyperplane", tables=3, sketch=64),
    "lsh p-stable": lsh("p-stable", tables=2, sketch=0),
    "lsh cross-polytope sq8": lsh("cross-polytope", codec="sq8", sketch=128),
    "lsh random pq4": lsh("hyperplane", codec="pq4", tables=4, directions="random"),
}
REFINES = {
    "refine hnsw sq8": refine(hnsw("sq8"), "f32"),
    "refine flat pq4": refine(flat("pq4"), "f32"),
    "refine ivf pq4": refine(ivf("pq4"), "sq8"),
    "refine ivf rabitq1": refine(ivf("rabitq1"), "f16"),
}
PIPELINES = {
    "pca flat": behind(flat("f32"), TRANSFORMS["pca"]),
    "pca ivf sq8": behind(ivf("sq8"), TRANSFORMS["pca"]),
    "opq ivf pq4": behind(ivf("pq4"), TRANSFORMS["opq"]),
    "pca hnsw sq8": behind(hnsw("sq8"), TRANSFORMS["pca"]),
    "rotation flat sq4": behind(flat("sq4"), TRANSFORMS["rotation"]),
    "center normalize ivf rabitq4": behind(ivf("rabitq4"), TRANSFORMS["center"], TRANSFORMS["normalize"]),
}
INDEXES = {
    **FLATS,
    **IVFS,
    **HNSWS,
    **LSHS,
    **REFINES,
    **PIPELINES,
    "refine pca ivf": refine(behind(ivf("pq8"), TRANSFORMS["pca"]), "f32"),
    "refine pca lsh": refine(behind(lsh("hyperplane", codec="sq4", sketch=64), TRANSFORMS["pca"]), "f32"),
    "pca refine": behind(refine(flat("rabitq1"), "sq8"), TRANSFORMS["pca"]),
}
LEARNING = [name for name in INDEXES if name not in ("hnsw f32", "hnsw f16")]


def data(n=N, seed=5):
    """Return clustered rows; some are equal."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(1).standard_normal((20, DIM)) * 2
    x = (centers[rng.integers(0, 20, n)] + rng.standard_normal((n, DIM))).astype(np.float32)
    x[n // 2] = x[0]
    return x


X, Q = data(), data(60, seed=6)
IDS = np.random.default_rng(2).permutation(3 * N)[:N]


@functools.cache
def kept(name, metric, filled):
    index = INDEXES[name](metric).fit(X)
    return index.add(X, ids=IDS) if filled else index


def fitted(name, metric="l2"):
    return copy.copy(kept(name, metric, False))


def full(name, metric="l2"):
    return copy.copy(kept(name, metric, True))


def everything(name):
    """Return the settings with which a search leaves no row out."""
    settings = {}
    if "ivf" in name:
        settings["nprobe"] = LISTS
    if "hnsw" in name:
        settings["ef"] = 20 * N
    if "lsh" in name:
        settings["probes"] = 64
        if name != "lsh p-stable":
            settings["candidates"] = N
    if "refine" in name:
        settings["k_factor"] = 1e6
    return settings


def sure(name):
    """Return the settings with which a graph answers the same however it came about."""
    return {"ef": 20 * N} if "hnsw" in name else {}


def assert_almost_same(result, expected):
    """Compare two results of which few entries may differ."""
    for got, wanted in zip(result, expected, strict=True):
        assert (got == wanted).mean() > 0.95


def each(result, lims):
    return [tuple(part[lims[i] : lims[i + 1]] for part in result) for i in range(len(lims) - 1)]
