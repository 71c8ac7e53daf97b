"""`unas run`, `search` and `train`: a run, begun or gone on with."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from unas import pipeline
from unas.cli.commands import Command
from unas.cli.configuring import configured, resumed
from unas.cli.options import RunOptions
from unas.cli.output import print_dry_run, print_result
from unas.cli.words import take
from unas.common.errors import UserError
from unas.compute.torchrun import can_restart, rank
from unas.pipeline.opening import new_directory
from unas.runs.names import holds_run

_log = logging.getLogger("unas.cli")


def start(command: Command, words: Sequence[str]) -> int:
    """Do the command "run", "search" or "train"; return 1 if a budget isn't met, else 0.

    Raises:
        UserError: a word is wrong, or the run can't be done.
        Interrupted: the user stopped it.
    """
    options, words = take(RunOptions(), words)
    if options.out is not None and not str(options.out).strip():
        raise UserError("--out is empty; give a directory")
    if options.resume and options.out is None:
        raise UserError("--resume needs --out DIR, the run to go on with")
    if options.quiet:
        logging.getLogger("unas").setLevel(logging.WARNING)
    if options.resume and options.out is not None and holds_run(options.out):
        name = ""
        config = resumed(command, words, options, Path(options.out))
    else:
        name, config = configured(command, words, options)
    if options.dry_run:
        if rank() == 0:
            print_dry_run(config, command.name)
        return 0
    if options.out is None and can_restart():
        raise UserError(
            "--out is missing; with --max-restarts a restarted run must find the directory of the "
            "first"
        )
    out = options.out or new_directory(name.rpartition(":")[2])
    do = {"run": pipeline.run, "search": pipeline.search, "train": pipeline.train}[command.name]
    result = do(config, out, resume=options.resume, quiet=options.quiet)
    if rank() != 0:
        return 0  # rank 0 has the verdicts on the exported file
    print_result(result)
    return _exit_code(result)


def _exit_code(result: pipeline.Result) -> int:
    verdicts = result.summary.get("budgets", ())
    if all(verdict["passed"] for verdict in verdicts):
        return 0
    if can_restart():  # torchrun would do the end of the run again, with the same outcome
        _log.warning("exit code 0 for all that: torchrun --max-restarts would repeat the run's end")
        return 0
    return 1
