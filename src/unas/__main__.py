"""`python -m unas` and the `unas` script."""

import sys

from unas.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
