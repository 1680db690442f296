"""Fixtures that the tests share."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest

import annkit as ak


@pytest.fixture
def rng():
    """Return a generator that is the same in every run."""
    return np.random.default_rng(20240607)


@pytest.fixture(params=ak.simd.levels())
def level(request):
    """Return each instruction set that this machine has."""
    return request.param


@pytest.fixture(scope="session")
def real_data():
    """Return the folder with real data sets, or skip."""
    folder = os.environ.get("ANNKIT_TEST_DATA")
    if not folder:
        pytest.skip("ANNKIT_TEST_DATA names no folder with data sets")
    return pathlib.Path(folder)


@pytest.fixture
def restore_threads():
    """Put back the default number of threads."""
    yield
    ak.set_threads(None)
