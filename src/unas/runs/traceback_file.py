"""The traceback of a run that ended by a fault, kept in its directory."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator

from unas.common.errors import Interrupted, UserError
from unas.runs.names import TRACEBACK
from unas.runs.run_log import RunLog


@contextlib.contextmanager
def traceback_kept(run: RunLog) -> Iterator[None]:
    """Write traceback.txt for an error in the block that nobody has foreseen.

    That of an earlier attempt is removed.

    Args:
        run: of this process, which writes it down.
    """
    path = run.path(TRACEBACK)
    path.unlink(missing_ok=True)
    try:
        yield
    except (UserError, Interrupted):
        raise
    except Exception as error:
        with contextlib.suppress(OSError, UserError):  # a full disk must not hide the error
            run.write_text(TRACEBACK, "".join(traceback.format_exception(error)))
            error.add_note(f"This traceback is in {path}.")
        raise
