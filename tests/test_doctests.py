"""Every public docstring is numpydoc, and every example in docstrings and in the README runs as printed."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import annkit as ak

README = Path(__file__).parent.parent / "README.md"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def public() -> dict[str, Any]:
    """Return every public object by its name, with the methods and properties of the classes."""
    found: dict[str, Any] = {}
    names = [(ak, "annkit", ak.__all__)] + [
        (module, f"annkit.{name}", getattr(module, "__all__", [n for n in dir(module) if not n.startswith("_")]))
        for name, module in vars(ak).items()
        if name in ("hamming", "simd", "hash", "image", "metrics")
    ]
    for module, prefix, members in names:
        for member in members:
            value = getattr(module, member)
            if inspect.ismodule(value) or isinstance(value, (str, tuple)):
                continue
            found[f"{prefix}.{member}"] = value
            if inspect.isclass(value):
                for name, method in vars(value).items():
                    if not name.startswith("_") and (callable(method) or isinstance(method, property | staticmethod)):
                        found[f"{prefix}.{member}.{name}"] = method
    return found


PUBLIC = public()


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(text: str, name: str) -> int:
    test = doctest.DocTestParser().get_doctest(text, {"ak": ak, "np": np}, name, None, None)
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.append)
    assert result.failed == 0, "".join(report)
    return result.attempted


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring(name: str) -> None:
    value = PUBLIC[name]
    text = inspect.getdoc(value.__func__ if isinstance(value, staticmethod) else value)
    assert text, f"{name} has no docstring"
    assert text.splitlines()[0].strip(), f"{name}: the first line says nothing"
    run(text, name)


def test_classes_and_functions_have_examples() -> None:
    for name in ("Flat", "Raw", "Bits", "load"):
        assert ">>>" in inspect.getdoc(getattr(ak, name)), name
    for function in (ak.hamming.topk, ak.hamming.range, ak.hamming.pairwise, ak.Index.search, ak.Index.range_search):
        assert ">>>" in inspect.getdoc(function), function.__name__


@pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")
def test_readme() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert run("\n".join(blocks), "README.md") > 5
