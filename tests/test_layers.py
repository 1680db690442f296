"""The layers of the design: an arrow that runs back fails here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CPP = ROOT / "cpp"

# What each folder may include, besides itself.
ALLOWED = {
    "simd": {"core"},  # for errors: the files of kernels include neither, see below
    "core": {"simd"},
    "math": {"core", "simd"},
    "image": {"math", "core"},
    "transform": {"math", "core", "simd"},
    "codec": {"math", "core", "simd"},
    "index": {"codec", "transform", "math", "core", "simd"},
    "formats": {"index", "codec", "transform", "math", "core", "simd"},
}
EVERYWHERE = set(ALLOWED)
SOURCES = sorted(path for path in CPP.rglob("*") if path.suffix in {".h", ".cpp"}) if CPP.exists() else []
pytestmark = pytest.mark.skipif(not SOURCES, reason="the C++ sources are not beside the tests")


def includes(path: Path) -> list[str]:
    return re.findall(r'#include\s+["<]([^">]+)[">]', path.read_text())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CPP)))
def test_includes_point_downwards(path: Path) -> None:
    parts = path.relative_to(CPP).parts
    layer = parts[1] if parts[0] == "annkit" and len(parts) > 2 else None
    allowed = ALLOWED[layer] | {layer} if layer else EVERYWHERE
    for name in includes(path):
        if name.startswith("annkit/") and name.count("/") > 1:
            assert name.split("/")[1] in allowed, f"{path.name} includes {name}"
    assert parts[0] == "bindings" or not any("pybind11" in name or name == "Python.h" for name in includes(path))


ONLY_IN = {
    "<omp.h>": {"annkit/core/parallel.cpp"},
    "#pragma omp": {"annkit/core/parallel.cpp"},
    "<Eigen/": {"annkit/math/linalg.cpp", "annkit/math/linalg.h"},
}


@pytest.mark.parametrize("text", ONLY_IN)
def test_a_library_is_known_in_one_place(text: str) -> None:
    found = {path.relative_to(CPP).as_posix() for path in SOURCES if text in path.read_text()}
    assert found <= ONLY_IN[text]
    assert found, f"{text} is found nowhere: does this test still look for the right thing?"


def test_no_two_headers_define_a_class_of_one_name() -> None:
    # Both would be annkit::Name: the linker takes the inline functions of one for those of the other.
    found: dict[str, list[str]] = {}
    for path in SOURCES:
        if path.suffix == ".h" and path.parent.name in ALLOWED and path.parent.name != "simd":
            for name in re.findall(r"^(?:class|struct|enum class) (\w+)[^;{]*\{", path.read_text(), re.MULTILINE):
                found.setdefault(name, []).append(path.name)
    assert len(found) > 100
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_intrinsics_stay_in_simd() -> None:
    for path in SOURCES:
        if path.parent.name != "simd":
            assert not {"immintrin.h", "arm_neon.h"} & set(includes(path)), path
            assert not re.search(r"\b_mm\d*_\w+\(", path.read_text()), path


def test_kernel_files_include_no_standard_headers() -> None:
    """A function of the standard library inlined there would carry AVX-512 into the rest of the program."""
    free = {"immintrin.h", "arm_neon.h", "cstddef", "cstdint"}
    for path in SOURCES:
        if path.parent.name == "simd" and path.stem not in {"cpu", "dispatch"}:
            foreign = {name for name in includes(path) if not name.startswith("annkit/simd/")} - free
            assert not foreign, f"{path.name} includes {foreign}"


def test_nothing_prints() -> None:
    for path in SOURCES:
        assert not re.search(r"std::c(out|err)|\bprintf\(", path.read_text()), path


def test_import_needs_numpy_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import annkit;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in names if not name.startswith("_")}
    assert ours - set(sys.stdlib_module_names) <= {"annkit", "numpy"}, names
