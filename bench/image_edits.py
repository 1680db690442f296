"""Photographs, and the edits that make copies of them: strengths are drawn from a seed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from figures import data_folder
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

Rng = np.random.Generator
Edit = Callable[[Any, Rng], Any]


def photos() -> list[Path]:
    """Return the photographs beside the other data: see data_folder()."""
    folder = data_folder() / "photos"
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not found:
        raise SystemExit(f"there are no photographs in {folder}")
    return found


def crop(share: float) -> Edit:
    """Cut off that share of each side, from a place that is drawn."""

    def edit(image: Any, rng: Rng) -> Any:
        width, height = (round(side * (1 - share)) for side in image.size)
        x, y = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
        return image.crop((x, y, x + width, y + height))

    return edit


def resize(image: Any, rng: Rng) -> Any:
    """Scale, by up to a tenth more in one direction."""
    scale, other = rng.uniform(0.4, 1.6), rng.uniform(0.9, 1.1)
    return image.resize((max(8, round(image.width * scale)), max(8, round(image.height * scale * other))), 3)


def jpeg(image: Any, rng: Rng) -> Any:
    """Compress at quality 30."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def blur(image: Any, rng: Rng) -> Any:
    """Blur by 1 to 3 pixels."""
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(1, 3)))


def brightness(image: Any, rng: Rng) -> Any:
    """Darken to .5 to .8, or brighten to 1.25 to 1.6."""
    return ImageEnhance.Brightness(image).enhance(rng.choice([rng.uniform(0.5, 0.8), rng.uniform(1.25, 1.6)]))


def border(image: Any, rng: Rng) -> Any:
    """Frame with black, white or a colour, of 4 to 12 % of the shorter side."""
    width = round(rng.uniform(0.04, 0.12) * min(image.size))
    plain = [(0, 0, 0), (255, 255, 255), tuple(int(part) for part in rng.integers(0, 256, 3))]
    return ImageOps.expand(image, width, plain[rng.integers(3)])


def caption(image: Any, rng: Rng) -> Any:
    """Write across the top or the bottom, on the photograph, on a bar over it, or on a bar that is put beside it."""
    size = max(8, round(image.height * rng.uniform(0.08, 0.14)))
    bar, kind, top = int(1.3 * size), rng.integers(3), rng.random() < 0.3
    beside = kind == 2
    out = Image.new("RGB", (image.width, image.height + bar * int(beside)), "white")
    out.paste(image, (0, bar if beside and top else 0))
    y, draw = 0 if top else out.height - bar, ImageDraw.Draw(out)
    if kind == 1:
        draw.rectangle((0, y, out.width, y + bar), fill="black")
    font = ImageFont.load_default(size)
    draw.text((0.05 * out.width, y), "Look at this photo", fill="black" if beside else "white", font=font)
    return out


def tilt(image: Any, rng: Rng) -> Any:
    """Turn by 3.5 to 6.5 degrees either way, in the same frame or an enlarged one, on black."""
    angle = rng.choice([-1, 1]) * rng.uniform(3.5, 6.5)
    return image.rotate(angle, Image.Resampling.BICUBIC, expand=bool(rng.random() < 0.5))


EDITS: dict[str, Edit] = {
    "crop 10 %": crop(0.1),
    "crop 20 %": crop(0.2),
    "resize": resize,
    "JPEG 30": jpeg,
    "blur": blur,
    "brightness": brightness,
    "border": border,
    "caption": caption,
    "mirror": lambda image, rng: ImageOps.mirror(image),
    "rotate 5": tilt,
    "rotate 90": lambda image, rng: image.rotate(rng.choice([90, 270]), expand=True),
    "grey": lambda image, rng: image.convert("L").convert("RGB"),
}


def edited(path: Path, rng: Rng) -> list[Any]:
    """Return the photograph and then its copies, in the order of EDITS."""
    image = Image.open(path).convert("RGB")
    return [image, *(edit(image, rng) for edit in EDITS.values())]
