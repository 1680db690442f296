"""Imports what only the bench needs, and says how to install what is missing."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from types import ModuleType

__all__ = ["installed", "need", "version_of"]


def need(module: str) -> ModuleType:
    """Import a module of the ``bench`` extra, or raise an ImportError that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f'annkit bench needs {package}: pip install "annkit-native[bench]"') from error


def installed(module: str) -> bool:
    """Say whether a module could be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def version_of(distribution: str) -> str | None:
    """Return the installed version of a distribution, None where there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
