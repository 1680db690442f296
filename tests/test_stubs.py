"""The stubs of the compiled module say what the module is, and what a user's type checker needs."""

from __future__ import annotations

import ast
import inspect
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import annkit
import annkit._core as core

HERE = Path(__file__).parent
PACKAGE = Path(annkit.__file__).parent
STUBS = PACKAGE / "_core"
GENERATOR = HERE.parent / "tools" / "stubs.py"


@pytest.mark.skipif(not GENERATOR.exists(), reason="the generator is not beside the tests")
def test_stubs_are_those_that_the_generator_writes() -> None:
    pytest.importorskip("pybind11_stubgen")
    generated = runpy.run_path(str(GENERATOR))["generate"]()
    assert set(generated) == {path.stem for path in STUBS.glob("*.pyi")}
    for name, text in generated.items():
        committed = (STUBS / f"{name}.pyi").read_text()
        assert ast.unparse(ast.parse(committed)) == ast.unparse(ast.parse(text)), "run tools/stubs.py"


def definitions(name: str) -> dict[str, ast.FunctionDef]:
    """Return the functions and methods of a stub by their dotted names."""
    found: dict[str, ast.FunctionDef] = {}
    for node in ast.parse((STUBS / f"{name}.pyi").read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{part.name}": part for part in node.body if isinstance(part, ast.FunctionDef)}
    return found


MODULES: dict[str, Any] = {"__init__": core, "hamming": core.hamming, "simd": core.simd}
FUNCTIONS = [
    (module, name)
    for module in MODULES
    for name in definitions(module)
    if "__" not in name or name.endswith("__init__")
]


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_parameters_are_the_documented_ones(module: str, name: str) -> None:
    value = MODULES[module]
    for part in name.removesuffix(".__init__").split("."):
        value = getattr(value, part)
    section = re.search(r"Parameters\n-+\n(.*?)(?=\n\n[A-Z]\w+\n-+|\Z)", inspect.getdoc(value) or "", re.DOTALL)
    documented = re.findall(r"^(\w+) :", section.group(1), re.MULTILINE) if section else []
    arguments = definitions(module)[name].args
    assert [a.arg for a in [*arguments.args, *arguments.kwonlyargs] if a.arg != "self"] == documented


# Private modules, and what stubtest sees of pybind11's own machinery.
NOT_OURS = re.compile(r"\._codes|\._image|\._kernels|\._math|metaclass differs|does not have \*args")


def test_stubtest_finds_nothing_else(tmp_path: Path) -> None:
    """Names and kinds, by mypy's own comparison of stubs with the module."""
    pytest.importorskip("mypy.stubtest")
    command = [sys.executable, "-m", "mypy.stubtest", "annkit._core", "--concise"]
    (tmp_path / "annkit").symlink_to(PACKAGE)  # the folder it is installed in holds modules that mypy does not expect
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "annkit._core" in done.stdout, done.stderr
    assert not [line for line in done.stdout.splitlines() if not NOT_OURS.search(line)], done.stdout


def test_mypy_takes_a_users_program(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    installed = PACKAGE.parent.name == "site-packages"  # where mypy looks by itself
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(HERE / "typing_example.py")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | ({} if installed else {"MYPYPATH": str(PACKAGE.parent)}),
    )
    assert done.returncode == 0, done.stdout + done.stderr
