"""What this process holds in memory, now and at its peak."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from annkit.bench.needs import need

__all__ = ["Growth", "growth_of"]

T = TypeVar("T")

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Growth:
    """By how many bytes the process grew during a call: what stayed, and at its peak (None where unknown)."""

    kept: int
    peak: int | None


def _resident() -> int:
    return int(need("psutil").Process().memory_info().rss)


def _settle() -> None:
    """Collect garbage and, where the allocator can, give freed memory back, so that nothing grows into it unseen."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _reset_peak() -> bool:
    """Linux only: start the kernel's high-water mark anew."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak() -> int | None:
    line = next((row for row in _STATUS.read_text().splitlines() if row.startswith("VmHWM:")), None)
    return int(line.split()[1]) * 1024 if line else None


def growth_of(call: Callable[[], T]) -> tuple[T, Growth]:
    """Make a call and measure by how much it grew the process."""
    _settle()
    before, follows_peak = _resident(), sys.platform == "linux" and _reset_peak()
    result = call()
    peak = _peak() if follows_peak else None
    _settle()
    return result, Growth(max(0, _resident() - before), None if peak is None else max(0, peak - before))
