"""``python -m annkit`` is the ``annkit`` command."""

import sys

from annkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
