"""Factory strings: read as Faiss reads them, and written back."""

from __future__ import annotations

import re

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import annkit as ak
from annkit.metrics import recall

faiss.omp_set_num_threads(1)

CODECS = [
    *["Flat", "SQ8", "SQ6", "SQ4", "SQfp16", "SQbf16", "PQ16", "PQ16x10", "PQ8x5", "PQ16x4", "PQ16x4fs", "PQ16x4fs_64"],
    *["RaBitQ", "RaBitQ4", "RaBitQfs", "RaBitQfs4", "PQ16np"],
]
TRANSFORMS = ["PCA16", "PCAR16", "PCAW32", "PCAWR32", "OPQ16", "OPQ16_32", "RR", "RR32", "HR", "L2norm", "L2Norm"]
REFINEMENTS = ["RFlat", *(f"Refine({codec})" for codec in CODECS)]

# Small data, so that the tests are quick.
pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")


@st.composite
def specs(draw):
    """Strings of everything that the grammar has."""
    words = draw(st.lists(st.sampled_from([*TRANSFORMS, "Center", "HR32"]), max_size=3))
    lists = draw(st.sampled_from(["", "IVF1", "IVF64", "IVF4k_HNSW2", "IVF1M", "HNSW2", "HNSW32"]))
    codec = draw(st.sampled_from([*CODECS, "PQ16x4fsr", "PQ16x4fsr_64"] if lists[:3] == "IVF" else CODECS))
    words += [lists, codec] if lists else [codec]
    words += draw(st.lists(st.sampled_from(REFINEMENTS), max_size=2))
    words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(["IDMap", "IDMap2", ""])))
    return ",".join(word for word in words if word)


@settings(deadline=None)
@given(specs(), st.sampled_from(["l2", "ip", "cosine", "euclidean"]))
def test_factory_of_an_index_makes_its_like(spec, metric):
    made = ak.index(spec, metric=metric)
    again = ak.index(made.factory, metric=made.metric)
    assert repr(again) == repr(made)
    assert again.factory == made.factory


@pytest.mark.parametrize(
    ("spec", "made"),
    [
        ("Flat", ak.Flat()),
        ("SQ8_direct", ak.Flat(codec=ak.Raw("u8"))),
        ("SQ8_direct_signed", ak.Flat(codec=ak.Raw("i8"))),
        ("PQ8x12", ak.Flat(codec=ak.PQ(8, bits=12))),
        ("IVF4k,SQ8", ak.IVF(lists=4096, codec=ak.SQ(8))),
        ("IVF64_HNSW16,SQ8", ak.IVF(lists=64, codec=ak.SQ(8), coarse=ak.HNSW(degree=32))),
        ("IVF64,SQ8_direct", ak.IVF(lists=64, codec=ak.Raw("u8"))),
        ("IVF64,SQ4", ak.IVF(lists=64, codec=ak.SQ(4), residual=True)),
        ("IVF64,PQ8", ak.IVF(lists=64, codec=ak.PQ(8), residual=True)),
        ("IVF64,PQ8x4", ak.IVF(lists=64, codec=ak.PQ(8, bits=4), residual=True)),
        ("IVF64,PQ8x4fs", ak.IVF(lists=64, codec=ak.PQ(8, bits=4), residual=False)),
        ("IVF64,PQ8x4fsr", ak.IVF(lists=64, codec=ak.PQ(8, bits=4), residual=True)),
        ("IVF64,RaBitQfs4_64", ak.IVF(lists=64, codec=ak.RaBitQ(4))),
        ("PCAWR8,SQ8", ak.Pipeline(ak.PCA(8, whiten=True), ak.Rotation(), ak.Flat(codec=ak.SQ(8)))),
        ("HR,Flat", ak.Pipeline(ak.Rotation(kind="hadamard"), ak.Flat())),
        (
            "OPQ4_8,IVF64,PQ4x4fs,RFlat",
            ak.Refine(ak.Pipeline(ak.OPQ(4, dim=8), ak.IVF(lists=64, codec=ak.PQ(4, bits=4), residual=False))),
        ),
        ("OPQ4_8,IVF64,PQ4", ak.Pipeline(ak.OPQ(4, dim=8, bits=8), ak.IVF(lists=64, codec=ak.PQ(4)))),
        ("OPQ4,RR,PQ4x6", ak.Pipeline(ak.OPQ(4, bits=6), ak.Rotation(), ak.Flat(codec=ak.PQ(4, bits=6)))),
        ("OPQ4,SQ8,Refine(PQ4)", ak.Refine(ak.Pipeline(ak.OPQ(4), ak.Flat(codec=ak.SQ(8))), codec=ak.PQ(4))),
        ("SQ4,Refine(SQ8),IDMap", ak.Refine(ak.Flat(codec=ak.SQ(4)), codec=ak.SQ(8))),
        ("HNSW32", ak.HNSW(degree=64)),
        ("HNSW16,Flat", ak.HNSW(degree=32)),
        *[(spec, ak.HNSW(degree=64)) for spec in ("HNSW", "HNSW,Flat", "HNSW_Flat", "HNSW32_Flat")],
        *[(spec, ak.HNSW(degree=64, codec=ak.SQ(8))) for spec in ("HNSW,SQ8", "HNSW_SQ8", "HNSW32_SQ8")],
        ("PCA8,HNSW8_SQ4,RFlat", ak.Refine(ak.Pipeline(ak.PCA(8), ak.HNSW(degree=16, codec=ak.SQ(4))))),
        *[
            (spec, ak.IVF(lists=16, codec=ak.SQ(8), coarse=ak.HNSW(degree=64)))
            for spec in ("IVF16_HNSW,SQ8", "IVF16(HNSW),SQ8", "IVF16(HNSW32),SQ8")
        ],
        ("HNSW32,SQ8,RFlat", ak.Refine(ak.HNSW(degree=64, codec=ak.SQ(8)))),
        ("HNSW32,RFlat", ak.Refine(ak.HNSW(degree=64))),
        ("PCA8,HNSW8,IDMap,SQ4", ak.Pipeline(ak.PCA(8), ak.HNSW(degree=16, codec=ak.SQ(4)))),
        ("BHNSW32", ak.HNSW(degree=64, codec=ak.Bits(), metric="hamming")),
        ("BIVF64", ak.IVF(lists=64, codec=ak.Bits(), metric="hamming")),
        ("IVF64,LSH", ak.IVF(lists=64, codec=ak.SignBits(), metric="hamming")),
        ("IDMap,BFlat", ak.Flat(codec=ak.Bits(), metric="hamming")),
        ("LSH", ak.Flat(codec=ak.SignBits(), metric="hamming")),
        ("LSHt", ak.Flat(codec=ak.SignBits("median"), metric="hamming")),
        ("LSHr", ak.Pipeline(ak.Rotation(), ak.Flat(codec=ak.SignBits(), metric="hamming"))),
        (
            "PCA16,LSHrt,IDMap",
            ak.Pipeline(ak.PCA(16), ak.Rotation(), ak.Flat(codec=ak.SignBits("median"), metric="hamming")),
        ),
        ("ITQ64,LSH", ak.Pipeline(ak.ITQ(64), ak.Flat(codec=ak.SignBits(), metric="hamming"))),
        ("ITQ64,LSHa", ak.Pipeline(ak.ITQ(64), ak.Flat(codec=ak.SignBits(asymmetric=True)))),
        ("BMIH", ak.MultiIndexHash()),
        ("BMIH4", ak.MultiIndexHash(tables=4)),
        ("IDMap,MIH,LSHt", ak.MultiIndexHash(codec=ak.SignBits("median"))),
        ("ITQ64,MIH", ak.Pipeline(ak.ITQ(64), ak.MultiIndexHash(codec=ak.SignBits()))),
        ("RR32,MIH3", ak.Pipeline(ak.Rotation(32), ak.MultiIndexHash(codec=ak.SignBits(), tables=3))),
        ("ITQ32,HNSW16,LSH", ak.Pipeline(ak.ITQ(32), ak.HNSW(degree=32, codec=ak.SignBits(), metric="hamming"))),
    ],
)
def test_words_make_what_they_say(spec, made):
    assert repr(ak.index(spec)) == repr(made)


@pytest.mark.parametrize(
    "index",
    [
        ak.Flat(codec=ak.SQ(8, outliers=0.01)),
        ak.Flat(codec=ak.SQ(8, uniform=True)),
        ak.Flat(codec=ak.PQ(8, seed=1)),
        ak.Flat(scan="sq8"),
        ak.HNSW(degree=33),
        ak.HNSW(ef_build=100),
        ak.HNSW(codec=ak.SQ(4), build_codec=ak.SQ(8)),
        ak.IVF(lists=8, codec=ak.SQ(8), residual=True),
        ak.IVF(lists=8, codec=ak.SQ(4), residual=False),
        ak.IVF(lists=8, codec=ak.PQ(8), residual=False),
        ak.IVF(lists=8, codec=ak.RaBitQ(), residual=False),
        ak.Refine(ak.Flat(codec=ak.SQ(4)), k_factor=8),
        ak.Pipeline(ak.PCA(8, whiten=0.5), ak.Flat()),
        ak.Pipeline(ak.PCA(8, balance=4), ak.Flat()),
        ak.Pipeline(ak.Projection(8), ak.Flat()),
        ak.Pipeline(ak.OPQ(8, rounds=1), ak.Flat()),
        ak.Pipeline(ak.ITQ(8, start="cca"), ak.Flat()),
        ak.Pipeline(ak.ITQ(8, iterations=1), ak.Flat()),
        ak.Pipeline(ak.OPQ(8), ak.Flat(codec=ak.PQ(8))),  # of 4 bits, which a string takes from PQ's 8
        ak.Pipeline(ak.OPQ(8, bits=8), ak.IVF(lists=8, codec=ak.PQ(8, bits=4))),
        ak.Pipeline(ak.OPQ(8, bits=8), ak.Flat(codec=ak.SQ(8))),
        ak.Pipeline(ak.PCA(8), ak.Refine(ak.Flat(codec=ak.SQ(4)))),
    ],
    ids=repr,
)
def test_parts_without_a_word_have_no_factory(index):
    with pytest.raises(ValueError, match="no factory string"):
        index.factory  # noqa: B018


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("", ['""', "word 1", "expected a transform"]),
        ("flat", ['"flat"', "not known", 'did you mean "Flat"']),
        ("IVF64", ["ends too early", "expected a codec"]),
        ("PCA64", ["ends too early"]),
        ("IVF64,PQ32x4sf", ['"PQ32x4sf", word 2', "character 7", 'did you mean "PQ32x4fs"']),
        ("PCA64,IVF64, SQ8", ['" SQ8", word 3', 'did you mean "SQ8"']),
        ("IVF64,IVF64,SQ8", ['"IVF64", word 2', "does not belong there"]),
        ("SQ8,PCA64", ['"PCA64", word 2', "does not belong there", "RFlat"]),
        ("SQ8,Refine(SQ9)", ['"Refine(SQ9)"', "not known", 'mean "Refine(SQ8)"']),
        ("SQ8,Refine(HNSW32)", ["Refine(HNSW32)"]),
        ("BFlat,RFlat", ['"RFlat", word 2', "nothing after BFlat"]),
        ("HNSW32_SQ9", ['"SQ9", word 2', "character 8", "expected a codec"]),
        ("HNSW32_2x32", ['"2x32", word 2', "expected a codec"]),
        ("BHNSW", ['"BHNSW", word 1', 'mean "BHNSW32"']),
        ("HNSWs", ['"HNSWs", word 1', 'mean "HNSW32"']),
        ("HNSW32,SQ9", ['"SQ9", word 2', "expected a codec"]),
        ("HNSW32,IVF64", ["IVF64", "does not belong there"]),
        ("HNSW1,SQ8", ["HNSW1,SQ8", "degree 2"]),
        ("BIVF64,SQ8", ['"SQ8", word 2', "nothing after BIVF64"]),
        ("BHNSW32,SQ8", ['"SQ8", word 2', "nothing after BHNSW32"]),
        ("IVF64_NSG32,SQ8", ["IVF64_NSG32", "IVF1024_HNSW32"]),
        ("IVF64_HNSW1,SQ8", ["IVF64_HNSW1,SQ8", "degree 2"]),
        ("IVF64,PQ16+8", ["PQ16+8", "Refine(PQ16)"]),
        ("ITQ,LSH", ['"ITQ", word 1', "ITQ64"]),
        ("LSH32r", ['"LSH32r"', "RR64,LSH"]),
        ("LSH,RFlat", ["hamming"]),
        ("HNSW32,LSHr", ['"LSHr", word 2', "does not belong there"]),
        ("IMI2x8,Flat", ["IMI2x8"]),
        ("BHash16", ["is Faiss's", "BMIH"]),
        ("Residual64,PQ16", ["is Faiss's", "IVF1024,PQ32"]),
        ("IVF64,Refine(Flat)", ["Refine(Flat)", "does not belong there"]),
        ("IVF64(IVF8,Flat),SQ8", ["IVF64(IVF8,Flat)", "IVF1024_HNSW32"]),
        ("ITQ64,MIHH", ['"MIHH", word 2', "not known", 'did you mean "MIH"']),
        ("MIH,SQ8", ['"SQ8", word 2', "does not belong there", "expected signs (LSH, LSHt)"]),
        ("MIH,LSHa", ['"LSHa", word 2', "does not belong there"]),
        ("ITQ64,BMIH", ['"BMIH", word 2', "does not belong there"]),
        ("BMIH4,LSH", ['"LSH", word 2', "nothing after BMIH4"]),
        ("IVF64,MIH", ['"MIH", word 2', "does not belong there"]),
        ("MIH2000", ["MIH2000", "tables is 2000"]),
        ("ITQ64,MIH,RFlat", ["hamming"]),
        ("SQ8,Refine(SQ8", ["Refine(SQ8"]),
        ("PQ32x20", ["PQ32x20", "20"]),
        ("PCA0,Flat", ["PCA0"]),
    ],
)
def test_errors_quote_the_word_and_say_what_is_expected(spec, parts):
    with pytest.raises(ValueError, match=re.escape(parts[0])) as caught:
        ak.index(spec)
    for part in parts:
        assert part in str(caught.value)


def test_wrong_types_and_metrics_are_refused():
    with pytest.raises(TypeError, match="expected a string"):
        ak.index(8)
    for dim in (12.5, "l2"):
        with pytest.raises(TypeError, match=f"dim is {dim!r}, expected an integer"):
            ak.index("SQ8", dim)
    with pytest.raises(ValueError, match='expected "hamming"'):
        ak.index("BFlat", metric="ip")
    with pytest.raises(ValueError, match="metric"):
        ak.index("SQ8", metric="manhattan")
    for spec in ("ITQ64,LSH", "ITQ64,MIH"):
        with pytest.raises(ValueError, match='"cosine" does not go with LSH'):
            ak.index(spec, metric="cosine")


@pytest.mark.parametrize(
    ("spec", "dim", "message"),
    [
        ("PCA64,Flat", 32, "at least 64"),
        ("RR64,Flat", 32, "at least 64"),
        ("ITQ64,LSH", 32, "at least 64"),
        ("PCA20,PQ16", 64, "multiple of 16"),
        ("OPQ16_24,PQ8", 64, "multiple of"),
        ("SQ8,Refine(PQ16)", 24, "multiple of 16"),
        ("BFlat", 12, "multiple of 8"),
        ("BMIH", 12, "multiple of 8"),
        ("RR2000,MIH", 3000, "at most 1024"),
        ("Flat", 0, "1 or more"),
    ],
)
def test_a_dimension_that_does_not_fit_is_refused_at_once(spec, dim, message):
    with pytest.raises(ValueError, match=message):
        ak.index(spec, dim)


def test_settings_are_what_searches_take():
    assert ak.index("SQ8").settings == ()
    assert ak.index("PCA8,IVF64,SQ8").settings == ("nprobe", "spread")
    assert ak.index("IVF64,SQ8,RFlat").settings == ("nprobe", "spread", "k_factor")


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(7)
    centers = rng.standard_normal((40, 32)) * 2
    rows = (centers[rng.integers(40, size=2200)] + rng.standard_normal((2200, 32)) * 0.7).astype(np.float32)
    base, queries = rows[:2000], rows[2000:]
    return base, queries, ak.Flat().add(base).search(queries, 10).ids


@pytest.mark.parametrize("spec", ["LSH", "LSHt", "LSHr", "ITQ16,LSH", "HNSW8,LSHt", "BMIH3", "MIH", "ITQ16,MIH4,LSHt"])
def test_factory_of_signs_makes_their_like(spec):
    made = ak.index(spec)
    again = ak.index(made.factory)
    assert (repr(again), again.factory, again.metric) == (repr(made), made.factory, "hamming")


FRONTS = ["", "IVF16,", "PCAR16,"]


@pytest.mark.parametrize(
    "spec",
    [
        *(front + codec for front in FRONTS for codec in CODECS if codec not in ("PQ16", "PQ16np", "PQ16x10")),
        *[
            "IVF16,PQ16x4fsr",
            "OPQ8_16,PQ8x4fs",
            "OPQ8,IVF16,PQ8x4",
            "OPQ8,PQ8",
            "PQ4",
            "IVF16,PQ8x6",
            "RR16,SQ8",
            "HR,IVF16,SQ8",
            "L2norm,Flat",
            "HNSW16,Flat",
            "HNSW16,SQ8",
            "HNSW16,PQ16",
            "PCAR16,HNSW16,Flat",
        ],
        *["SQ4,RFlat", "IVF16,PQ16x4fs,Refine(SQfp16)", "PCA16,IVF16,SQ8,Refine(SQ8)"],
    ],
)
def test_recall_is_that_of_faiss(mixture, spec):
    base, queries, truth = mixture
    ours = ak.index(spec, 32).fit(base).add(base)
    theirs = faiss.index_factory(32, spec)
    theirs.train(base)
    theirs.add(base)
    known = {}
    if "IVF" in spec:
        faiss.downcast_index(faiss.extract_index_ivf(theirs)).nprobe = 4
        known = {"nprobe": 4}
    found = recall(ours.search(queries, 10, **known).ids, truth)
    assert found >= recall(theirs.search(queries, 10)[1], truth) - 0.04
