"""``annkit dedupe``: finds near-duplicate images in a folder and writes a page to look at them."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

from annkit import image
from annkit.image import _page
from annkit.image._groups import default_radius

__all__ = ["add", "run"]


def add(commands: Any) -> None:
    """Add the command to the parsers of `annkit`."""
    parser = commands.add_parser(
        "dedupe",
        help="find near-duplicate images in a folder",
        description="Finds near-duplicate images in a folder and those below it, and writes an HTML page that shows "
        "them in groups. No file is changed.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    about = "bits that hashes may differ by: more finds more, and more that are no duplicates; {} by default"
    parser.add_argument(
        "--radius",
        type=_bits,
        metavar="BITS",
        default=argparse.SUPPRESS,
        help=about.format("16 of 128 for copy, 8 of 64 for the others"),
    )
    parser.add_argument("--method", choices=image.METHODS, default="copy", help="hash")
    parser.add_argument("--output", type=Path, metavar="FILE", default=Path("duplicates.html"), help="the page")
    parser.add_argument("--threads", type=_bits, metavar="N", default=argparse.SUPPRESS, help="threads, all by default")


def _bits(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    given = vars(options)
    output: Path = options.output
    if output.is_dir():
        raise ValueError(f"--output {output} is a folder, expected a file")
    if not output.absolute().parent.is_dir():
        raise ValueError(f"--output {output}: there is no folder {output.parent}")
    threads = given.get("threads")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what was skipped is shown here, and on the page
        hashes = image.hash(options.folder, options.method, threads=threads, progress=_counter())
    groups = image.duplicates(hashes, given.get("radius"), threads=threads)
    page = _page.render(options.folder, hashes, groups, _settings(options, hashes, given.get("radius")))
    output.write_text(page, encoding="utf-8")
    for path, why in hashes.skipped.items():
        print(f"annkit: skipped {path}: {why}", file=sys.stderr)
    for group in groups:
        print(*group.members, sep="\n", end="\n\n")
    print(f"{_page.summary(hashes, groups)}\n{output} shows them")
    return 0


def _settings(options: argparse.Namespace, hashes: image.ImageHashes, radius: int | None) -> str:
    bits = 8 * hashes.codes.shape[-1]
    used = default_radius(hashes.codes) if radius is None else radius
    return f"method {options.method}, hashes of {bits} bits that differ in at most {used}"


def _counter() -> Any:
    """Return a callable that counts on the terminal, None where there is none."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        print(f"\r{done} of {total} images", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show
