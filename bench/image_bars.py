"""Bars of image hashes: copies that they find among photographs, and photographs a second, beside imagehash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from figures import median_times, show
from image_edits import EDITS, edited, photos
from PIL import Image

import annkit as ak

_LEAD = 0.15
_RATE = 2000


def copies() -> None:
    """F1 of pairs of a copy and an original that a threshold calls alike.

    One half of the photographs gives each hash its best threshold, the other half is scored: each of their copies
    beside each of their originals.
    """
    peers = imagehash_module()
    paths = photos()
    seed = np.random.default_rng(3)
    order = seed.permutation(len(paths))
    own: dict[str, list[np.ndarray]] = {method: [] for method in ("copy", "perceptual")}
    theirs: list[np.ndarray] = []
    for i in order:
        images = edited(paths[i], seed)
        for method, codes in own.items():
            codes.append(ak.image.hash(images, method, threads=1))
        theirs.append(np.packbits([peers.phash(image).hash.ravel() for image in images], axis=1))
    peer = score(np.stack(theirs))
    show("copies, imagehash.phash", f"F1 {peer.f1:.3f}", f"radius {peer.radius} of 64", "")
    for method, codes in own.items():
        found = score(np.stack(codes))
        aim = f" (from {_LEAD:+} on)" if method == "copy" else ""
        show(
            f"copies, {method}",
            f"F1 {found.f1:.3f}",
            f"radius {found.radius} of {8 * codes[0].shape[-1]}",
            f"{found.f1 - peer.f1:+.3f}{aim}",
        )
        if method == "copy":
            for name, share, their in zip(EDITS, found.recalls, peer.recalls, strict=True):
                show(f"  recall of {name}", f"{share:.3f}", "", f"{their:.3f}")
            for radius, f1, precision, recall in found.curve:
                show(f"  radius {radius}", f"F1 {f1:.3f}", f"precision {precision:.4f}", f"recall {recall:.3f}")


def against_imagehash() -> None:
    """Photographs of 256 x 256 a second from arrays in colour, on one thread."""
    peers = imagehash_module()
    shrunk = [Image.open(path).convert("RGB").resize((256, 256)) for path in photos()[::4]]
    images = np.stack([np.asarray(image) for image in shrunk])
    functions = {
        "copy": None,
        "average": peers.average_hash,
        "difference": peers.dhash,
        "perceptual": peers.phash,
        "block": None,
        "wavelet": peers.whash,
        "radial": None,
    }
    for method, function in functions.items():
        calls: list[Callable[[], Any]] = [lambda m=method: ak.image.hash(images, m, threads=1)]
        if function is not None:
            calls.append(lambda f=function: [f(Image.fromarray(image)) for image in images[:20]])
        seconds, *others = median_times(*calls, seconds=1.0)
        ratio = f"{others[0] * len(images) / 20 / seconds:.0f} x imagehash" if others else ""
        aim = f"from {_RATE:,} on" if method == "copy" else ""
        show(f"image hash {method}, 256x256x3", f"{len(images) / seconds:,.0f} photos/s", aim, ratio)


class Score(NamedTuple):
    """What a hash finds of the half that is scored, at the threshold that was best on the other."""

    f1: float
    radius: int
    recalls: list[float]
    curve: list[tuple[int, float, float, float]]  # radius, F1, precision, recall


def score(codes: np.ndarray) -> Score:
    """Judge codes of shape (photographs, 1 + edits, ...)."""
    half = len(codes) // 2
    learnt, judged = table(codes[:half]), table(codes[half:])
    truth = [np.repeat(np.eye(len(part), dtype=bool), len(EDITS), axis=0) for part in (codes[:half], codes[half:])]
    radii = range(8 * codes.shape[-1] // 2)
    radius = max(radii, key=lambda r: ak.metrics.f1(learnt <= r, truth[0]))
    own = judged[truth[1]].reshape(-1, len(EDITS))
    curve = []
    for r in sorted({radius, *range(8, radius + 9, 4)}):
        near = judged <= r
        precision = (near & truth[1]).sum() / max(near.sum(), 1)
        curve.append((r, ak.metrics.f1(near, truth[1]), float(precision), float((own <= r).mean())))
    f1 = ak.metrics.f1(judged <= radius, truth[1])
    return Score(f1, radius, (own <= radius).mean(axis=0).tolist(), curve)


def table(codes: np.ndarray) -> np.ndarray:
    """Return the distances of all copies (rows, photograph by photograph) to all originals."""
    return ak.image.distances(codes[:, 1:].reshape(-1, *codes.shape[2:]), codes[:, 0])


def imagehash_module() -> Any:
    """Return imagehash."""
    try:
        import imagehash
    except ImportError as error:
        raise SystemExit("this bar needs imagehash: pip install imagehash") from error
    return imagehash
