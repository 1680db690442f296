"""Describes the machine and the versions that a measurement belongs to."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from pathlib import Path
from typing import Any

import annkit
from annkit.bench.needs import version_of

__all__ = ["cores", "describe", "load", "pin"]


def cores() -> list[int]:
    """Return the cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else list(range(os.cpu_count() or 1))


def load() -> float:
    """Return how many processes wanted a core in the last minute; 0 where the platform does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return 0.0


def pin(chosen: list[int]) -> bool:
    """Pin every thread of this process to the chosen cores; False where the platform cannot."""
    set_affinity = getattr(os, "sched_setaffinity", None)
    if set_affinity is None:
        return False
    tasks = Path("/proc/self/task")
    for thread in [int(task.name) for task in tasks.iterdir()] if tasks.is_dir() else [0]:
        with contextlib.suppress(ProcessLookupError):  # the thread ended meanwhile
            set_affinity(thread, chosen)
    return True


def _cpu_info() -> tuple[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine(), ""
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    flags = values.get("flags", values.get("Features", "")).split()
    wanted = ("avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx512_vpopcntdq", "asimd", "asimddp", "sve")
    return values.get("model name", platform.machine()), " ".join(flag for flag in wanted if flag in flags)


def _ram() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def describe() -> dict[str, Any]:
    """Return what a reader needs to know about the machine to judge a number."""
    model, flags = _cpu_info()
    return {
        "cpu": model,
        "instruction_sets": flags,
        "cores": len(cores()),
        "core_ids": cores(),
        "ram_bytes": _ram(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": sys.version.split()[0],
        "numpy": version_of("numpy"),
        "annkit": annkit.__version__,
        "annkit_simd": annkit.simd.level(),
    }
