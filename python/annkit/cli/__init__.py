"""The ``annkit`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import annkit
from annkit.cli import bench, dedupe

__all__ = ["main", "parser"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if all went well, 1 if nothing could be measured, 2 if the arguments are wrong."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except (OSError, ValueError, ImportError) as error:
        print(f"annkit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("annkit: interrupted", file=sys.stderr)
        return 130
    return status


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    top = argparse.ArgumentParser("annkit", description="Nearest neighbour search at the speed the hardware allows.")
    top.add_argument("--version", action="version", version=f"annkit {annkit.__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    bench.add(commands)
    dedupe.add(commands)
    return top
