"""Write the type stubs of the compiled module: python tools/stubs.py [FOLDER].

pybind11-stubgen lists classes, methods and properties. Most functions state their own parameters and defaults in the
error that a wrong call raises, as their docstrings are numpydoc and do not. Most parameters are checked inside, so that
pybind11 takes them for plain objects: the tables below say what they are, and one that is missing there is an error.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMITTED = Path(__file__).parent.parent / "python" / "annkit" / "_core"
MODULE = "annkit._core"

# By name, or by function or class and name. Where the default is None, "| None" is added.
PARAMETERS = {
    "a": "ArrayLike",
    "b": "ArrayLike",
    "balance": "float",
    "base": "Index",
    "bits": "SupportsIndex",
    "build_codec": "Codec",
    "coarse": "HNSW",
    "centroids": "ArrayLike",
    "codec": "Codec",
    "codes": "ArrayLike",
    "data": "Buffer",
    "degree": "SupportsIndex",
    "dim": "SupportsIndex",
    "directions": 'Literal["principal", "random"]',
    "ef_build": "SupportsIndex",
    "families": "Sequence[str]",
    "family": "_LSHFamily",
    "file": "str | os.PathLike[str] | BinaryIO",
    "filter": "_Filter",
    "ids": "ArrayLike",
    "iterations": "SupportsIndex",
    "k": "SupportsIndex",
    "k_factor": "float",
    "kind": 'Literal["random", "hadamard"]',
    "labels": "ArrayLike",
    "lists": "SupportsIndex",
    "m": "SupportsIndex",
    "memo": "object",
    "metric": "_Metric",
    "mmap": "bool",
    "n": "SupportsIndex",
    "objective": "ArrayLike",
    "outliers": "float",
    "progress": "_Progress",
    "queries": "ArrayLike",
    "pairs.radius": "int",
    "radius": "float",
    "range.radius": "int",
    "replace": "bool",
    "residual": "bool",
    "recall": "float",
    "rounds": "SupportsIndex",
    "sample": "SupportsIndex",
    "rows": "SupportsIndex",
    "scan": 'Literal["sq8"]',
    "seed": "SupportsIndex",
    "sketch": "SupportsIndex",
    "spherical": "bool",
    "KMeans.start": 'Literal["random", "k-means++"]',
    "ITQ.start": 'Literal["pca", "cca", "lda"]',
    "tables": "SupportsIndex",
    "threads": "SupportsIndex",
    "threshold": 'Literal["zero", "median"]',
    "through": "Transform | Sequence[Transform]",
    "type": "_Element",
    "uniform": "bool",
    "asymmetric": "bool",
    "center": "bool",
    "whiten": "bool | float",
    "width": "float",
    "within": "float",
    "x": "ArrayLike",
    "y": "ArrayLike",
}
# What *args and **kwargs of a function hold.
REST = {"search": "float", "range_search": "float", "__init__": "Transform | Index"}
# What functions return that give objects of Python, or self.
RETURNS = {
    "add": "Self",
    "apply": "NDArray[np.float32]",
    "buckets": "NDArray[np.int64]",
    "centroids_": "NDArray[np.float32]",
    "components_": "NDArray[np.float32]",
    "codebooks_": "NDArray[np.float32]",
    "compact": "Self",
    "decode": "NDArray[Any]",
    "encode": "NDArray[np.uint8]",
    "explained_variance_": "NDArray[np.float64]",
    "fit": "Self",
    "invert": "NDArray[np.float32]",
    "matrix_": "NDArray[np.float32]",
    "mean_": "NDArray[np.float32]",
    "medians_": "NDArray[np.float32]",
    "memory": "dict[str, int]",
    "objective_": "NDArray[np.float64]",
    "predict": "NDArray[np.int64]",
    "settings": "list[str]",
    "ids": "NDArray[np.int64]",
    "pairs": "PairsResult",
    "pairwise": "NDArray[np.int32]",
    "range": "RangeResult",
    "range_search": "RangeResult",
    "reconstruct": "NDArray[Any]",
    "remove": "Self",
    "reserve": "Self",
    "search": "SearchResult",
    "stats": "dict[str, Any]",
    "topk": "SearchResult",
    "transforms": "tuple[Transform, ...]",
    "tuned": "TunedLSH",
    "__init__": "None",
    "__copy__": "Self",
    "__deepcopy__": "Self",
}
SPECIAL_METHODS = {"__init__", "__len__", "__copy__", "__deepcopy__"}  # object has the others
PRIVATE = {"_codes", "_image", "_kernels", "_math"}  # for tests and the bench

HEADERS = {
    "__init__": """
import os
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Literal, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Buffer, Self

from annkit._core import hamming as hamming
from annkit._core import simd as simd
from annkit._lsh import TunedLSH
from annkit._results import RangeResult, SearchResult

_Element: TypeAlias = Literal["f32", "f16", "bf16", "u8", "i8"]
_Metric: TypeAlias = Literal["l2", "euclidean", "ip", "cosine", "hamming"]
_LSHFamily: TypeAlias = Literal["hyperplane", "p-stable", "cross-polytope"]
_OneFilter: TypeAlias = NDArray[np.bool_] | NDArray[np.integer[Any]] | Sequence[int]
_Filter: TypeAlias = _OneFilter | Sequence[NDArray[np.bool_] | NDArray[np.integer[Any]]]
_Progress: TypeAlias = bool | Callable[[int, int], object]

__version__: str

class NotFittedError(ValueError): ...
class FormatError(ValueError): ...
""",
    "hamming": """
from collections.abc import Callable
from typing import SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annkit._results import PairsResult, RangeResult, SearchResult

_Progress: TypeAlias = bool | Callable[[int, int], object]
""",
    "simd": "",
}
PRIVATE_STUB = "from typing import Any\n\ndef __getattr__(name: str) -> Any: ...\n"


def signature(function: Callable[..., object]) -> str:
    """Return the parameters and the result that a compiled function states, or names when it is called wrongly."""
    if stated := getattr(function, "__text_signature__", None):
        return f"{stated.replace('$self', 'self')} -> None"
    try:
        function(no_such_parameter=None)
    except TypeError as error:
        found = re.search(r"^    1\. [\w.]*(\(.*\))(?: -> (.*))?$", str(error), re.MULTILINE)
        if found is None:
            raise RuntimeError(f"no signature in: {error}") from None
        return f"{found[1]} -> {found[2] or None}"
    raise RuntimeError(f"{function} takes no_such_parameter")


def annotated(name: str, function: Callable[..., object], owner: Any) -> ast.FunctionDef:
    """Return the definition of a function of a module or a class for a stub."""
    is_method = isinstance(owner, type)
    (definition,) = ast.parse(f"def {name}{signature(function)}: ...").body
    assert isinstance(definition, ast.FunctionDef)
    arguments = definition.args
    if name == "__init__" or (is_method and arguments.args and arguments.args[0].arg == "arg0"):
        arguments.args[: name != "__init__"] = [ast.arg("self")]
    padded = [None] * (len(arguments.args) - len(arguments.defaults)) + arguments.defaults
    for argument, default in zip(arguments.args + arguments.kwonlyargs, padded + arguments.kw_defaults, strict=True):
        if argument.arg == "self":
            argument.annotation = None
            continue
        keys = (f"{name}.{argument.arg}", f"{owner.__name__}.{argument.arg}", argument.arg)
        kind = next((PARAMETERS[key] for key in keys if key in PARAMETERS), None)
        if kind is None:
            raise LookupError(f"PARAMETERS has no type for {argument.arg} of {name}")
        if isinstance(default, ast.Constant) and default.value is None:
            kind += " | None"
        argument.annotation = ast.parse(kind, mode="eval").body
    for rest in (arguments.vararg, arguments.kwarg):
        if rest is not None:
            rest.annotation = ast.parse(REST[name], mode="eval").body
    if is_method and not any(argument.arg == "self" for argument in arguments.args):
        definition.decorator_list = [ast.Name("staticmethod")]
    assert definition.returns is not None
    result = RETURNS.get(name) or ast.unparse(definition.returns).removeprefix(f"{MODULE}.")
    definition.returns = ast.parse(result, mode="eval").body
    return definition


def members(found: list[ast.stmt], owner: Any) -> list[ast.stmt]:
    """Return the definitions of a module or a class, from those that stubgen found in it."""
    out: list[ast.stmt] = []
    for node in found:
        if isinstance(node, ast.ClassDef):
            node.body = members(node.body, getattr(owner, node.name)) or [ast.Expr(ast.Constant(...))]
            out.append(node)
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("__") or node.name in SPECIAL_METHODS):
            value = owner if node.name == "__init__" else getattr(owner, node.name)
            is_property = isinstance(value, property)
            definition = annotated(node.name, value.fget if is_property else value, owner)
            if is_property:
                definition.decorator_list = [ast.Name("property")]
            out.append(definition)
    return out


def generate() -> dict[str, str]:
    """Return the text of every stub by its name, not yet formatted."""
    stubs = dict.fromkeys(PRIVATE, PRIVATE_STUB)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pybind11_stubgen", MODULE, "--output-dir", folder]
        subprocess.run(command, check=True, capture_output=True)
        listed = Path(folder, *MODULE.split("."))
        for name, header in HEADERS.items():
            module = importlib.import_module(MODULE)
            tree = ast.parse((listed / f"{name}.pyi").read_text())
            body = members(tree.body, module if name == "__init__" else getattr(module, name))
            stubs[name] = header + ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))
        unknown = {path.stem for path in listed.glob("*.pyi")} - set(stubs)
    if unknown:
        raise LookupError(f"HEADERS and PRIVATE lack the modules {unknown}")
    return stubs


def main() -> None:
    """Write the stubs and format them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else COMMITTED
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in generate().items():
        (folder / f"{name}.pyi").write_text(text)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(folder)], check=True)


if __name__ == "__main__":
    main()
