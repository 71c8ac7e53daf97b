"""The image files that can't be read: counted, named in the log, and limited in number."""

from __future__ import annotations

import logging
import threading

from unas.common.errors import UserError, kind_and_line
from unas.common.text import printable

_log = logging.getLogger("unas.data")


class SkippedFiles:
    """The files of a dataset that can't be read, each with the reason; threads may share it.

    Args:
        dataset: the word that lines begin with.
        total: number of files in the dataset.
        most: largest share of them that may be unreadable.
    """

    def __init__(self, dataset: str, total: int, most: float) -> None:
        self._dataset = dataset
        self._total = total
        self._most = most
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()

    def __contains__(self, path: str) -> bool:
        return path in self._reasons

    def __len__(self) -> int:
        return len(self._reasons)

    def add(self, path: str, error: Exception) -> None:
        """Count a file, once, and name it in the log.

        Raises:
            UserError: they are too many.
        """
        reason = kind_and_line(error)
        with self._lock:
            if path not in self._reasons:
                self._reasons[path] = reason
                self._log_newest(path, reason)
        self.check()

    def _log_newest(self, path: str, reason: str) -> None:
        # Whoever made the file chose its name, which may hold codes that move a terminal's cursor.
        file = printable(f"{path} can't be read ({reason})")
        line = "%s: %s and is skipped; %d of %d so far"
        _log.warning(line, self._dataset, file, len(self._reasons), self._total)

    def check(self) -> None:
        """Refuse to go on if the files are too many.

        Raises:
            UserError: names the last of them.
        """
        count = len(self._reasons)
        if count <= self._most * self._total:
            return
        path, reason = list(self._reasons.items())[-1]
        raise UserError(
            f"{self._dataset}: {count} of {self._total} images can't be read, "
            f"more than dataset.max_corrupt {self._most}; "
            f"the last is {path} ({reason}); replace them, or raise it"
        )
