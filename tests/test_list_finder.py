"""Which lists a batch of queries visits: bytes that filter centroids change no answer."""

from __future__ import annotations

import numpy as np
import pytest
from hard_rows import HARD, blobs
from truth import assert_same

import annkit as ak

pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")

LISTS = 800


def in_small_batches(index, q, **settings):
    """Search by so few queries at a time that none is filtered."""
    answers = [index.search(part, **settings) for part in np.array_split(q, len(q) // 10)]
    return [np.concatenate(parts) for parts in zip(*answers, strict=True)]


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("kind", HARD)
def test_batches_visit_the_lists_that_single_queries_do(rng, kind, metric):
    x = HARD[kind](rng, 4200).astype(np.float32)
    index = ak.IVF(lists=LISTS, metric=metric).fit(x[:4000]).add(x[:4000])
    for nprobe in (1, 2, 5):
        got = index.search(x[3800:], k=30, nprobe=nprobe)
        assert_same(got, in_small_batches(index, x[3800:], k=30, nprobe=nprobe))
        assert_same(index.search(x[3800:], k=30, nprobe=nprobe, threads=2), got)


@pytest.mark.parametrize("dim", [48, 65, 300])
def test_codes_of_residuals_get_the_same_scores_of_their_lists(rng, dim):
    x = blobs(rng, 5200, dim, 300)
    index = ak.IVF(lists=1029, codec=ak.SQ(8), residual=True).fit(x[:5000]).add(x[:5000])
    for nprobe in (1, 3, 6):
        got = index.search(x[5000:], k=20, nprobe=nprobe)
        assert_same(got, in_small_batches(index, x[5000:], k=20, nprobe=nprobe))


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_filtered_lists_are_numpys_nearest(rng, metric):
    """A list holds the rows that its centroid is the nearest of; copies of centroids say which one that is."""
    x = blobs(rng, 1200, 64, 100, 1.0)
    index = ak.IVF(lists=1000, metric=metric, codec=ak.Raw("f32")).fit(x[:1000])
    q = x[1000:]
    scores = -q @ x[:1000].T if metric == "ip" else ((q[:, None] - x[:1000]) ** 2).sum(axis=2)
    index.add(x[:1000])
    for nprobe in (1, 6):
        got = index.search(q, k=nprobe, nprobe=nprobe).ids
        np.testing.assert_array_equal(np.sort(got), np.sort(np.argsort(scores)[:, :nprobe]))
