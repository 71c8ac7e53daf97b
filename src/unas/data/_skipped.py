"""The image files that can't be read: counted, named in the log, and not more than the user allows."""

from __future__ import annotations

import logging
import threading

from unas.common.errors import UserError

_log = logging.getLogger("unas.data")


class SkippedFiles:
    """What is known of the unreadable files of a dataset; threads may share it.

    Args:
        dataset: the word that lines begin with.
        total: number of files in the dataset.
        most: largest share of them that may be unreadable.
    """

    def __init__(self, dataset: str, total: int, most: float) -> None:
        self._dataset, self._total, self._most = dataset, total, most
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
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        with self._lock:
            if path not in self._reasons:
                self._reasons[path] = reason
                line = "%s: %s can't be read (%s) and is skipped; %d of %d so far"
                _log.warning(line, self._dataset, path, reason, len(self._reasons), self._total)
        self.check()

    def check(self) -> None:
        """Refuse to go on if the files are too many.

        Raises:
            UserError: names the last of them.
        """
        if (count := len(self._reasons)) > self._most * self._total:
            path, reason = list(self._reasons.items())[-1]
            raise UserError(
                f"{self._dataset}: {count} of {self._total} images can't be read, more than dataset.max_corrupt "
                f"{self._most}; the last is {path} ({reason}); replace them, or raise it"
            )
