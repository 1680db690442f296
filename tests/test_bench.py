"""The bench: truth, recall, summaries, and whole runs of the command on tiny data."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from annkit import cli
from annkit.bench import choice, contenders, plot, records, report, summary, truth
from annkit.bench.contenders import CONTENDERS, Task
from annkit.bench.needs import installed
from annkit.bench.records import Record
from annkit.datasets import Dataset

_EXTRAS = ("rich", "matplotlib", "psutil", "threadpoolctl", "faiss")
pytestmark = pytest.mark.skipif(not all(map(installed, _EXTRAS)), reason="needs the bench extra")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANNKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def record(method: str = "annkit Flat f32", **changes) -> Record:
    plain = Record(
        data={"name": "toy", "n": 1000, "dim": 8, "dtype": "float32", "metric": "l2", "queries": 50, "hash": "0"},
        method=method,
        library=method.split()[0],
        version="1",
        family="flat",
        given={"index": "<Flat>"},
        setting={},
        mode="single",
        threads=1,
        k=10,
        qps=1000.0,
        passes=[900.0, 1000.0, 1100.0],
        latency_ms={"p50": 1.0, "p99": 2.0},
        recall=1.0,
        queries_judged=50,
        build_seconds=0.5,
        build_threads=2,
        memory_kept=1000,
        memory_peak=2000,
        index_bytes=None,
        pinned=True,
    )
    return dataclasses.replace(plain, **changes)


def curve(method: str, points: list[tuple[float, float]], **changes) -> list[Record]:
    return [
        record(method, family="graph", setting={"ef": i}, recall=recall, qps=qps, mode=mode, **changes)
        for i, (recall, qps) in enumerate(points)
        for mode in ("single", "batch")
    ]


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_truth_agrees_with_scikit_learn(metric):
    rng = np.random.default_rng(0)
    base, queries = rng.normal(size=(900, 12)).astype("f4"), rng.normal(size=(40, 12)).astype("f4")
    found = truth.exact_neighbours(Dataset("toy", base, queries, metric), 5)
    expected = NearestNeighbors(metric="cosine" if metric == "cosine" else "sqeuclidean", algorithm="brute").fit(base)
    np.testing.assert_array_equal(found, expected.kneighbors(queries, 5, return_distance=False))


def test_truth_is_computed_once_and_a_damaged_cache_is_not_trusted(cache, monkeypatch):
    data = Dataset("toy", np.eye(20, dtype="f4"), np.eye(20, dtype="f4")[:4], "l2")
    first = truth.exact_neighbours(data, 3)
    (file,) = (cache / "truth").iterdir()
    file.write_bytes(b"damaged")
    np.testing.assert_array_equal(truth.exact_neighbours(data, 3), first)
    monkeypatch.setattr(truth, "_search", None)
    np.testing.assert_array_equal(truth.exact_neighbours(data, 3), first)


def test_recall_counts_rows_as_near_as_the_kth_once_each():
    base = np.array([[0], [1], [1], [2]], dtype="f4")
    data = Dataset("toy", base, np.zeros((1, 1), "f4"), "l2")
    kth = truth.kth_distances(data, truth.exact_neighbours(data, 2))
    for ids, expected in (([0, 1], 1.0), ([0, 2], 1.0), ([0, 0], 0.5), ([0, 3], 0.5), ([-1, -1], 0.0), ([0, 9], 0.5)):
        assert truth.recall(data, np.array([ids]), kth, 2) == expected


def test_rate_at_a_recall_is_interpolated_in_its_logarithm_on_the_front():
    points = curve("faiss HNSW", [(0.8, 10000.0), (0.85, 500.0), (0.9, 1000.0)])[::2]
    assert records.qps_at(points, 0.85) == pytest.approx(np.sqrt(10000 * 1000))
    assert records.qps_at(points, 0.5) == 10000
    assert records.qps_at(points, 0.95) is None


def test_lead_is_the_best_of_annkit_over_the_best_of_faiss():
    flat = [record(qps=300.0), record("faiss Flat", qps=100.0), record("faiss Flat blas=1", qps=150.0)]
    (table,) = summary.tables(flat)
    assert table.recalls == (0.999,)
    assert table.leads([("single", 0.999), ("batch", 0.999)]) == {"flat": [2.0, None]}


def test_leads_are_given_by_kind_of_index_and_for_all_kinds():
    found = [record(qps=300.0), record("faiss Flat", qps=100.0), *curve("faiss HNSW", [(0.96, 3000.0)])]
    (table,) = summary.tables(found)
    assert table.leads([("single", 0.95)]) == {"flat": [3.0], "any": [0.1]}


def test_choice_is_the_fastest_index_that_is_not_larger():
    found = [
        *curve("annkit IVF,SQ8", [(0.85, 2000.0), (0.96, 1000.0)], index_bytes=100_000),
        *curve("faiss HNSW32,SQ8", [(0.96, 800.0), (0.995, 400.0)], index_bytes=200_000),
        *curve("faiss HNSW32,Flat", [(0.96, 3000.0), (0.995, 2000.0)], index_bytes=600_000),
    ]
    (table,) = summary.tables(found)
    chosen = [c for c in choice.choices(table) if c.mode == "batch"]
    assert [(c.recall, c.method, c.bytes_a_row) for c in chosen] == [
        (0.9, "annkit IVF,SQ8", 100.0),
        (0.9, "faiss HNSW32,Flat", 600.0),
        (0.95, "annkit IVF,SQ8", 100.0),
        (0.95, "faiss HNSW32,Flat", 600.0),
        (0.99, "faiss HNSW32,SQ8", 200.0),
        (0.99, "faiss HNSW32,Flat", 600.0),
    ]
    assert chosen[2].setting == {"ef": 1}
    assert chosen[2].qps == records.qps_at(found[:4:2], 0.95)


def test_more_memory_is_chosen_where_it_is_a_tenth_faster():
    found = [
        *curve("annkit IVF,SQ8", [(0.96, 1000.0)], index_bytes=100_000),
        *curve("faiss IVF,SQ8", [(0.97, 1050.0)], index_bytes=200_000),
        *curve("annkit IVF,Flat", [(0.98, 1150.0)], index_bytes=300_000),
    ]
    steps = choice.staircase(found, "batch", 0.95)
    assert [(step.method, step.reached) for step in steps] == [("annkit IVF,SQ8", 0.96), ("annkit IVF,Flat", 0.98)]


def test_recalls_with_the_same_choices_are_named_once():
    (table,) = summary.tables([record(), record("faiss Flat", qps=900.0)])
    assert [(c.mode, c.recall, c.method) for c in choice.choices(table)] == [("single", 0.99, "annkit Flat f32")]


def test_nothing_is_chosen_where_no_recall_of_interest_is_reached():
    (table,) = summary.tables([record(recall=0.5)])
    assert choice.choices(table) == []
    assert "Which configuration to choose" not in report.render([record(recall=0.5)])


def test_records_survive_a_file_and_meet_those_of_an_earlier_run(tmp_path):
    now, then = [record(qps=200.0), record("faiss Flat")], [record(qps=100.0, build_seconds=1.0)]
    records.write(tmp_path / "r.jsonl", now)
    assert records.read(tmp_path / "r.jsonl") == now
    (move,) = summary.movements(records.compare(now, then))
    assert (move.qps, move.build, move.memory) == ({"single": 2.0, "batch": None}, 0.5, 1.0)


def test_line_that_is_no_record_is_named(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"method": 1}\n')
    with pytest.raises(ValueError, match=r"r\.jsonl: line 1 is not a record"):
        records.read(tmp_path / "r.jsonl")


@pytest.mark.parametrize("with_curves", [False, True])
def test_plot_and_report_show_every_method_in_one_file(with_curves):
    found = [record(), record(mode="batch", threads=2), record("faiss <b>Flat", mode="batch")]
    if with_curves:
        found += curve("faiss HNSW", [(0.3, 9000.0), (0.9, 5000.0), (1.0, 80.0)])
    assert plot.draw(found).startswith(b"\x89PNG")
    page = report.render(found, ["hnswlib is not installed"])
    assert "faiss &lt;b&gt;Flat" in page
    assert "hnswlib is not installed" in page
    assert "<b>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/png;base64,") == 2


def run(*arguments: str) -> int:
    return cli.main(["bench", *arguments])


def test_whole_run_leaves_results_plots_and_a_report(tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ("random-1200x8", "--against", "faiss", "--families", "flat", "--budget", "4", "--queries", "50")
    assert run(*arguments, "--out", str(out)) == 0
    found = records.read(out / "results.jsonl")
    assert {r.method for r in found} == {
        "annkit Flat f32",
        "annkit Flat f32 scan=sq8",
        "faiss Flat",
        "faiss Flat blas=1",
    }
    assert {r.mode for r in found} == {"single", "batch"}
    assert all(r.recall == 1.0 and r.qps > 0 and r.build_seconds > 0 and r.bytes_held for r in found)
    thresholds = {r.method: r.given.get("distance_compute_blas_threshold") for r in found if r.library == "faiss"}
    assert thresholds["faiss Flat"] > 1
    assert thresholds["faiss Flat blas=1"] == 1
    assert (out / "random-1200x8.png").read_bytes().startswith(b"\x89PNG")
    assert "distance_compute_blas_threshold" in (out / "report.html").read_text()
    printed = capsys.readouterr().out
    assert "annkit / faiss" in printed
    assert max(len(line) for line in printed.splitlines() if not line.startswith("results")) <= 80


def test_inverted_lists_are_swept_and_the_choice_is_shown_and_written(tmp_path, capsys, monkeypatch):
    chosen = ("annkit IVF,SQ8", "annkit PCA,IVF,SQ8,Rf16")
    monkeypatch.setattr(cli.bench, "CONTENDERS", tuple(c for c in CONTENDERS if c.name in chosen))
    monkeypatch.setattr(cli.bench, "_CELL_SECONDS", 0.01)
    out = tmp_path / "out"
    assert run("random-1200x128", "--against", "none", "--queries", "50", "--out", str(out)) == 0
    found = records.read(out / "results.jsonl")
    assert {r.method for r in found} == set(chosen)
    assert {tuple(r.setting) for r in found if "PCA" in r.method} == {("nprobe", "k_factor")}
    assert max(r.recall for r in found if r.method == "annkit IVF,SQ8") > 0.9
    written = json.loads((out / "choices.json").read_text())
    assert {row["data"] for row in written} == {"random-1200x128"}
    assert all(row["method"] in chosen and row["setting"]["nprobe"] > 0 and row["qps"] > 0 for row in written)
    assert "Which configuration to choose" in (out / "report.html").read_text()
    printed = capsys.readouterr().out
    assert "Which to choose" in printed
    assert max(len(line) for line in printed.splitlines() if not line.startswith("results")) <= 80


@pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")
@pytest.mark.parametrize(("dtype", "metric"), [("uint8", "l2"), ("float32", "cosine"), ("float16", "ip")])
def test_lists_and_graphs_of_annkit_find_what_is_near_by_every_metric(dtype, metric):
    base = np.random.default_rng(0).integers(0, 256, (1000, 128)).astype(dtype)
    if metric != "l2":
        base = base / np.asarray(128, dtype) - np.asarray(1, dtype)
    queries = base[:20]
    task, data = Task(1000, 128, dtype, metric, 10, 1, 100), Dataset("toy", base, queries, metric)
    kth = truth.kth_distances(data, truth.exact_neighbours(data, 10))
    able = [c for c in CONTENDERS if c.library == "annkit" and c.family != "flat" and c.supports(task)]
    assert ("annkit PCA,IVF,SQ8,Rf16" in [c.name for c in able]) == (metric != "ip")
    for contender in able:
        contender.build(contender.prepare(base, task), task)
        search = contender.searcher(10, contender.settings(task)[-1], 1)
        least = 0.95 if contender.name in ("annkit IVF,Flat", "annkit IVF,SQ8", "annkit HNSW,Flat") else 0.3
        assert truth.recall(data, search(contender.prepare(queries, task)), kth, 10) > least, contender.name


def test_bits_and_an_earlier_run(tmp_path, capsys):
    codes = np.random.default_rng(0).integers(0, 256, (1100, 8), dtype=np.uint8)
    np.save(tmp_path / "codes-64bit.npy", codes)
    common = (str(tmp_path / "codes-64bit.npy"), "--against", "none", "--budget", "1", "--out", str(tmp_path / "o"))
    assert run(*common) == 0
    assert run(*common, "--compare", str(tmp_path / "o" / "results.jsonl")) == 0
    assert "now / " in capsys.readouterr().out
    (line, *_) = (tmp_path / "o" / "results.jsonl").read_text().splitlines()
    assert json.loads(line)["data"]["metric"] == "hamming"


def test_contender_that_crashes_or_hangs_costs_only_itself(tmp_path, capsys, monkeypatch):
    # The worker does not know the first, and the second gets no time.
    stranger = contenders.CONTENDERS[0].__class__("f32")
    stranger.name = "annkit Stranger"
    monkeypatch.setattr(cli.bench, "CONTENDERS", (stranger, contenders.CONTENDERS[0]))
    assert run("random-1100x4", "--against", "none", "--budget", "6", "--out", str(tmp_path / "o")) == 0
    assert "annkit Stranger" in capsys.readouterr().out
    assert "StopIteration" in (tmp_path / "o" / "report.html").read_text()
    assert {r.method for r in records.read(tmp_path / "o" / "results.jsonl")} == {"annkit Flat f32"}
    assert run("random-1100x4", "--against", "none", "--timeout", "0.01", "--out", str(tmp_path / "p")) == 2
    assert "no method could be measured" in capsys.readouterr().err


def test_missing_peer_is_one_line_and_no_failure(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(contenders.base, "installed", lambda module: module != "hnswlib")
    arguments = ("random-1100x4", "--against", "hnswlib", "--families", "flat", "--budget", "1")
    assert run(*arguments, "--out", str(tmp_path / "o")) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("hnswlib is not installed") == 1
    assert 'pip install "annkit-native[peers]"' in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ("nowhere.npy",),
        ("nowhere/at/all.hdf5",),
        ("no-such-name",),
        ("{folder}",),
        ("random-100x4", "random-100x4"),
        ("random-100x4", "--compare", "nowhere.jsonl"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys, arguments):
    assert run(*(argument.format(folder=tmp_path) for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("annkit: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--threads", "0"), ("--threads", "4096"), ("--against", "nobody"), ("-k", "x")])
def test_bad_option_is_exit_code_2(capsys, arguments):
    with pytest.raises(SystemExit) as raised:
        run("random-100x4", *arguments)
    assert raised.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_missing_extra_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert run("random-100x4") == 2
    assert 'pip install "annkit-native[bench]"' in capsys.readouterr().err


def test_importing_annkit_imports_nothing_of_the_bench():
    code = "import annkit, sys; print(sorted({m.partition('.')[0] for m in sys.modules} & set(sys.argv[1:])))"
    extras = ["faiss", "matplotlib", "rich", "sklearn", "psutil", "tqdm", "h5py"]
    done = subprocess.run([sys.executable, "-c", code, *extras], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_contenders_have_names_of_their_own_that_fit_the_table():
    names = [contender.name for contender in contenders.CONTENDERS]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 24


def test_run_without_arguments_has_time_for_most_inverted_lists_and_one_with_data_has_all():
    parser = cli.parser()
    plans = [cli.bench._plan(parser.parse_args(["bench", *data]), CONTENDERS) for data in ((), ("random-1200x128",))]
    names = [{c.name for c in plan.sets[0][1] if c.family == "ivf"} for plan in plans]
    assert {"annkit IVF,SQ8", "annkit IVF,PQx4fs"} <= names[0]
    assert names[1] - names[0] == {"annkit IVF,PQx4fs,RSQ8", "annkit IVF,RaBitQ,RSQ8", "annkit BIVF"}


def test_every_kind_of_data_has_an_index_of_annkit():
    for dtype, metric in (
        ("float32", "l2"),
        ("float16", "cosine"),
        ("uint8", "l2"),
        ("int8", "ip"),
        ("uint8", "hamming"),
    ):
        task = Task(2000, 64, dtype, metric, 10, 1, 100)
        assert any(c.library == "annkit" and c.supports(task) for c in contenders.CONTENDERS)
