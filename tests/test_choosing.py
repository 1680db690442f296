"""The settings that tune finds, and what recommend advises."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

import annkit as ak
from annkit._recommend import memory_of

# Small data, so that the tests are quick.
pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    centers = rng.standard_normal((50, 32)) * 1.5
    rows = (centers[rng.integers(50, size=8200)] + rng.standard_normal((8200, 32))).astype(np.float32)
    base, queries = rows[:8000], rows[8000:]
    return base, queries, ak.Flat().add(base).search(queries, 12).ids


def recall_of(index, queries, truth, k, **settings):
    found = index.search(queries, k, **settings).ids
    return ak.metrics.recall(found, truth, k)


@pytest.mark.parametrize(
    "spec", ["Flat", "SQ4,RFlat", "IVF64,SQ8", "IVF64,PQ16x4fs,RFlat", "PCA16,IVF64,SQ8,Refine(SQ8)"]
)
def test_settings_reach_the_recall(data, spec):
    base, queries, truth = data
    index = ak.index(spec, 32).fit(base).add(base)
    found = ak.tune(index, queries, truth, 0.9, within=2)
    assert found.reached
    assert set(found.settings) <= set(index.settings)
    assert found.recall >= 0.9
    assert found.recall == pytest.approx(recall_of(index, queries, truth, 10, **found.settings))
    assert found.qps > 0


def test_curve_rises_in_recall_as_it_falls_in_speed(data):
    base, queries, truth = data
    index = ak.index("IVF64,SQ4,RFlat").fit(base).add(base)
    curve = ak.tune(index, queries, truth, 0.9, within=2, k=5).curve
    assert len(curve) > 2
    for faster, slower in itertools.pairwise(curve):
        assert faster.qps >= slower.qps
        assert faster.recall < slower.recall
    one = curve[len(curve) // 2]
    assert one.recall == pytest.approx(recall_of(index, queries, truth, 5, **one.settings))


def test_a_recall_out_of_reach_gives_the_most_there_is(data):
    base, queries, truth = data
    index = ak.index("IVF64,RaBitQ").fit(base).add(base)
    found = ak.tune(index, queries, truth, 1.0, within=1)
    assert not found.reached
    assert found.recall == max(point.recall for point in found.curve)


def test_time_is_kept(data):
    base, queries, truth = data
    index = ak.index("IVF64,SQ4,RFlat").fit(base).add(base)
    start = time.perf_counter()
    ak.tune(index, queries, truth, within=0.3)
    assert time.perf_counter() - start < 3


def test_negative_ids_of_the_truth_do_not_count(data):
    base, queries, _ = data
    few = base[:6]
    truth = ak.Flat().add(few).search(queries, 10).ids
    assert ak.tune(ak.Flat().add(few), queries, truth, 1.0, within=0.2).recall == 1


def test_tune_refuses_what_does_not_fit(data):
    base, queries, truth = data
    index = ak.Flat().add(base)
    for arguments, message in [
        ((queries[0], truth), "queries has shape"),
        ((queries, truth[:5]), r"truth has shape \(5, 12\), expected \(200, 10 or more\)"),
        ((queries, truth[:, :9]), r"expected \(200, 10 or more\)"),
        ((queries, truth, 0), "recall is 0"),
        ((queries, truth, 1.5), "recall is 1.5"),
        ((queries, -np.ones_like(truth)), "no ids"),
    ]:
        with pytest.raises(ValueError, match=message):
            ak.tune(index, *arguments)
    with pytest.raises(TypeError, match="float32"):
        ak.tune(index, queries, truth.astype(np.float32))
    with pytest.raises(ValueError, match="within is 0"):
        ak.tune(index, queries, truth, within=0)
    with pytest.raises(ValueError, match="k is 0"):
        ak.tune(index, queries, truth, k=0)
    with pytest.raises(ValueError, match="no rows"):
        ak.tune(ak.Flat(), queries, truth)


SPECS = ["Flat", "SQfp16", "IVF128,SQ8", "IVF128,SQ6", "IVF128,SQfp16", "IVF128,PQ24x4fsr", "IVF128,PQ12x4fsr"]
SPECS += ["IVF128,RaBitQ", *(f"IVF128,RaBitQ{bits}" for bits in (2, 3, 4, 5, 7))]
SPECS += ["IVF128,SQ8,RFlat", "IVF128,SQ8,Refine(SQfp16)"]


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("spec", SPECS)
def test_memory_is_what_the_index_takes(rng, spec, metric):
    x = rng.standard_normal((9000, 48)).astype(np.float32)
    index = ak.index(spec, 48, metric=metric).fit(x[:2000]).add(x)
    assert memory_of(spec, 9000, 48, metric) == pytest.approx(index.nbytes, rel=0.05)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize("memory", [None, 1_800_000, "900 kB", "400KiB"])
@pytest.mark.parametrize("recall", [0.5, 0.9, 0.95, 0.99, 1.0])
def test_advice_fits_and_reaches_the_recall(data, dtype, memory, recall):
    base, queries, _ = data
    scale, kind = (20, np.int8) if "int" in dtype else (1, dtype)
    as_given = [np.clip(part * scale, -127, 127).astype(kind) for part in (base, queries)]
    if dtype == "uint8":
        as_given = [(part.astype(int) + 128).astype(np.uint8) for part in as_given]
    base, queries = as_given
    try:
        advice = ak.recommend(n=8000, dim=32, memory=memory, recall=recall, dtype=dtype)
    except ValueError as error:
        assert memory is not None
        assert "the least is" in str(error)  # noqa: PT017
        return
    index = ak.index(advice.factory, 32).fit(base).add(base)
    assert advice.memory == pytest.approx(index.nbytes, rel=0.05)
    assert advice.factory in advice.reason
    truth = ak.Flat().add(base.astype(np.float32)).search(queries.astype(np.float32), 10).ids
    found = ak.tune(index, queries, truth, recall, within=0.5)
    # The table's recalls are of other data; ties of integers change ids.
    assert found.recall >= recall - (0.03 if "int" in dtype else 0.02)


def test_less_memory_gives_smaller_codes():
    sizes = [ak.recommend(n=10**6, dim=768, memory=memory, recall=0.9).memory for memory in (None, "700MB", "600MB")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    assert sizes[1] <= 700e6
    assert sizes[2] <= 600e6


def test_what_does_not_fit_is_said_with_figures():
    with pytest.raises(
        ValueError, match=r"recall of 0.95 fits 100 MB: the least is IVF4096,.*MB; .*with a recall of 0"
    ):
        ak.recommend(n=10**6, dim=768, memory="100MB")
    with pytest.raises(ValueError, match=r"within the memory is IVF4096,RaBitQ2"):
        ak.recommend(n=10**6, dim=768, memory="300MB")
    with pytest.raises(ValueError, match="bits take"):
        ak.recommend(n=10**6, dim=64, memory="1MB", metric="hamming")


def test_few_rows_and_bits_are_kept_as_they_are():
    assert ak.recommend(n=1000, dim=64).factory == "Flat"
    assert ak.recommend(n=10**6, dim=64, recall=1.0).factory == "Flat"
    assert ak.recommend(n=10**6, dim=64, metric="hamming")[:2] == ("BFlat", 8 * 10**6)


def test_recommend_refuses_what_makes_no_sense():
    for wrong in ({"n": 0}, {"dim": 0}, {"recall": 0}, {"recall": 2}, {"memory": 0}, {"memory": "8 apples"}):
        with pytest.raises(ValueError, match="expected"):
            ak.recommend(**{"n": 100, "dim": 8, **wrong})
    with pytest.raises(ValueError, match="dtype"):
        ak.recommend(n=1, dim=1, dtype="complex64")
    with pytest.raises(TypeError, match="memory"):
        ak.recommend(n=1, dim=1, memory=True)
