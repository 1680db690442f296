"""What has to answer the same: batches, threads, and copies of an index, stored or not."""

from __future__ import annotations

import copy
import pickle

import pytest
from truth import assert_same

import annkit as ak


def assert_same_in_batches(index, q, **settings):
    whole = index.search(q, k=7, threads=1, **settings)
    assert_same(index.search(q, k=7, threads=3, **settings), whole)
    for size in (1, 2, 3, 17):
        assert_same(index.search(q[:size], k=7, **settings), [part[:size] for part in whole])


def assert_same_when_stored(index, q, path):
    """Also that files which end early are refused, and mapped ones do not change."""
    expected, data = index.search(q, k=5), index.to_bytes()
    index.save(path)
    mapped = ak.load(path, mmap=True)
    for other in (
        ak.load(path),
        mapped,
        ak.Index.from_bytes(data),
        pickle.loads(pickle.dumps(index)),
        copy.copy(index),
    ):
        assert other.to_bytes() == data
        assert repr(other) == repr(index)
        assert_same(other.search(q, k=5), expected)
    with pytest.raises(ValueError, match="mmap"):
        mapped.remove(index.ids[:1])
    for end in range(0, len(data), len(data) // 40):
        with pytest.raises(ak.FormatError):
            ak.Index.from_bytes(data[:end])
