"""`python -m dying WHERE SIGNAL ARGUMENTS…`: the unas command line, in a process that sends itself
a signal.

WHERE is `search:5` or `training:5`, right after that step was logged, or `between`, after the last
step of the search and before its outcome is written. Of a signal that can't be caught, half a line
of metrics.jsonl is left behind. `search:5@1` is rank 1 of several processes, and only before
torchrun has restarted anything.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from unas import cli
from unas.pipeline import phases
from unas.runs.directory import RunDirectory
from unas.runs.names import METRICS
from unas.runs.run_log import NullLog


def arm(where: str, number: signal.Signals) -> None:
    """Make the process end itself at `where`."""
    if where == "between":
        phases.choose_architecture = lambda *_: os.kill(os.getpid(), number)  # type: ignore[attr-defined, assignment]
        return
    where, _, rank = where.partition("@")
    if rank and (os.environ["RANK"] != rank or os.environ["TORCHELASTIC_RESTART_COUNT"] != "0"):
        return
    phase, _, step = where.partition(":")
    log = RunDirectory.log
    if rank and rank != "0":

        def last_log_elsewhere(_: NullLog, *arguments: Any) -> None:
            if arguments[:2] == (phase, int(step)):
                os.kill(os.getpid(), number)

        NullLog.log = last_log_elsewhere  # type: ignore[method-assign, assignment]
        return

    def last_log(self: RunDirectory, *arguments: Any) -> None:
        log(self, *arguments)
        if arguments[:2] == (phase, int(step)):
            if number == signal.SIGKILL:
                with self.path(METRICS).open("a") as file:
                    file.write('{"phase": "sea')
            os.kill(os.getpid(), number)

    RunDirectory.log = last_log  # type: ignore[method-assign, assignment]


def main(words: Sequence[str]) -> int:
    """Run the command line in a process that ends itself; return its exit code."""
    where, number, *arguments = words
    arm(where, signal.Signals[number])
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
