"""Finds image files and decodes them with Pillow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["decoded", "files_in", "opened", "pillow"]


def pillow() -> ModuleType:
    """Import Pillow's Image, or raise an ImportError that says how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('reading image files needs Pillow: pip install "annkit-native[image]"') from error
    return Image


def files_in(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the files in a folder and those below it that are named like images, in order; or the one file given."""
    place = Path(folder)
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise FileNotFoundError(f"{place} is neither a folder nor a file")
    endings = set(pillow().registered_extensions())
    found = sorted(path for path in _below(place) if path.suffix.lower() in endings)
    if not found:
        raise ValueError(f"{place} has no images")
    return found


def _below(place: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(place):
        yield from (Path(folder, name) for name in names)


def decoded(image: Any) -> NDArray[np.uint8]:
    """Return the pixels of an image of Pillow, (h, w) or (h, w, 3), upright and on white where it is transparent."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        return np.asarray(np.asarray(upright) >> 8, np.uint8)
    if upright.has_transparency_data:
        shown = upright.convert("RGBA")
        ground = pillow().new("RGBA", shown.size, "white")
        upright = pillow().alpha_composite(ground, shown)
    return np.asarray(upright if upright.mode == "L" else upright.convert("RGB"), np.uint8)


def opened(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Return the pixels of a file."""
    with pillow().open(path) as image:
        return decoded(image)
