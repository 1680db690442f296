"""Programs that run in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

SETUP = """
    import os, signal, sys, threading, time
    import numpy as np, annkit as ak
    rng = np.random.default_rng(3)
    x = rng.standard_normal((20000, 32)).astype(np.float32)
    index = ak.Flat().add(x)

    def same(a, b):
        return all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))
"""
LISTS = {
    "ivf": "ak.IVF(lists=1024)",
    "ivf pq4": "ak.IVF(lists=256, codec=ak.PQ(32, bits=4))",
    "ivf pq8": "ak.IVF(lists=256, codec=ak.PQ(16))",
    "ivf rabitq": "ak.IVF(lists=256, codec=ak.RaBitQ(4))",
    "hnsw": "ak.HNSW(degree=16, ef_build=40, codec=ak.SQ(8))",
    "refine hnsw": "ak.Refine(ak.HNSW(degree=16, ef_build=40, codec=ak.SQ(8)))",
    "refine": "ak.Refine(ak.IVF(lists=256, codec=ak.SQ(4)), codec=ak.SQ(8))",
    "pipeline": "ak.Pipeline(ak.OPQ(16), ak.IVF(lists=256, codec=ak.PQ(16, bits=4)))",
}
posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")
# The address sanitizer's `new` ends the process instead of throwing, keeps freed memory aside, and pads what it gives.
own_allocator = pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="needs the system's allocator")


def run(code, **environment):
    """Run code after SETUP in a process of its own; fail with what it wrote."""
    program = textwrap.dedent(SETUP) + textwrap.dedent(code)
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr[-3000:]}"
    return done.stdout
