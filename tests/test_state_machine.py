"""Any sequence of calls: the index agrees with a model of NumPy arrays after each."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from truth import assert_same, distances, hamming, nearest

import annkit as ak

DIM = 3
SEEDS = st.integers(0, 2**32 - 1)
FORMS = st.sampled_from(["mask", "ids", "each"])
KINDS = {
    "f32": lambda: ak.Flat(),
    "f16 ip": lambda: ak.Flat(codec=ak.Raw("f16"), metric="ip"),
    "sq8": lambda: ak.Flat(scan="sq8"),
    "u8": lambda: ak.Flat(codec=ak.Raw("u8")),
    "bits": lambda: ak.Flat(codec=ak.Bits(), metric="hamming"),
    "ivf": lambda: ak.IVF(lists=4),
    "ivf f16 ip": lambda: ak.IVF(lists=4, codec=ak.Raw("f16"), metric="ip"),
    "ivf u8": lambda: ak.IVF(lists=4, codec=ak.Raw("u8")),
    "ivf bits": lambda: ak.IVF(lists=4, codec=ak.Bits(), metric="hamming"),
    "refine flat": lambda: ak.Refine(ak.Flat(codec=ak.RaBitQ()), codec=ak.Raw("f16"), k_factor=1e6),
    "refine ivf": lambda: ak.Refine(ak.IVF(lists=4, codec=ak.PQ(3, bits=4)), k_factor=1e6),
    "hnsw": lambda: ak.HNSW(degree=6, ef_build=8),
    "hnsw f16 ip": lambda: ak.HNSW(degree=4, ef_build=4, codec=ak.Raw("f16"), metric="ip"),
    "hnsw u8": lambda: ak.HNSW(degree=8, ef_build=8, codec=ak.Raw("u8")),
    "multi index hash bits": lambda: ak.MultiIndexHash(),
    "hnsw bits": lambda: ak.HNSW(degree=8, ef_build=8, codec=ak.Bits(), metric="hamming"),
    "lsh": lambda: ak.LSHTables(bits=3, tables=2, sketch=64),
    "lsh p-stable f16 ip": lambda: ak.LSHTables(family="p-stable", bits=4, codec=ak.Raw("f16"), metric="ip"),
    "lsh cross-polytope u8": lambda: ak.LSHTables(family="cross-polytope", bits=5, sketch=0, codec=ak.Raw("u8")),
    "refine lsh": lambda: ak.Refine(ak.LSHTables(bits=4, sketch=64, codec=ak.SQ(4)), k_factor=1e6),
    "refine hnsw": lambda: ak.Refine(ak.HNSW(degree=6, ef_build=8, codec=ak.SQ(8)), k_factor=1e6),
    "pipeline": lambda: ak.Pipeline(ak.Center(), ak.Flat()),
    "pipeline ivf": lambda: ak.Pipeline(ak.Center(), ak.IVF(lists=4)),
    "pipeline refine": lambda: ak.Pipeline(ak.Center(), ak.Refine(ak.IVF(lists=4, codec=ak.SQ(4)), k_factor=1e6)),
}
# Every row of integers below 4, so that their mean is exact, often enough for k-means and PQ.
TRAINING = np.tile(np.indices((4,) * DIM).reshape(DIM, -1).T.astype(np.float32), (10, 1))


class IndexAgreesWithArrays(RuleBasedStateMachine):
    """Rows are small integers, so that every distance is exact and ties are many."""

    @initialize(kind=st.sampled_from(sorted(KINDS)))
    def start(self, kind):
        self.index, self.rows, self.next_id, self.kind = KINDS[kind](), {}, 0, kind
        self.settings = {"nprobe": 4} if "ivf" in kind or "pipeline refine" in kind else {}
        if "hnsw" in kind:
            self.settings = {"ef": 100_000}
        if "lsh" in kind:
            self.settings = {"probes": 32} if "cross" in kind else {"probes": 32, "candidates": 10**6}
        self.dtype = np.uint8 if kind.split()[-1] in ("u8", "bits") else np.float32
        if not self.index.is_fitted:
            self.index.fit(TRAINING.astype(self.dtype))
        self.mapped = False

    def random_rows(self, seed, n):
        return np.random.default_rng(seed).integers(0, 4, (n, DIM)).astype(self.dtype)

    def table(self, queries):
        rows = np.array(list(self.rows.values()), self.dtype).reshape(-1, DIM)
        metric = self.index.metric
        return hamming(queries, rows) if metric == "hamming" else distances(queries, rows, metric).astype(np.float32)

    def ids(self):
        return np.fromiter(self.rows, np.int64)

    def changes(self, call):
        """Run a change; a mapped index refuses it."""
        if self.mapped:
            with pytest.raises(ValueError, match="mmap"):
                call()
        else:
            call()
        return not self.mapped

    @rule(seed=SEEDS, n=st.integers(1, 60))
    def add(self, seed, n):
        x = self.random_rows(seed, n)
        if self.changes(lambda: self.index.add(x)):
            self.rows.update(zip(range(self.next_id, self.next_id + n), x, strict=True))
            self.next_id += n

    @rule(seed=SEEDS, ids=st.lists(st.integers(0, 200), min_size=1, max_size=20, unique=True), replace=st.booleans())
    def add_with_ids(self, seed, ids, replace):
        x = self.random_rows(seed, len(ids))
        if not replace and set(ids) & set(self.rows):
            with pytest.raises(ValueError, match=r"already|mmap"):
                self.index.add(x, ids=ids)
        elif self.changes(lambda: self.index.add(x, ids=ids, replace=replace)):
            self.rows.update(zip(ids, x, strict=True))
            self.next_id = max(self.next_id, max(ids) + 1)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def remove(self, data):
        gone = data.draw(st.lists(st.sampled_from(sorted(self.rows)), max_size=30))
        if self.changes(lambda: self.index.remove(np.array(gone, np.int64))):
            for one in set(gone):
                del self.rows[one]

    @rule(known=st.integers(0, 250), unknown=st.integers(251, 10**9))
    def remove_unknown(self, known, unknown):
        if unknown not in self.rows:
            with pytest.raises((KeyError, ValueError), match=r"not in the index|mmap"):
                self.index.remove([known, unknown] if known in self.rows else [unknown])

    @rule()
    def compact(self):
        self.changes(self.index.compact)

    @rule(way=st.sampled_from(["file", "mapped", "bytes", "pickle"]))
    def store(self, way):
        before = self.index.to_bytes()
        if way == "bytes":
            self.index = ak.Index.from_bytes(before)
        elif way == "pickle":
            self.index = pickle.loads(pickle.dumps(self.index))
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "index.ak"
                self.index.save(path)
                self.index = ak.load(path, mmap=way == "mapped")
        # What is empty has nothing to map, but for lists.
        self.mapped = way == "mapped" and (self.next_id > 0 or bool({"nprobe", "probes"} & set(self.settings)))
        assert self.index.to_bytes() == before

    @rule(seed=SEEDS, nq=st.sampled_from([1, 2, 5, 40]), k=st.integers(1, 80), threads=st.sampled_from([1, 2]))
    def search(self, seed, nq, k, threads):
        q = self.random_rows(seed, nq)
        got = self.index.search(q, k=k, threads=threads, **self.settings)
        assert_same(got, nearest(self.table(q), self.ids(), k, self.index.metric))

    @rule(
        seed=SEEDS, nq=st.sampled_from([1, 3, 40]), share=st.floats(0, 1), form=st.sampled_from(["mask", "ids", "each"])
    )
    def search_with_filter(self, seed, nq, share, form):
        q, size = self.random_rows(seed, nq), self.next_id + 1
        masks = np.random.default_rng(seed).random((nq, size)) < share
        if form != "each":
            masks[:] = masks[0]
        given = {"mask": masks[0], "ids": np.flatnonzero(masks[0]), "each": list(masks)}[form]
        ids = self.ids()
        expected = nearest(self.table(q), ids, 9, self.index.metric, masks[:, ids])
        assert_same(self.index.search(q, k=9, filter=given, **self.settings), expected)

    @rule(seed=SEEDS, radius=st.integers(0, 12))
    def search_within(self, seed, radius):
        q = self.random_rows(seed, 3)
        table = self.table(q)
        within = table >= radius if self.index.metric == "ip" else table <= radius
        lims, _, found = self.index.range_search(q, radius, **self.settings)
        for i in range(3):
            wanted = nearest(table[i : i + 1], self.ids(), len(self.rows) + 1, self.index.metric, within[i])[1][0]
            wanted, got = wanted[wanted >= 0], found[lims[i] : lims[i + 1]]
            if "refine" in self.kind:  # the coarse codes leave some out
                wanted = wanted[np.isin(wanted, got)]
            np.testing.assert_array_equal(got, wanted)

    @invariant()
    def rows_are_those_of_the_model(self):
        assert len(self.index) == len(self.rows)
        assert sorted(self.index.ids) == sorted(self.rows)
        if self.rows:
            ids = self.ids()
            np.testing.assert_array_equal(self.index.reconstruct(ids), list(self.rows.values()))


IndexAgreesWithArrays.TestCase.settings = settings(
    max_examples=400, stateful_step_count=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TestIndexAgreesWithArrays = IndexAgreesWithArrays.TestCase
