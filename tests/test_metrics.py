"""Metrics agree with scikit-learn's, with ranx's where it is installed, and with loops that follow the definitions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

import annkit as ak
from annkit import metrics


def ranking(rng, queries=20, n=40, levels=2):
    """Return relevance in rank order, and the same as scikit-learn takes it: scores that fall."""
    relevant = rng.integers(0, levels, (queries, n))
    return relevant, -np.arange(n, dtype=float)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_recall_is_the_share_of_the_true_ids_that_is_found(seed, k):
    rng = np.random.default_rng(seed)
    truth = np.stack([rng.permutation(30)[:9] for _ in range(6)])
    ids = rng.integers(-1, 30, (6, 7))
    wanted = [len(set(ids[i, :k]) & set(truth[i, :k])) / k for i in range(6)]
    np.testing.assert_allclose(metrics.recall(ids, truth, k, per_query=True), wanted)
    assert metrics.recall(ids, truth, k) == pytest.approx(np.mean(wanted))


def test_padding_and_repeats_are_no_hits():
    assert metrics.recall([[1, 1, -1]], [[1, 2, 3]]) == pytest.approx(1 / 3)
    assert metrics.recall([[-1, 5]], [[5, -1]]) == 1  # what is padding in the truth need not be found
    assert metrics.recall([[-1, -1]], [[-1, 4]]) == 0
    found = metrics.recall([[1], [2]], [[1], [-1]], per_query=True)
    assert found[0] == 1
    assert np.isnan(found[1])
    assert metrics.recall([[1], [2]], [[1], [-1]]) == 1


def test_recall_by_distance_does_not_mind_which_of_equal_rows_came():
    rng = np.random.default_rng(0)
    base, queries = rng.integers(0, 3, (200, 4)).astype(np.float32), rng.integers(0, 3, (10, 4)).astype(np.float32)
    truth = ak.Flat().add(base).search(queries, 10)
    shuffled = 1999 - ak.Flat().add(base, ids=1999 - np.arange(200)).search(queries, 10).ids  # ties go by id
    assert metrics.recall(shuffled, truth.ids) < 1
    exact = ((base[shuffled] - queries[:, None]) ** 2).sum(axis=2)
    assert metrics.recall_by_distance(exact, truth.distances) == 1
    assert metrics.recall_by_distance(exact, truth.distances[:, -1], k=10, ids=shuffled) == 1


def test_recall_by_distance_counts_a_row_once_and_turns_round_for_inner_products():
    assert metrics.recall_by_distance([[1, 1, 2]], [[1, 2, 3]], ids=[[4, 4, 5]]) == pytest.approx(2 / 3)
    assert metrics.recall_by_distance([[1, np.inf, np.inf]], [[1, 2, 3]]) == pytest.approx(1 / 3)
    assert metrics.recall_by_distance([[9, 7]], [[9, 8]], largest=True) == 0.5
    assert metrics.recall_by_distance([[9, -np.inf]], [[9, -np.inf]], largest=True) == 1
    assert metrics.recall_by_distance([[1 + 1e-9]], [[1]]) == 1
    assert metrics.recall_by_distance([[1 + 1e-9]], [[1]], tolerance=0) == 0
    with pytest.raises(ValueError, match="k has to be given"):
        metrics.recall_by_distance([[1]], [1])


def test_average_precision_is_scikit_learns(rng):
    relevant, scores = ranking(rng)
    wanted = [sk.average_precision_score(row, scores) for row in relevant]
    np.testing.assert_allclose(metrics.average_precision(relevant, per_query=True), wanted)
    assert metrics.average_precision(relevant > 0) == pytest.approx(np.mean(wanted))


def test_average_precision_of_the_first_divides_by_all_that_is_relevant(rng):
    relevant, _ = ranking(rng, queries=5, n=12)
    for i, row in enumerate(relevant):
        at = [row[: j + 1].mean() for j in range(5) if row[j]]
        total = row.sum() + 2
        got = metrics.average_precision(relevant, 5, total=relevant.sum(axis=1) + 2, per_query=True)[i]
        assert got == pytest.approx(sum(at) / total)
    assert metrics.average_precision([[0, 0]]) == 0
    with pytest.raises(ValueError, match="total has 1"):
        metrics.average_precision([[1, 1]], total=1)


@pytest.mark.parametrize("k", [None, 1, 7, 100])
def test_ndcg_is_scikit_learns(rng, k):
    gains, scores = ranking(rng, levels=5)
    wanted = sk.ndcg_score(gains, np.tile(scores, (len(gains), 1)), k=k)
    assert metrics.ndcg(gains, k) == pytest.approx(wanted)


def test_ndcg_measures_beside_all_there_is_to_find():
    assert metrics.ndcg([[1, 0]], ideal=[[1, 1, 0]]) == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert metrics.ndcg([[0, 0]]) == 0


def test_precision_counts_missing_columns_as_misses():
    assert metrics.precision([[1, 1, 0, 0]], 2) == 1
    assert metrics.precision([[1, 1]], 4) == 0.5
    assert metrics.precision([[True, False], [False, False]]) == 0.25


def test_labels_are_truth():
    labels, query_labels = np.array([3, 5, 3, 9]), np.array([3, 9])
    got = metrics.label_relevance([[0, 1, 2], [3, -1, 0]], labels, query_labels)
    np.testing.assert_array_equal(got, [[True, False, True], [True, False, False]])
    with pytest.raises(ValueError, match="ids reach 4, there are 4"):
        metrics.label_relevance([[4]], labels, [3])


def test_precision_within_a_radius_follows_its_definition(rng):
    distances, relevant = rng.integers(0, 9, (15, 30)), rng.random((15, 30)) < 0.3
    wanted = [relevant[i][row <= 1].mean() if (row <= 1).any() else 0.0 for i, row in enumerate(distances)]
    np.testing.assert_allclose(metrics.precision_within(distances, relevant, 1, per_query=True), wanted)
    assert metrics.precision_within([[5, 6]], [[True, True]], 2) == 0


@given(st.integers(0, 2**32 - 1))
def test_detection_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    truth = np.r_[True, False, rng.random(50) < 0.4]
    predicted = truth ^ (rng.random(52) < 0.3)
    scores = rng.integers(0, 9, 52) + 3 * truth  # with ties
    assert metrics.f1(predicted, truth) == pytest.approx(sk.f1_score(truth, predicted, zero_division=0))
    sides = sk.recall_score(truth, predicted), sk.recall_score(~truth, ~predicted)
    assert metrics.gmean(predicted, truth) == pytest.approx(np.sqrt(np.prod(sides)))
    assert metrics.auc(scores, truth) == pytest.approx(sk.roc_auc_score(truth, scores))


def test_one_class_alone_has_no_auc():
    assert np.isnan(metrics.auc([1, 2], [True, True]))
    assert np.isnan(metrics.gmean([True], [False]))
    assert metrics.f1([False], [False]) == 0


def test_rankings_are_ranxs(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ranx = pytest.importorskip("ranx")
        relevant = rng.random((12, 25)) < 0.3
        relevant[:, -1] = True
        names = [f"d{j:02}" for j in range(25)]
        qrels = ranx.Qrels({f"q{i}": {names[j]: 1 for j in np.flatnonzero(row)} for i, row in enumerate(relevant)})
        run = ranx.Run({f"q{i}": {name: 25.0 - j for j, name in enumerate(names)} for i in range(12)})
        found = ranx.evaluate(qrels, run, ["map", "map@10", "precision@10", "ndcg@10", "recall@10"])
    ids = np.tile(np.arange(25), (12, 1))
    truth = np.where(relevant, ids, -1)
    own = {
        "map": metrics.average_precision(relevant),
        "map@10": metrics.average_precision(relevant, 10),
        "precision@10": metrics.precision(relevant, 10),
        "ndcg@10": metrics.ndcg(relevant, 10),
        "recall@10": metrics.recall(ids[:, :10], truth),
    }
    assert own == pytest.approx(found)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.recall([1, 2], [[1, 2]]), ValueError, r"ids have shape \(2,\), expected \(nq, k\)"),
        (lambda: metrics.recall([[1.5]], [[1]]), TypeError, "ids have dtype float64"),
        (lambda: metrics.recall([[1], [2]], [[1]]), ValueError, "ids are of 2 queries, truth of 1"),
        (lambda: metrics.recall([[1]], [[1]], 2), ValueError, "k is 2, truth has 1 columns"),
        (lambda: metrics.recall([[1]], [[1]], 0), ValueError, "k is 0"),
        (lambda: metrics.ndcg([[-1.0]]), ValueError, "negative"),
        (lambda: metrics.ndcg([[np.nan]]), ValueError, "NaN"),
        (lambda: metrics.precision([["a"]]), TypeError, "dtype <U1"),
        (lambda: metrics.auc([1, np.nan], [True, False]), ValueError, "NaN"),
        (lambda: metrics.f1([True], [True, False]), ValueError, r"predicted has shape \(1,\), truth \(2,\)"),
        (lambda: metrics.precision_within([[1]], [[1, 0]], 2), ValueError, "distances have shape"),
    ],
)
def test_errors_name_what_came(call, error, message):
    with pytest.raises(error, match=message):
        call()
