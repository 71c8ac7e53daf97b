"""`python -m unas` and the `unas` script."""

import os
import sys

from unas.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    code = main()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # A thread of torch's that is still there when C++ tears down aborts the process, which
        # torchrun takes for a failure of finished work ("terminate called without an active
        # exception").
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
