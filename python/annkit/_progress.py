"""Progress bars for ``progress=True``."""

from __future__ import annotations

import importlib
from collections.abc import Callable


def bar() -> Callable[[int, int], None]:
    """Return a callable that draws a tqdm bar from (done, total)."""
    try:
        tqdm = importlib.import_module("tqdm.auto").tqdm  # it has no types, and annkit should have none missing
    except ImportError as error:
        raise ImportError('progress=True needs tqdm: pip install "annkit-native[progress]"') from error
    drawn = tqdm(unit="rows", unit_scale=True)

    def update(done: int, total: int) -> None:
        drawn.total = total
        drawn.update(done - drawn.n)
        if done >= total:
            drawn.close()

    return update
