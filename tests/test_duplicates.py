"""Groups of near-duplicates, and the command that shows them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.sparse import csgraph
from test_image_hash import picture

import annkit as ak
from annkit import cli


def components(table, radius):
    """Return the groups of two or more by SciPy, each a set."""
    near = table <= radius
    _, labels = csgraph.connected_components(near)
    return {frozenset(np.flatnonzero(labels == label)) for label in np.unique(labels) if (labels == label).sum() > 1}


@pytest.mark.parametrize("radius", [0, 2, 3, 5, 9])
def test_groups_are_the_connected_components(rng, radius):
    codes = rng.integers(0, 256, (60, 3), dtype=np.uint8)
    codes = np.concatenate([codes, codes[:10], codes[:5] ^ np.uint8(1), codes[3:4]])
    table = np.unpackbits(codes[:, None] ^ codes[None], axis=2).sum(axis=2)
    groups = ak.image.duplicates(codes, radius)
    assert {frozenset(group.members) for group in groups} == components(table, radius)
    np.fill_diagonal(table, 99)
    for group in groups:
        assert group.members == sorted(group.members)
        np.testing.assert_array_equal(group.distances, table[np.ix_(group.members, group.members)].min(axis=1))
    sizes = [len(group.members) for group in groups]
    assert sizes == sorted(sizes, reverse=True)


def test_groups_of_copy_hashes_follow_their_distance(rng):
    images = [picture(rng) for _ in range(8)]
    images += [images[0][5:-3, 4:-6], images[0][:, ::-1], np.rot90(images[3]), images[5]]
    codes = ak.image.hash(images)
    groups = ak.image.duplicates(codes, 16)
    assert {frozenset(group.members) for group in groups} == {frozenset(some) for some in ((0, 8, 9), (3, 10), (5, 11))}
    table = ak.image.distances(codes, codes).astype(int)
    assert {frozenset(group.members) for group in groups} == components(table, 16)
    np.fill_diagonal(table, 999)
    for group in groups:
        np.testing.assert_array_equal(group.distances, table[np.ix_(group.members, group.members)].min(axis=1))
    assert str(ak.image.duplicates(codes)) == str(groups)  # the default


def test_many_images_of_one_hash_are_one_group():
    codes = np.zeros((50_000, 50, 16), np.uint8)
    (group,) = ak.image.duplicates(codes)
    assert len(group.members) == 50_000
    assert not group.distances.any()


def test_few_codes_have_no_groups(rng):
    assert ak.image.duplicates(np.zeros((0, 8), np.uint8)) == []
    assert ak.image.duplicates(np.zeros((1, 50, 16), np.uint8)) == []
    assert ak.image.duplicates(np.array([[0], [255]], np.uint8)) == []


@pytest.mark.parametrize(
    ("codes", "radius", "error", "message"),
    [
        (np.zeros((2, 8)), 3, TypeError, "dtype float64, expected uint8"),
        (np.zeros((2, 2, 2, 2), np.uint8), 3, ValueError, "expected \\(n, bytes\\)"),
        (np.zeros((2, 5, 16), np.uint8), 3, ValueError, "of method copy"),
        (np.zeros((2, 8), np.uint8), -1, ValueError, "radius is -1"),
    ],
)
def test_errors_name_what_came(codes, radius, error, message):
    with pytest.raises(error, match=message):
        ak.image.duplicates(codes, radius)


@pytest.fixture
def folder(rng, tmp_path):
    """Return a folder with three copies of one image, two others and a broken one."""
    image_module = pytest.importorskip("PIL.Image")
    place = tmp_path / "some <images>"
    place.mkdir()
    first = picture(rng)
    for name, image in {
        "a": first,
        "a & b": first[:, ::-1],
        "large": np.kron(first, np.ones((2, 2, 1), np.uint8)),
    }.items():
        image_module.fromarray(image).save(place / f"{name}.png")
    for name in ("x", "y"):
        image_module.fromarray(picture(rng)).save(place / f"{name}.jpg")
    (place / "z.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    return place


def test_command_writes_a_page_of_groups(folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert cli.main(["dedupe", str(folder), "--output", str(page)]) == 0
    printed = capsys.readouterr()
    assert "5 images: 3 are near-duplicates, in 1 group; 1 file could not be read" in printed.out
    assert re.search(r"skipped .*z\.jpg: UnidentifiedImageError", printed.err)
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure") == text.count("data:image/jpeg;base64,") == 3
    assert "some &lt;images&gt;" in text
    assert "a &amp; b.png" in text
    assert "<images>" not in text
    assert re.search(r'<figure class=largest>.*?alt="large\.png"', text)
    assert text.count(">largest<") == 1
    assert "z.jpg" in text
    assert not re.search(r'(src|href)="(?!data:|file:)', text)


def test_command_takes_method_and_radius(folder, tmp_path, capsys):
    arguments = ["dedupe", str(folder), "--output", str(tmp_path / "page.html"), "--method", "average"]
    assert cli.main([*arguments, "--radius", "0", "--threads", "1"]) == 0
    assert "2 are near-duplicates, in 1 group" in capsys.readouterr().out  # the mirrored one is none to this method
    assert "hashes of 64 bits that differ in at most 0" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert cli.main([*arguments, "--radius", "64"]) == 0
    assert "5 are near-duplicates, in 1 group" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "neither a folder nor a file"),
        ([".", "--output", "no/such/page.html"], "there is no folder"),
        ([".", "--output", "."], "is a folder, expected a file"),
        (["."], "has no images"),
    ],
)
def test_command_says_what_is_wrong(tmp_path, monkeypatch, capsys, arguments, message):
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["dedupe", *arguments]) == 2
    assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["dedupe", ".", "--radius", "-3"])
