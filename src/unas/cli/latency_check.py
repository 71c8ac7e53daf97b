"""`unas latency check`: an ONNX file against its budgets, for use in CI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unas.budgets.effort import Effort
from unas.budgets.onnx_file import OnnxFile
from unas.budgets.verdicts import judge
from unas.cli.flags import parse
from unas.cli.latency_options import file_of, shape_of
from unas.cli.run import budgets_of
from unas.cli.words import take_flag, take_name
from unas.common.documents import write_json
from unas.common.errors import UserError


@dataclass(frozen=True)
class CheckOptions:
    """What to hold against the file, and how.

    Args:
        budget: the most that it may cost, for example "latency<=8ms@onnxruntime"; can be repeated.
        input_shape: channels, height and width of an image; none is the file's own.
        device: where latency and energy are measured: cpu, cuda or cuda:N.
        threads: CPU threads; none for as many as PyTorch takes.
        samples: how many runs a latency is taken from.
        command: of the backend command: a command line; {model} in it is the path of the file.
        timeout: of the backend command: the most seconds that one call may take.
        json: a file to write the verdicts to.
    """

    budget: str | None = None
    input_shape: tuple[int, ...] | None = None
    device: str = "cpu"
    threads: int | None = None
    samples: int = Effort.samples
    command: str | None = None
    timeout: float = 60.0
    json: str | None = None


def check(command: str, words: list[str]) -> int:
    """Do `unas latency check` with the words that follow it; return 0 if every budget is met, else 1.

    Raises:
        UserError: a word is wrong, or something can't be measured here.
    """
    name, words = take_name(
        words, "MODEL", f'unas {command} model.onnx --budget "latency<=8ms@onnxruntime"'
    )
    texts, words = take_flag(words, "--budget")
    about = "Hold an ONNX file against its budgets. Exit code 0: it meets them all; 1: it doesn't."
    options: CheckOptions = parse(CheckOptions(), words, f"unas {command} {name}", about)
    file = file_of(name)
    if file is None:
        raise UserError(f"{name} is no ONNX file and no run with one; export the network first")
    if not texts:
        raise UserError('--budget is missing; give one, for example --budget "macs<=600M"')
    budgets = budgets_of(texts, options.command, options.timeout)
    effort = Effort(options.samples, threads=options.threads)
    asked = OnnxFile(file, shape_of(name, options.input_shape))
    verdicts = [judge(budget, budget.of_file(asked, options.device, effort)) for budget in budgets]
    for verdict in verdicts:
        print(verdict.line())
    if options.json is not None:
        write_json(
            Path(options.json),
            {"model": name, "verdicts": [verdict.as_json() for verdict in verdicts]},
        )
    return 0 if all(verdict.passed for verdict in verdicts) else 1
