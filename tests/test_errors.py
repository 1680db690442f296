"""Bad input is a typed error that says what came and what was expected, and changes nothing."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import annkit as ak

HUGE = 2**31
ROWS = np.random.default_rng(1).integers(0, 9, (60, 6)).astype(np.float32)


def flat():
    return ak.Flat().add(ROWS[:40]).remove([3, 4])


def with_value(value, row=2, column=4, dtype=np.float32):
    """Return rows of which one value is bad."""
    x = ROWS[:5].astype(dtype)
    x[row, column] = value
    return x


def mask(n):
    return np.ones(n, bool)


BAD_ROWS = {
    "dimension": (ROWS[:, :5], ValueError, r"dimension 5.*6"),
    "NaN": (with_value(np.nan), ValueError, r"NaN.*row 2, column 4.*finite"),
    "infinity": (with_value(-np.inf), ValueError, r"infinite.*row 2, column 4.*finite"),
    "NaN in float16": (with_value(np.nan, dtype=np.float16), ValueError, r"row 2, column 4"),
    "beyond float32": (with_value(1e300, dtype=np.float64), ValueError, r"row 2, column 4"),
    "norm beyond float32": (with_value(3e19), ValueError, r"row 2.*squared norm.*quarter"),
    "int64": (ROWS.astype(np.int64), TypeError, r"int64.*expected float32"),
    "bool": (ROWS > 2, TypeError, r"bool.*expected float32"),
    "complex": (ROWS.astype(np.complex64), TypeError, r"complex64.*expected float32"),
    "strings": (np.array([["a"] * 6]), TypeError, r"U1.*expected float32"),
    "objects": (ROWS.astype(object), TypeError, r"object.*expected float32"),
    "three dimensions": (ROWS[None], ValueError, r"3 dimensions.*\(1, 60, 6\).*expected \(n, dim\)"),
    "no dimension": (np.float32(3), ValueError, r"0 dimensions.*expected \(n, dim\)"),
    "no columns": (ROWS[:, :0], ValueError, r"\(60, 0\).*at least one column"),
    "ragged": ([[1.0, 2.0], [3.0]], TypeError, r"list.*expected an array"),
    "None": (None, TypeError, r"expected"),
    "a dict": ({}, TypeError, r"expected"),
}
BAD_IDS = {
    "repeated": ([50, 51, 50, 52, 53], ValueError, r"id 50.*twice.*distinct"),
    "held": ([50, 51, 7, 52, 53], ValueError, r"id 7 .*already.*replace=True"),
    "negative": ([50, -3, 51, 52, 53], ValueError, r"id -3 is negative"),
    "too few": ([50, 51], ValueError, r"2 ids for 5 rows"),
    "floats": ([50.0, 51, 52, 53, 54], TypeError, r"float64.*int64"),
    "beyond int64": (np.arange(5, dtype=np.uint64) + 2**63, ValueError, r"beyond int64"),
    "two dimensions": (np.arange(50, 55)[None], ValueError, r"\(1, 5\).*one dimension"),
}
BAD_COUNTS = {
    "zero": (0, ValueError, r"is 0, expected 1 to"),
    "negative": (-5, ValueError, r"is -5, expected 1 to"),
    "huge": (HUGE, ValueError, r"is 2147483648, expected 1 to 2147483647"),
    "beyond int64": (2**70, ValueError, r"expected 1 to 2147483647"),
    "a float": (2.0, TypeError, r"float.*integer"),
    "a string": ("3", TypeError, r"str.*integer"),
}
BAD_FILTERS = {
    "a short mask": (mask(20), ValueError, r"20 entries.*largest, \d+"),
    "a mask of two dimensions": (mask((2, 40)), ValueError, r"\(2, 40\).*one dimension"),
    "too many": ([mask(40)] * 3, ValueError, r"3 filters for 2 queries"),
    "floats": (np.array([1.0, 2.0]), TypeError, r"float64.*int64"),
    "a string": ("all", TypeError, r"filter"),
}


@pytest.fixture
def unchanged():
    """Return an index; after the test it has to answer as before and take rows as before."""
    index = flat()
    data, found = index.to_bytes(), index.search(ROWS, k=50)
    yield index
    assert index.to_bytes() == data
    again = index.search(ROWS, k=50)
    np.testing.assert_array_equal(again.ids, found.ids)
    np.testing.assert_array_equal(again.distances, found.distances)
    index.add(ROWS[40:42])
    assert index.ids[-2:].tolist() == [40, 41]
    assert index.search(ROWS[41], k=1).distances[0, 0] == 0


@pytest.mark.parametrize("case", BAD_ROWS)
@pytest.mark.parametrize("call", ["add", "search", "range_search"])
def test_rows(unchanged, call, case):
    rows, error, message = BAD_ROWS[case]
    more = (1.0,) if call == "range_search" else ()
    with pytest.raises(error, match=message):
        getattr(unchanged, call)(rows, *more)


@pytest.mark.parametrize("case", ["NaN", "infinity", "norm beyond float32"])
@pytest.mark.parametrize("nq", [1, 40, 3000])
@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_the_row_of_a_batch_is_named(case, nq, metric):
    rows, error, _ = BAD_ROWS[case]
    x = np.concatenate([np.repeat(ROWS[:1], nq - 1, axis=0), rows[2:3]])
    index = ak.Flat(metric=metric).add(ROWS)
    with pytest.raises(error, match=rf"row {nq - 1}\b"):
        index.add(x)
    assert len(index) == len(ROWS)
    with pytest.raises(error):
        index.search(x)


@pytest.mark.parametrize("case", BAD_IDS)
def test_ids(unchanged, case):
    ids, error, message = BAD_IDS[case]
    with pytest.raises(error, match=message):
        unchanged.add(ROWS[:5], ids=ids)


@pytest.mark.parametrize("name", ["k", "threads"])
@pytest.mark.parametrize("case", BAD_COUNTS)
def test_counts(unchanged, name, case):
    count, error, message = BAD_COUNTS[case]
    with pytest.raises(error, match=f"{name} .*{message}"):
        unchanged.search(ROWS[:2], **{name: count})


@pytest.mark.parametrize("case", BAD_FILTERS)
@pytest.mark.parametrize("call", ["search", "range_search"])
def test_filters(unchanged, call, case):
    given, error, message = BAD_FILTERS[case]
    more = (1.0,) if call == "range_search" else ()
    with pytest.raises(error, match=message):
        getattr(unchanged, call)(ROWS[:2], *more, filter=given)


@pytest.mark.parametrize("call", ["remove", "reconstruct"])
@pytest.mark.parametrize("ids", [[0, 99], [0, 3], [-1], [2**62], [5, 4]])
def test_unknown_ids(unchanged, call, ids):
    with pytest.raises(KeyError, match=rf"id {ids[-1]} is not in the index"):
        getattr(unchanged, call)(ids)
    with pytest.raises(TypeError, match=r"float64.*int64"):
        getattr(unchanged, call)([0.5])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metric": "l3"}, ValueError, r'"l3".*expected one of "l2"'),
        ({"metric": "hamming"}, ValueError, r"hamming.*Raw.*expected Bits"),
        ({"metric": 3}, TypeError, ""),
        ({"codec": ak.Bits()}, ValueError, r"l2.*Bits\(\).*expected metric"),
        ({"codec": "f32"}, TypeError, r"'f32'.*expected a codec"),
        ({"scan": "sq4"}, ValueError, r"'sq4'.*expected None or \"sq8\""),
        ({"scan": "sq8", "codec": ak.Raw("u8")}, ValueError, r"float codecs.*Raw\(\"u8\"\)"),
        ({"scan": "sq8", "codec": ak.Bits(), "metric": "hamming"}, ValueError, r"float codecs.*Bits\(\)"),
        ({"nprobe": 3}, TypeError, r""),
    ],
)
def test_constructors(options, error, message):
    with pytest.raises(error) as caught:
        ak.Flat(**options)
    assert caught.match(message) if message else True


def test_codecs_take_what_they_keep():
    with pytest.raises(ValueError, match=r'"f8".*expected one of "f32"'):
        ak.Raw("f8")
    for codec, wrong, came, wanted in (
        (ak.Raw("u8"), np.int8, "int8", "uint8"),
        (ak.Raw("i8"), np.uint8, "uint8", "int8"),
        (ak.Raw("u8"), np.float32, "float32", "uint8"),
    ):
        index = ak.Flat(codec=codec)
        with pytest.raises(TypeError, match=f"{came}.*expects {wanted}"):
            index.add(ROWS.astype(wrong))
        assert (len(index), index.dim) == (0, 0)
    bits = ak.Flat(codec=ak.Bits(), metric="hamming").add(np.zeros((3, 8), np.uint8))
    with pytest.raises(TypeError, match=r"float32.*uint8"):
        bits.search(ROWS)
    with pytest.raises(ValueError, match=r"72.*64"):
        bits.search(np.zeros((1, 9), np.uint8))


@pytest.mark.parametrize(("codec", "most"), [("f16", 65504.0), ("bf16", 3.38e38)])
def test_values_beyond_a_half_are_named(codec, most):
    index = ak.Flat(codec=ak.Raw(codec)).add(ROWS)
    with pytest.raises(ValueError, match=r"row 2"):
        index.add(with_value(most * 1.005))
    assert len(index) == 60
    if codec == "f16":
        index.add(with_value(most))
        assert index.reconstruct([62])[0, 4] == most


def test_a_first_add_that_fails_leaves_the_dimension_open():
    index = ak.Flat()
    with pytest.raises(ValueError, match="NaN"):
        index.add(with_value(np.nan))
    assert (len(index), index.dim) == (0, 0)
    index.add(ROWS[:, :3])
    assert index.dim == 3


@pytest.mark.parametrize("at", [0, 20000])
def test_a_callback_that_raises_stops_the_add(unchanged, at):
    def callback(done, total):
        if done >= at:
            raise ZeroDivisionError("from the callback")

    with pytest.raises(ZeroDivisionError, match="from the callback"):
        unchanged.add(np.zeros((20000, 6), np.float32), progress=callback)
    with pytest.raises(TypeError, match=r"progress is 3, expected True or a callable"):
        unchanged.add(ROWS, progress=3)


def test_other_arguments(unchanged):
    with pytest.raises(ValueError, match="nan"):
        unchanged.range_search(ROWS, float("nan"))
    with pytest.raises(TypeError):
        unchanged.range_search(ROWS, "far")
    with pytest.raises(TypeError):
        unchanged.search(ROWS, ef=10)
    with pytest.raises(ValueError, match="threads"):
        ak.set_threads(0)


WRONG_CALLS = {
    "no query": (lambda index: index.search(), r'search\(\) is missing the argument "queries"'),
    "too many": (lambda index: index.search(ROWS, 3, None), r"search\(\) takes 2 positional arguments, got 3"),
    "twice": (lambda index: index.search(ROWS, 3, k=3), r'search\(\) got the argument "k" twice'),
    "an unknown setting": (lambda index: index.search(ROWS, nprobe=3), r'search of Flat.*unexpected setting "nprobe"'),
    "no radius": (lambda index: index.range_search(ROWS), r'range_search\(\) is missing the argument "radius"'),
    "a radius of text": (lambda index: index.range_search(ROWS, "far"), r"real number"),
    "another's method": (lambda _: ak.Index.search(ROWS, ROWS), r"Index"),
    "an unmade index": (lambda _: ak.Flat.search(ak.Flat.__new__(ak.Flat), ROWS), r"__init__"),
    "an unknown keyword": (lambda _: ak.SQ(8).encode(ROWS, rows=3), r'encode\(\) got an unexpected.*"rows"'),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_wrong_calls(unchanged, case):
    call, message = WRONG_CALLS[case]
    with pytest.raises(TypeError, match=message):
        call(unchanged)


def test_keywords_need_not_be_interned(unchanged):
    settings = {"".join(["thr", "eads"]): 1, "".join(["", "k"]): 2}
    assert unchanged.search(ROWS[:3], **settings).ids.shape == (3, 2)


def test_indexes_of_python_classes_search():
    class Own(ak.Flat):
        """An index of a Python class."""

    class Named(Own):
        """One more, with a name."""

        def __init__(self, name):
            super().__init__(metric="ip")
            self.name = name

    x = np.eye(3, dtype=np.float32)
    for index in (Own().add(x), Named("a").add(x)):
        np.testing.assert_array_equal(index.search(x, k=1).ids[:, 0], [0, 1, 2])


ASKING = {
    ak.Index: [repr, len, copy.copy, pickle.dumps, lambda made: made.dim, lambda made: made.add(ROWS)],
    ak.Codec: [repr, pickle.dumps, lambda made: made.fit(ROWS), lambda made: ak.Flat(codec=made)],
    ak.Transform: [repr, copy.copy, lambda made: made.apply(ROWS), lambda made: ak.Pipeline(made, ak.Flat())],
    ak.KMeans: [repr, pickle.dumps, lambda made: made.k, lambda made: made.fit(ROWS)],
}


@pytest.mark.parametrize("name", ["Flat", "HNSW", "Refine", "Index", "PQ", "Raw", "Codec", "PCA", "KMeans"])
def test_objects_without_init_are_errors(name):
    one = getattr(ak, name)
    for ask in next(asking for base, asking in ASKING.items() if issubclass(one, base)):
        with pytest.raises(TypeError, match="__init__"):
            ask(one.__new__(one))


def test_a_python_class_that_asks_before_init_is_an_error():
    class Early(ak.Flat):
        """An index that uses itself too early."""

        def __init__(self):
            self.width = self.dim
            super().__init__()

    with pytest.raises(TypeError, match="__init__"):
        Early()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ak.Flat(metric="L2"), 'did you mean "l2"'),
        (lambda: ak.Flat(metric="cosin"), 'did you mean "cosine"'),
        (lambda: ak.Flat(metric="euklidean"), 'did you mean "euclidean"'),
        (lambda: ak.Flat(metric="manhattan"), '"hamming"$'),
        (lambda: ak.Flat(metric=""), '"hamming"$'),
        (lambda: ak.Raw("fp16"), 'did you mean "f16"'),
        (lambda: ak.LSHTables(family="pstable"), 'did you mean "p-stable"'),
        (lambda: ak.IVF(lists=2).search(ROWS, npobe=3), r'expected one of nprobe, spread; did you mean "nprobe"'),
        (lambda: ak.IVF(lists=2).search(ROWS, probes=3), 'did you mean "nprobe"'),
        (lambda: ak.HNSW().search(ROWS, EF=3), 'did you mean "ef"'),
        (lambda: ak.Flat().search(ROWS, thread=3), 'expected none; did you mean "threads"'),
        (lambda: ak.Flat().search(ROWS, anything=3), "expected none$"),
    ],
)
def test_what_may_be_meant_is_said(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ak.Refine(ak.Flat(), k_factor=0.5), "k_factor is 0.5, expected"),
        (lambda: ak.Refine(ak.Flat(), k_factor=1e9), r"k_factor is 1e\+09, expected"),
        (lambda: ak.KMeans(2, balance=-1), "balance is -1, expected"),
        (lambda: ak.KMeans(2, balance=-0.1), "balance is -0.1, expected"),
        (lambda: ak.LSHTables(width=0), "width is 0, expected"),
        (lambda: ak.HNSW().add(ROWS).search(ROWS, gamma=-1e-9), "gamma is -1e-09, expected"),
    ],
)
def test_numbers_are_written_as_short_as_they_are(call, message):
    with pytest.raises(ValueError, match=message):
        call()
