"""`unas latency check`: an ONNX file against its budgets, for use in CI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unas.budgets.effort import Effort
from unas.budgets.onnx_file import OnnxFile
from unas.budgets.verdicts import judge
from unas.cli.commands import Command
from unas.cli.composition import budgets_of
from unas.cli.latency_measure import make_place
from unas.cli.latency_names import file_of, shape_of
from unas.cli.options import CheckOptions
from unas.cli.words import parse
from unas.common.documents import write_json
from unas.common.errors import UserError


def check(command: Command, words: Sequence[str]) -> int:
    """Do `unas latency check`; return 0 if every budget is met, else 1.

    Raises:
        UserError: a word is wrong, or something can't be measured here.
    """
    name, options = parse(command, CheckOptions(), words)
    file = file_of(name)
    if file is None:
        raise UserError(f"{name} is no ONNX file and no run with one; export the network first")
    if not options.budget:
        raise UserError('--budget is missing; give one, for example --budget "macs<=600M"')
    budgets = budgets_of(options.budget, options.command, options.timeout)
    make_place(options.json)
    effort = Effort(options.samples, threads=options.threads)
    asked = OnnxFile(file, shape_of(name, options.input_shape))
    verdicts = [judge(budget, budget.of_file(asked, options.device, effort)) for budget in budgets]
    for verdict in verdicts:
        print(verdict.line())
    if options.json is not None:
        document = {"model": name, "verdicts": [verdict.as_json() for verdict in verdicts]}
        write_json(Path(options.json), document)
    return 0 if all(verdict.passed for verdict in verdicts) else 1
