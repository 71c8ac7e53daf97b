"""`unas latency check`: an ONNX file against its budgets, for use in CI."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from unas.budgets.budget import Verdict, parse_budgets
from unas.budgets.verdicts import judge_file
from unas.cli.flags import parse
from unas.cli.latency_options import file_of, shape_of
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
    samples: int = 100
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
    budgets = parse_budgets(texts)
    file = file_of(name)
    if file is None:
        raise UserError(f"{name} is no ONNX file and no run with one; export the network first")
    if not budgets:
        raise UserError('--budget is missing; give one, for example --budget "macs<=600M"')
    if options.command is not None and not any(budget.backend == "command" for budget in budgets):
        raise UserError(
            "--command is given, but no budget is @command; write it like latency<=8ms@command"
        )
    verdicts = judge_file(
        file,
        budgets,
        image_shape=shape_of(name, options.input_shape),
        device=options.device,
        threads=options.threads,
        samples=options.samples,
        command=options.command,
        timeout_seconds=options.timeout,
    )
    for verdict in verdicts:
        print(verdict.line())
    if options.json is not None:
        write_json(
            Path(options.json),
            {"model": name, "verdicts": [as_json(verdict) for verdict in verdicts]},
        )
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def as_json(verdict: Verdict) -> dict[str, object]:
    """Return a verdict as JSON has it, the budget as it was typed and in its base unit."""
    return {**asdict(verdict), "budget": str(verdict.budget), "limit": verdict.budget.limit}
