"""What every index does when it is fitted, grows and shrinks, and when that fails."""

from __future__ import annotations

import numpy as np
import pytest
from indexes import (
    DIM,
    IDS,
    INDEXES,
    LEARNING,
    LISTS,
    TRANSFORMS,
    N,
    Q,
    X,
    behind,
    everything,
    fitted,
    flat,
    full,
    sure,
)
from truth import assert_same

import annkit as ak

# Small data keeps these tests fast; the warning has tests of its own in test_index_rows.py.
pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("name", INDEXES)
def test_adding_in_parts_is_adding_at_once(name, metric):
    parts = fitted(name, metric)
    for first, last in ((0, 1), (1, 30), (30, 31), (31, 700), (700, 700), (700, N)):
        parts.add(X[first:last], ids=IDS[first:last])
    whole = full(name, metric)
    assert_same(parts.search(Q, k=20, **sure(name)), whole.search(Q, k=20, **sure(name)))
    np.testing.assert_array_equal(np.sort(parts.ids), np.sort(whole.ids))


@pytest.mark.parametrize("name", INDEXES)
def test_default_ids_count_on(name):
    index = fitted(name).add(X[:100]).add(X[100:200])
    assert sorted(index.ids) == list(range(200))
    index.add(X[200:201], ids=[1000]).add(X[201:203])
    assert sorted(index.ids)[-3:] == [1000, 1001, 1002]
    again = fitted(name).add(X[:203], ids=[*range(200), 1000, 1001, 1002])
    assert_same(index.search(Q, k=5, **sure(name)), again.search(Q, k=5, **sure(name)))


@pytest.mark.parametrize("name", INDEXES)
def test_removed_rows_are_gone(rng, name):
    index, left = full(name), IDS
    for gone in (IDS[:1], IDS[200:350], [], IDS[700:1400], IDS[[1400, 1400]]):
        index.remove(gone)
        left = left[~np.isin(left, gone)]
        assert len(index) == len(left)
        if "refine" not in name:
            rows = X[[int(np.flatnonzero(one == IDS)[0]) for one in left]]
            again = fitted(name).add(rows, ids=left)
            assert_same(index.search(Q, k=8, **sure(name)), again.search(Q, k=8, **sure(name)))
    np.testing.assert_array_equal(np.sort(index.ids), np.sort(left))
    before = index.search(Q, k=8, **sure(name))
    with pytest.raises(KeyError, match=f"id {IDS[0]} is not"):
        index.remove([left[0], IDS[0]])
    assert_same(index.compact().search(Q, k=8, **sure(name)), before)
    index.add(X[:1], ids=IDS[:1])
    assert IDS[0] in index.search(X[0], k=3, **everything(name)).ids
    index.remove(index.ids)
    assert len(index) == 0
    assert (index.search(Q, k=3).ids == -1).all()
    assert index.range_search(Q, 1e9).ids.size == 0


@pytest.mark.parametrize("name", INDEXES)
def test_replace_puts_new_rows_in_place_of_old_ones(name):
    index = full(name)
    index.add(-X[:40], ids=np.concatenate([IDS[100:130], 4 * N + np.arange(10)]), replace=True)
    rows = np.concatenate([X[:100], X[130:], -X[:40]])
    ids = np.concatenate([IDS[:100], IDS[130:], IDS[100:130], 4 * N + np.arange(10)])
    assert len(index) == N + 10
    again = fitted(name).add(rows, ids=ids)
    assert_same(index.search(-Q, k=9, **sure(name)), again.search(-Q, k=9, **sure(name)))
    data = index.to_bytes()
    with pytest.raises(ValueError, match=r"already.*replace=True"):
        index.add(X[:2], ids=[5 * N, IDS[7]])
    assert index.to_bytes() == data


RESERVING = [name for name in INDEXES if "ivf" not in name and "lsh" not in name]


def room(index):
    """Return the bytes of each part but the ids, whose reverse map is made when it is needed."""
    return {part: n for part, n in index.memory().items() if "ids" not in part}


def assert_room_is(index, expected):
    # A layer of a graph takes its room with its first node; those above the base are small.
    for part, n in room(index).items():
        assert expected[part] <= n <= (1.1 if part == "links" else 1) * expected[part]


@pytest.mark.parametrize("when", ["at first", "later"])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("name", RESERVING)
def test_adding_within_the_reserve_takes_no_more_memory(name, given, when):
    index, plain = fitted(name), fitted(name)
    if when == "at first":
        assert index.reserve(N) is index
    before = None
    for first, last in ((0, 100), (100, 101), (101, 700), (700, N)):
        ids = IDS[first:last] if given else None
        index.add(X[first:last], ids=ids)
        plain.add(X[first:last], ids=ids)
        if when == "later" and before is None:
            index.reserve(N)
        before = before or room(index)
        assert_room_is(index, before)
    for part, n in room(plain).items():
        assert n <= before[part] * 1.1
    assert room(index.reserve(7)) == room(index)
    assert index.to_bytes() == plain.to_bytes()
    assert_same(index.search(Q, k=10, **sure(name)), plain.search(Q, k=10, **sure(name)))


@pytest.mark.parametrize("name", RESERVING)
def test_the_reserve_outlasts_failures_and_removals(name):
    index = fitted(name).add(X[:100], ids=IDS[:100]).reserve(2 * N)
    before, bad = room(index), X.copy()
    bad[N - 1, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        index.add(bad)
    assert room(index) == before
    index.add(X[100:], ids=IDS[100:]).remove(IDS[50:])
    assert_room_is(index.compact(), before)
    assert_room_is(index.add(X[50:], ids=IDS[50:]), before)
    assert len(index) == N


@pytest.mark.parametrize("name", INDEXES)
def test_counts_that_cannot_be_reserved_are_errors(name):
    index = full(name)
    before, memory = index.to_bytes(), index.memory()
    for bad in (0, -1, 2**31, 10**30):
        with pytest.raises(ValueError, match="rows is"):
            index.reserve(bad)
    for bad in (1.5, "3", None):
        with pytest.raises(TypeError, match="rows is"):
            index.reserve(bad)
    if name not in RESERVING:
        with pytest.raises(ValueError, match="cannot reserve"):
            index.reserve(2 * N)
    assert index.to_bytes() == before
    assert index.memory() == memory


@pytest.mark.parametrize("name", LEARNING)
def test_before_fit_nothing_goes(name):
    index = INDEXES[name]("l2")
    assert not index.is_fitted
    for call in (lambda: index.add(X), lambda: index.search(Q), lambda: index.range_search(Q, 1.0)):
        with pytest.raises(ak.NotFittedError, match=r"fit\(x\) first"):
            call()
    assert len(index) == 0
    again = ak.Index.from_bytes(index.to_bytes())
    assert not again.is_fitted
    assert repr(again) == repr(index)
    assert_same(again.fit(X).add(X, ids=IDS).search(Q), full(name).search(Q))


@pytest.mark.parametrize("name", LEARNING)
def test_fit_wants_an_empty_index(name):
    index = full(name)
    before = index.to_bytes()
    with pytest.raises(ValueError, match=rf"holds {N} rows.*empty"):
        index.fit(X)
    assert index.to_bytes() == before
    wider = np.concatenate([X, X], axis=1)
    other = fitted(name).fit(wider)  # an empty one may be fitted again, to another dimension
    again = INDEXES[name]("l2").fit(wider)
    assert other.dim == again.dim == 2 * DIM
    assert other.add(wider).to_bytes() == again.add(wider).to_bytes()


BAD = {
    "dimension": (X[:, :5], ValueError, r"dim(ension)? (is )?5.*16"),
    "int64": (X.astype(np.int64), TypeError, "int64"),
    "no columns": (X[:, :0], ValueError, "at least one column"),
    "three dimensions": (X[None], ValueError, "3 dimensions"),
    "None": (None, TypeError, "expected"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_bad_rows_are_errors_and_change_nothing(name):
    index = full(name)
    before, found = index.to_bytes(), index.search(Q, k=5)
    cases = dict(BAD)
    for value, what in ((np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite"), (3e19, "norm|lies|far")):
        for row in (0, 37):
            bad = Q.copy()
            bad[row, 4] = value
            cases[f"{value} in row {row}"] = (bad, ValueError, rf"({what}).*\b{row}\b|\b{row}\b.*({what})")
    for rows, error, message in cases.values():
        with pytest.raises(error, match=message):
            index.add(rows)
        with pytest.raises(error):
            index.search(rows)
        with pytest.raises(error):
            index.range_search(rows, 1.0)
    for ids, error in (([1, 1], ValueError), ([1], ValueError), ([-1, 10**9], ValueError), ([0.5, 2], TypeError)):
        with pytest.raises(error):
            index.add(X[:2], ids=ids)
    assert index.to_bytes() == before
    assert_same(index.search(Q, k=5), found)
    index.add(X[:1])
    assert len(index) == N + 1


@pytest.mark.parametrize("name", LEARNING)
def test_bad_rows_in_fit_are_errors_and_change_nothing(name):
    index = INDEXES[name]("l2")
    for ready in (False, True):
        before = index.to_bytes()
        for value in (np.nan, np.inf):
            bad = X.copy()
            bad[N // 3, 2] = value
            with pytest.raises(ValueError, match=r"NaN|infinite"):
                index.fit(bad)
        with pytest.raises(TypeError, match="int64"):
            index.fit(X.astype(np.int64))
        assert index.to_bytes() == before
        assert index.is_fitted == ready
        index.fit(X)


@pytest.mark.parametrize(
    "index",
    [
        ak.Refine(ak.IVF(lists=LISTS), codec=ak.PQ(5)),  # 5 does not divide 16
        ak.Refine(ak.Flat(codec=ak.PQ(5)), codec=ak.SQ(8)),
        ak.Refine(ak.Refine(ak.Flat(codec=ak.SQ(4)), codec=ak.PQ(5)), codec=ak.SQ(8)),
        ak.Pipeline(ak.PCA(8), ak.Refine(ak.Flat(codec=ak.SQ(4)), codec=ak.PQ(5))),
    ],
    ids=repr,
)
def test_a_fit_of_which_one_part_fails_changes_no_other(index):
    before = index.to_bytes()
    with pytest.raises(ValueError, match="m = 5"):
        index.fit(X)
    assert index.to_bytes() == before


@pytest.mark.parametrize(
    "name", ["flat f16", "ivf f16", "ivf rabitq1", "pca flat", "pca ivf sq8", "refine ivf rabitq1"]
)
def test_a_bad_row_among_many_is_named(name):
    make = flat("f16") if name == "flat f16" else INDEXES[name]
    index = make("l2").fit(X)
    x = X.copy()
    for row in (0, 255, 256, 257, 1023, N - 1):
        for value in (np.nan, 1e19):
            x[row, 3] = value
            with pytest.raises(ValueError, match=rf"row {row}\b"):
                index.add(x, threads=2)
        x[row] = X[row]
    assert len(index.add(x)) == N


@pytest.mark.parametrize("filled", [True, False])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("inner", ["flat f32", "flat pq4", "ivf pq4", "ivf sq8 residual", "refine ivf pq4", "pca flat"])
def test_many_rows_of_which_a_late_one_is_bad_leave_a_pipeline_as_it_was(inner, given, filled):
    base = flat("f32") if inner == "flat f32" else INDEXES[inner]
    index = behind(base, TRANSFORMS["rotation"])("l2").fit(X)
    if filled:
        index.add(X).remove([7, N - 1])
    before, found = index.to_bytes(), index.search(Q, k=5)
    many = np.tile(X, (180, 1))
    many[-1, 3] = np.nan
    ids = np.arange(len(many)) + 2 * N if given else None
    with pytest.raises(ValueError, match=rf"row {len(many) - 1}\b"):
        index.add(many, ids=ids)
    assert index.to_bytes() == before
    assert_same(index.search(Q, k=5), found)
    first = N if filled else 0
    assert index.add(X[:2]).ids[-2:].tolist() == [first, first + 1]


@pytest.mark.parametrize("name", ["flat sq8", "ivf f32", "hnsw f32", "pca flat"])
def test_bytes_do_not_tell_that_an_id_was_there_before(name):
    index = fitted(name).add(X[:3])
    index.remove([0, 1, 2])
    index.compact()
    index.add(X[:2], ids=[0, 1])
    assert ak.Index.from_bytes(index.to_bytes()).to_bytes() == index.to_bytes()
    assert index.add(X[:1]).search(X[0], k=3).ids.max() == 3
