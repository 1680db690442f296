"""The settings that tune finds, and what recommend advises."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest

import annkit as ak
from annkit._estimate import read
from annkit._recommend import advise, spec_of

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
    "spec",
    [
        *["Flat", "SQ4,RFlat", "IVF64,SQ8", "IVF64,PQ16x4fs,RFlat", "PCA16,IVF64,SQ8,Refine(SQ8)"],
        *["HNSW8", "HNSW8,SQ8,Refine(SQfp16)", "IVF64_HNSW8,SQ8"],
    ],
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
    assert len(curve) >= 2
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
    ak.tune(index, queries, truth, within=10)
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


@pytest.fixture(scope="module")
def codes(data):
    base, queries, _ = data
    planes = np.random.default_rng(4).standard_normal((32, 64))
    base, queries = (np.packbits(rows @ planes > 0, axis=1) for rows in (base, queries))
    return base, queries, ak.Flat(codec=ak.Bits(), metric="hamming").add(base).search(queries, 10).ids


@pytest.mark.parametrize("spec", ["BFlat", "BIVF64", "BHNSW8", "BMIH"])
def test_codes_as_near_as_the_last_true_one_are_found(codes, spec):
    base, queries, truth = codes
    index = ak.index(spec).fit(base).add(base)
    found = ak.tune(index, queries, truth, 0.95, within=10)
    assert found.reached
    bits = np.unpackbits(base[None] ^ queries[:, None], axis=2).sum(axis=2, dtype=int)
    kth = np.sort(bits, axis=1)[:, 9:10]
    near = np.take_along_axis(bits, index.search(queries, 10, **found.settings).ids, axis=1) <= kth
    assert found.recall == pytest.approx(near.mean())


def test_what_a_graph_re_scores_lies_within_its_candidates(data):
    base, queries, truth = data
    index = ak.index("HNSW8,SQ4,Refine(SQ8)").fit(base).add(base)
    curve = ak.tune(index, queries, truth, 0.99, within=2).curve
    by_ef = [one.settings for one in curve if "ef" in one.settings]
    assert all(one["ef"] >= 10 * one["k_factor"] for one in by_ef)


@pytest.mark.parametrize(("metric", "tried"), [("l2", True), ("cosine", True), ("ip", False)])
def test_graphs_are_tuned_by_distance_where_there_is_one(data, metric, tried, monkeypatch):
    base, queries, _ = data
    index = ak.HNSW(degree=16, metric=metric).add(base)
    truth = ak.Flat(metric=metric).add(base).search(queries, 10).ids
    asked, search = [], ak.HNSW.search
    monkeypatch.setattr(
        ak.HNSW, "search", lambda self, *a, **keywords: asked.append(keywords) or search(self, *a, **keywords)
    )
    found = ak.tune(index, queries, truth, 0.9, within=2)
    monkeypatch.undo()
    assert any("gamma" in keywords for keywords in asked) == tried
    assert ak.metrics.recall(index.search(queries, 10, **found.settings).ids, truth) >= 0.9


@pytest.mark.parametrize("spec", ["IVF64,Flat", "IVF64_HNSW8,SQ8,RFlat"])
@pytest.mark.parametrize("recall", [0.9, 0.99])
def test_lists_are_tuned_for_inner_products(data, spec, recall):
    base, queries, _ = data
    index = ak.index(spec, metric="ip").fit(base).add(base)
    truth = ak.Flat(metric="ip").add(base).search(queries, 10).ids
    found = ak.tune(index, queries, truth, recall, within=2)
    assert found.reached
    assert ak.metrics.recall(index.search(queries, 10, **found.settings).ids, truth) >= recall


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize("memory", [None, 1_800_000, "700 kB"])
@pytest.mark.parametrize("recall", [0.8, 0.95, 0.99, 1.0])
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
    found = ak.tune(index, queries, truth, recall, within=10)
    # The table's recalls are of other data; ties of integers change ids.
    assert found.recall >= recall - (0.03 if "int" in dtype else 0.01)


@pytest.mark.parametrize(("dtype", "word"), [("uint8", "SQ8_direct"), ("int8", "SQ8_direct_signed")])
@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_bytes_are_advised_as_they_are_where_codes_of_8_bits_would_take_as_much(rng, dtype, word, metric):
    advised = set()
    for n, dim, recall, memory in itertools.product(
        (8000, 10**6), (128, 768), (0.8, 0.9, 0.95, 0.99), (None, "900MB", "800MB", "200MB", "150MB", "7MB")
    ):
        try:
            found = ak.recommend(n=n, dim=dim, recall=recall, dtype=dtype, metric=metric, memory=memory)
        except ValueError:
            continue
        assert memory is None or found.memory <= float(memory[:-2]) * 1e6
        *transforms, _, last = ["", *found.factory.split(",")]
        if last.startswith("Refine"):
            assert (transforms[1][:3], last) == ("PCA", f"Refine({word})")
        elif not transforms or transforms == [""]:
            assert last == word or last.startswith(("RaBitQ", "PQ"))
        if n == 8000:
            advised.add((dim, found.factory, found.memory))
    assert any("IVF" in spec and spec.endswith(word) for _, spec, _ in advised)
    for dim, spec, memory in advised:
        x = rng.integers(0, 127, (8000, dim)).astype(dtype)
        assert memory == pytest.approx(ak.index(spec, metric=metric).fit(x).add(x).nbytes, rel=0.05)


@pytest.mark.parametrize("mode", ["batch", "single"])
@pytest.mark.parametrize("memory", [None, "120 kB"])
@pytest.mark.parametrize("recall", [0.9, 0.99, 1.0])
def test_advice_on_codes_fits_and_reaches_the_recall(codes, mode, memory, recall):
    base, queries, truth = codes
    advice = ak.recommend(n=8000, dim=64, memory=memory, recall=recall, dtype="bits", mode=mode)
    index = ak.index(advice.factory, 64).fit(base).add(base)
    assert advice.memory == pytest.approx(index.nbytes, rel=0.05)
    assert memory is None or advice.memory <= 120_000
    assert ak.tune(index, queries, truth, recall, within=10).reached


@pytest.mark.parametrize("dim", [25, 200, 700])
def test_advice_reaches_the_recall_on_rows_it_was_not_tuned_with(dim):
    rng = np.random.default_rng(dim)
    directions = rng.standard_normal((24, dim))
    centers = rng.standard_normal((40, 24)) * 1.5
    rows = centers[rng.integers(40, size=6500)] + rng.standard_normal((6500, 24))
    rows = (rows @ directions + 0.5 * rng.standard_normal((6500, dim))).astype(np.float32)
    base, seen, unseen = rows[:6000], rows[6000:6250], rows[6250:]
    exact = ak.Flat().add(base)
    for mode in ("batch", "single"):
        advice = ak.recommend(n=6000, dim=dim, recall=0.95, mode=mode)
        index = ak.index(advice.factory, dim).fit(base).add(base)
        tuned = ak.tune(index, seen, exact.search(seen, 10).ids, 0.95, within=10)
        assert tuned.reached
        found = index.search(unseen, 10, **tuned.settings).ids
        assert ak.metrics.recall(found, exact.search(unseen, 10).ids) >= 0.93  # of 250 queries


def test_less_memory_gives_smaller_codes():
    sizes = [ak.recommend(n=10**6, dim=768, memory=memory, recall=0.9).memory for memory in (None, "1GB", "600MB")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    assert sizes[1] <= 1e9
    assert sizes[2] <= 600e6


def test_what_does_not_fit_is_said_with_figures():
    with pytest.raises(
        ValueError, match=r"recall of 0.95 fits 100 MB: the least is IVF4096,.*MB; .*with a recall of 0"
    ):
        ak.recommend(n=10**6, dim=768, memory="100MB")
    with pytest.raises(ValueError, match=r"within the memory is IVF4096,RaBitQ2"):
        ak.recommend(n=10**6, dim=768, memory="300MB")
    with pytest.raises(ValueError, match="the least is BFlat, 8 MB"):
        ak.recommend(n=10**6, dim=64, memory="1MB", metric="hamming")


MEASURED = """
made 128 100000
 Flat 1.0000 0.05 | 50 50 50 50 | 500 500 500 500
 HNSW16 0.9990 90 | 4 5 6 9 | 5 6 7 9
 IVF{lists},SQ8 0.9510 3 | 3 4 5 - | 6 8 10 -
"""


def test_what_hardly_reaches_the_recall_is_for_memory_that_leaves_no_choice():
    rows = {"n": 100_000, "dim": 128, "dtype": "float32", "metric": "l2", "mode": "batch"}
    ample = advise(read(MEASURED), limit=math.inf, recall=0.95, **rows)
    assert ample.factory == "HNSW16"
    assert "may miss" not in ample.reason
    tight = advise(read(MEASURED), limit=20_000_000, recall=0.95, **rows)
    assert tight.factory == "IVF1024,SQ8"
    assert "may miss that recall" in tight.reason
    with pytest.raises(ValueError, match=r"with a recall of 0\.95"):
        advise(read(MEASURED), limit=20_000_000, recall=0.96, **rows)


@pytest.mark.parametrize(("dim", "narrow"), [(127, None), (128, 64), (192, 64), (256, 64), (768, 192)])
def test_pca_keeps_64_dimensions_or_a_quarter(dim, narrow):
    expected = None if narrow is None else f"PCA{narrow},IVF1024,SQ8"
    assert spec_of("PCA{narrow},IVF{lists},SQ8", 60_000, dim) == expected
    graph = None if dim < 256 else f"PCA{narrow},HNSW16,SQ8"
    assert spec_of("PCA{narrow},HNSW16,SQ8", 60_000, dim) == graph


def test_few_rows_and_bits_are_kept_as_they_are():
    assert ak.recommend(n=1000, dim=64).factory == "Flat"
    assert ak.recommend(n=10**6, dim=64, recall=1.0).factory == "Flat"
    assert ak.recommend(n=1000, dim=64, metric="hamming")[:2] == ("BFlat", 8000)
    assert ak.recommend(n=10**6, dim=64, dtype="bits", memory="10MB", recall=1)[:2] == ("BFlat", 8 * 10**6)


def test_reason_tells_speed_building_and_what_is_extrapolated():
    advice = ak.recommend(n=10**8, dim=128, recall=0.9)
    assert "queries a second in batches at a recall of 0.9" in advice.reason
    assert "is built in about" in advice.reason
    assert "extrapolated" in advice.reason
    assert "one a call" in ak.recommend(n=50_000, dim=128, mode="single").reason
    assert "extrapolated" not in ak.recommend(n=50_000, dim=128).reason


def test_many_lists_are_found_by_a_graph_and_ip_has_no_pca():
    advice = ak.recommend(n=4 * 10**7, dim=256, memory="12GB", recall=0.9)
    assert "_HNSW32," in advice.factory
    for recall, memory in itertools.product((0.8, 0.9, 0.95, 0.99), (None, "500MB", "300MB")):
        assert "PCA" not in ak.recommend(n=200_000, dim=384, recall=recall, memory=memory, metric="ip").factory


def test_recommend_refuses_what_makes_no_sense():
    wrong_ones = [{"n": 0}, {"dim": 0}, {"recall": 0}, {"recall": 2}, {"memory": 0}, {"memory": "8 apples"}]
    wrong_ones += [
        {"mode": "all"},
        {"metric": "manhattan"},
        {"dim": 12, "dtype": "bits"},
        {"dim": 12, "metric": "hamming"},
    ]
    for wrong in wrong_ones:
        with pytest.raises(ValueError, match="expected"):
            ak.recommend(**{"n": 100, "dim": 8, **wrong})
    for beyond in ({"n": 2**32 - 1}, {"dim": 2**24 + 1}):
        with pytest.raises(ValueError, match="4294967294 rows of 16777216 dim"):
            ak.recommend(**{"n": 100, "dim": 8, **beyond})
    assert "PCA" not in ak.recommend(n=10**6, dim=70_000).factory  # which takes 65,536 dimensions
    assert "Q8" in ak.recommend(n=2**31 - 2, dim=8).factory
    assert not ak.recommend(n=2**31 - 1, dim=8).factory.startswith("HNSW")  # which takes fewer rows than that
    with pytest.raises(ValueError, match="dtype"):
        ak.recommend(n=1, dim=1, dtype="complex64")
    for wrong in ({"n": 1.5}, {"dim": "8"}):
        with pytest.raises(TypeError, match="expected an integer"):
            ak.recommend(**{"n": 100, "dim": 8, **wrong})
    for wrong in (True, [1], b"8GB", 1j):
        with pytest.raises(TypeError, match="memory is"):
            ak.recommend(n=1, dim=1, memory=wrong)
    with pytest.raises(TypeError, match=r"recall is '0.9', expected a number"):
        ak.recommend(n=1, dim=1, recall="0.9")
    with pytest.raises(ValueError, match=r"recall is 1\.2, expected"):
        ak.recommend(n=1, dim=1, recall=np.float32(1.2))
    with pytest.raises(ValueError, match="memory is nan"):
        ak.recommend(n=1, dim=1, memory=np.nan)


def test_recommend_takes_numbers_of_numpy():
    expected = ak.recommend(n=10**6, dim=128, memory=200_000_000, recall=0.9)
    for kind in (np.int64, np.float64, float, np.uint32):
        found = ak.recommend(n=np.int32(10**6), dim=np.uint8(128), memory=kind(2e8), recall=np.float64(0.9))
        assert found == expected
    assert ak.recommend(n=1000, dim=8, memory=np.inf) == ak.recommend(n=1000, dim=8)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ({"metric": "euclid"}, "euclidean"),
        ({"metric": "cosin"}, "cosine"),
        ({"dtype": "float"}, "float"),
        ({"dtype": "unit8"}, "uint8"),
        ({"mode": "batched"}, "batch"),
    ],
)
def test_recommend_says_what_may_be_meant(arguments, meant):
    with pytest.raises(ValueError, match=f'did you mean "{meant}'):
        ak.recommend(n=1000, dim=8, **arguments)


@pytest.mark.parametrize("n", [5001, 9983, 9984, 19_967, 19_968, 39_935, 1_000_000])
def test_lists_that_are_advised_have_rows_enough_to_train_them(n):
    assert n // int(str(spec_of("IVF{lists},SQ8", n, 64)).split(",")[0][3:]) >= 39
