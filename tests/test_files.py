"""Damaged files are clear errors, whatever is damaged; saving is all or nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from truth import assert_same

import annkit as ak


def make(kind, rng):
    """Return a small index with explicit ids and a removed row."""
    x = rng.integers(0, 9, (9, 5))
    if kind == "bits":
        index, x = ak.Flat(codec=ak.Bits(), metric="hamming"), x.astype(np.uint8)
    else:
        index, x = ak.Flat(metric="cosine", scan="sq8" if kind == "sq8" else None), x.astype(np.float32)
    return index.add(x, ids=[5, 3, 8, 100, 7, 1, 90, 2, 4]).remove([8]), x


@pytest.fixture(params=["f32", "sq8", "bits"])
def saved(request, rng):
    """Return the bytes of a small index."""
    return make(request.param, rng)[0].to_bytes()


def refused(data):
    """Tell whether loading fails with the one error that it may fail with."""
    try:
        ak.Index.from_bytes(data)
    except ak.FormatError:
        return True
    return False


def test_every_truncation_is_refused(saved):
    assert [end for end in range(len(saved)) if not refused(saved[:end])] == []


def test_every_flipped_bit_is_refused(saved):
    passed = []
    for at in range(len(saved)):
        damaged = bytearray(saved)
        damaged[at] ^= 1 << at % 8
        if not refused(bytes(damaged)):
            passed.append(at)
    assert passed == []


def test_random_damage_is_refused(saved, rng):
    for _ in range(1500):
        damaged = bytearray(saved)
        first, size = rng.integers(0, len(saved)), rng.integers(1, 64)
        size = min(size, len(saved) - first)
        damaged[first : first + size] = bytes([rng.choice([0, 0x7F, 0xFF])] * size)
        assert bytes(damaged) == saved or refused(bytes(damaged))


def test_bytes_behind_the_end_are_refused(saved):
    assert refused(saved + b"\0")
    assert refused(saved + saved)


@pytest.mark.parametrize("at", range(8, 64, 8))
@pytest.mark.parametrize("value", [2**63 - 1, 2**64 - 1, 2**32, 2**31 - 1, 2**40 + 64])
def test_huge_lengths_in_the_header_allocate_nothing(saved, at, value):
    for width, code in ((8, "<Q"), (4, "<I")):
        damaged = bytearray(saved)
        struct.pack_into(code, damaged, at, value % 2 ** (8 * width))
        assert bytes(damaged) == saved or refused(bytes(damaged))


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"\x93NUMPY\x01\x00", "npy"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"PK\x03\x04", "zip"),
        (b"\x80\x05\x95", "pickle"),
        (b"IxF2", "Faiss"),
        (b"\0" * 200, "zeros"),
        (b"", "empty"),
        (b"hello world", "68 65 6c 6c"),
    ],
)
def test_other_files_are_called_what_they_are(tmp_path, start, what):
    path = tmp_path / "other.ak"
    path.write_bytes(start)
    for mmap in (False, True):
        with pytest.raises(ak.FormatError, match=what) as caught:
            ak.load(path, mmap=mmap)
        assert "other.ak" in str(caught.value)


def test_a_newer_format_is_told(saved):
    damaged = bytearray(saved)
    struct.pack_into("<I", damaged, 8, 1000)
    with pytest.raises(ak.FormatError, match="format 1000"):
        ak.Index.from_bytes(bytes(damaged))


def test_mapped_files_with_damage_never_crash(tmp_path, rng):
    """Codes are not compared with checksums where a file is mapped; all that loads has to answer."""
    index, x = make("f32", rng)
    data, path = index.to_bytes(), tmp_path / "damaged.ak"
    for at in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[at] ^= 0x80
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(ak.FormatError):
            ids = ak.load(path, mmap=True).search(x, k=9).ids
            assert np.isin(ids, [*index.ids, -1]).all()
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        with pytest.raises(ak.FormatError):
            ak.load(path, mmap=True)


def test_buffers_other_than_bytes(saved):
    for data in (bytearray(saved), memoryview(saved), np.frombuffer(saved, np.uint8)):
        assert ak.Index.from_bytes(data).to_bytes() == saved
    for data in (memoryview(saved)[::-1], memoryview(saved)[::2], "text", 5, None):
        with pytest.raises(TypeError):
            ak.Index.from_bytes(data)


def test_paths_in_errors(tmp_path):
    index = ak.Flat().add(np.eye(3, dtype=np.float32))
    for path in (tmp_path / "missing" / "a.ak", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(OSError, match=re.escape(str(path))):
            index.save(path)
        with pytest.raises(OSError, match=re.escape(str(path))):
            ak.load(path)
    with pytest.raises(FileNotFoundError):
        ak.load(tmp_path / "missing.ak")
    for bad in (3, None):
        with pytest.raises(TypeError):
            index.save(bad)
        with pytest.raises(TypeError):
            ak.load(bad)
    assert list(tmp_path.iterdir()) == []


def test_saving_replaces_and_leaves_nothing_behind(tmp_path, rng):
    path, link = tmp_path / "index é 文.ak", tmp_path / "link.ak"
    link.symlink_to(path)
    ak.Flat().add(rng.random((3, 4), np.float32)).save(link)
    path.chmod(0o600)
    mapped = ak.load(path, mmap=True)
    before = mapped.reconstruct([0, 1, 2])
    assert mapped.memory() == ak.load(path).memory() == {"codes": 48, "factors": 12, "ids": 0}
    ak.Flat().add(np.ones((50, 4), np.float32)).save(link)
    np.testing.assert_array_equal(mapped.reconstruct([0, 1, 2]), before)  # readers keep the old file
    assert len(ak.load(path)) == 50
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == sorted([path, link])


def run(code, *arguments):
    """Run code in a process of its own and return it finished."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "index.ak"
    old = ak.Flat().add(np.eye(3, dtype=np.float32))
    old.save(path)
    code = """
        import annkit as ak, numpy as np, resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        index = ak.Flat().add(np.ones((2000, 64), np.float32))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            index.save(sys.argv[1])
        except OSError as error:
            sys.exit(error.errno)
    """
    assert run(code, path).returncode == errno.EFBIG
    assert_same(ak.load(path).search(np.eye(3)), old.search(np.eye(3)))
    assert list(tmp_path.iterdir()) == [path]


def test_killed_while_saving(tmp_path):
    path = tmp_path / "index.ak"
    code = """
        import annkit as ak, numpy as np, sys
        indexes = [ak.Flat().add(np.full((20000, 16), value, np.float32)) for value in (1, 2)]
        indexes[0].save(sys.argv[1])
        print("ready", flush=True)
        while True:
            for index in indexes:
                index.save(sys.argv[1])
    """
    for delay in (0.01, 0.02, 0.03, 0.05):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), os.fspath(path)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout.readline() == b"ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(delay)
            child.kill()
        kept = ak.load(path).reconstruct([0, 19999])
        assert (kept == kept[0, 0]).all()
        assert kept[0, 0] in (1, 2)
