"""Writes the page that shows groups of near-duplicates: one file, thumbnails inside."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from annkit.image._files import decoded, pillow
from annkit.image._groups import DuplicateGroup
from annkit.image._hashing import ImageHashes

__all__ = ["render", "summary"]

_SIDE = 220
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #fff; --faint: #d8dee4; --quiet: #59636e; --best: #1a7f37;
  --ground: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --faint: #30363d; --quiet: #9198a1; --best: #3fb950; --ground: #161b22; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1240px; margin: 2em auto; padding: 0 1em; }
h2 { font-size: 1.05em; margin: 2em 0 .6em; padding-top: .8em; border-top: 1px solid var(--faint); }
.group { display: flex; flex-wrap: wrap; gap: 14px; }
figure { margin: 0; width: 220px; }
figure a { display: flex; align-items: center; justify-content: center; height: 200px; background: var(--ground);
  border: 1px solid var(--faint); border-radius: 6px; overflow: hidden; }
figure.largest a { border-color: var(--best); }
img { max-width: 100%; max-height: 100%; display: block; }
figcaption { font-size: 12.5px; line-height: 1.4; margin-top: .4em; overflow-wrap: anywhere; }
.quiet, summary { color: var(--quiet); }
.best { color: var(--best); font-weight: 600; }
"""


class _Look(NamedTuple):
    """What is shown of a file."""

    width: int
    height: int
    size: int  # bytes
    digest: bytes  # of the file
    thumbnail: str  # a data URI


def render(folder: Path, hashes: ImageHashes, groups: Sequence[DuplicateGroup], settings: str) -> str:
    """Return the page.

    Parameters
    ----------
    folder : Path
        What was looked through: names are given from there.
    hashes, groups :
        From `hash` and `duplicates`.
    settings : str
        What they were made with, for the reader.
    """
    parts = [f"<h1>Near-duplicates in {escape(str(folder))}</h1>", f"<p>{escape(summary(hashes, groups))}</p>"]
    note = "Each image links to its file. The one of most pixels in its group (of most bytes among those) is marked."
    parts.append(f'<p class="quiet">{escape(settings[0].upper() + settings[1:])}. {note if groups else ""}</p>')
    parts += [_group(folder, number, group) for number, group in enumerate(groups, 1)]
    if hashes.skipped:
        lines = "".join(
            f"<li>{escape(_name(path, folder))} <span class='quiet'>{escape(why)}</span></li>"
            for path, why in hashes.skipped.items()
        )
        parts.append(f"<h2>Not read: {len(hashes.skipped)}</h2><ul>{lines}</ul>")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
    top = f'<!doctype html>\n<html lang="en"><head>{head}<title>Near-duplicate images</title></head>'
    body = "\n".join(parts)
    return f"{top}\n<body>\n{body}\n</body></html>\n"


def summary(hashes: ImageHashes, groups: Sequence[DuplicateGroup]) -> str:
    """Return one sentence that says what was found."""
    looked = _counted(len(hashes.paths), "image")
    left = f"; {_counted(len(hashes.skipped), 'file')} could not be read" if hashes.skipped else ""
    if not groups:
        return f"{looked}, no near-duplicates{left}"
    members = sum(len(group.members) for group in groups)
    return f"{looked}: {members} are near-duplicates, in {_counted(len(groups), 'group')}{left}"


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def _group(folder: Path, number: int, group: DuplicateGroup) -> str:
    looks = [_look(path) for path in group.members]
    largest = max(range(len(looks)), key=lambda i: (looks[i].width * looks[i].height, looks[i].size))
    digests = [look.digest for look in looks]
    notes = [
        "same file as another" if digests.count(look.digest) > 1 else f"{_counted(int(bits), 'bit')} from the nearest"
        for look, bits in zip(looks, group.distances, strict=True)
    ]
    figures = "\n".join(
        _figure(_name(path, folder), path, look, note, i == largest)
        for i, (path, look, note) in enumerate(zip(group.members, looks, notes, strict=True))
    )
    return f'<h2>Group {number}: {len(looks)} images</h2>\n<div class="group">\n{figures}\n</div>'


def _figure(name: str, path: Path, look: _Look, note: str, largest: bool) -> str:
    facts = f"{look.width} × {look.height}, {_bytes(look.size)}"
    mark = ' <span class="best">largest</span>' if largest else ""
    return (
        f'<figure{" class=largest" if largest else ""}><a href="{escape(path.resolve().as_uri())}">'
        f'<img loading="lazy" alt="{escape(name)}" src="{look.thumbnail}"></a>'
        f'<figcaption>{escape(name)}{mark}<br><span class="quiet">{facts}<br>{note}</span></figcaption></figure>'
    )


def _look(path: Path) -> _Look:
    image_module = pillow()
    content = path.read_bytes()
    with image_module.open(io.BytesIO(content)) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) >= 5  # stored on its side
        image.draft("RGB", (2 * _SIDE, 2 * _SIDE))  # a JPEG is decoded no larger than is needed
        thumbnail = image_module.fromarray(decoded(image))
    thumbnail.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    thumbnail.save(buffer, "JPEG", quality=80)
    data = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    shape = (height, width) if turned else (width, height)
    return _Look(*shape, len(content), hashlib.blake2b(content).digest(), data)


def _name(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder) if folder.is_dir() else str(path)


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(size / 1e3, 1):.0f} kB"
