"""`unas evaluate` and `unas export`: what is done with a run that has trained a network."""

from __future__ import annotations

from dataclasses import dataclass

from unas import pipeline
from unas.cli.flags import parse
from unas.cli.output import print_figures
from unas.cli.words import take_flag, take_name


@dataclass(frozen=True)
class EvaluateOptions:
    """Where to test.

    Args:
        data_root: where data sets are; needed where the run was told, for its files are not trusted
            to name a folder.
        device: auto, cpu, cuda, cuda:N or mps.
        trust: a component package.module:Name of the run that may be imported; can be repeated.
    """

    data_root: str | None = None
    device: str = "auto"
    trust: str | None = None


@dataclass(frozen=True)
class ExportOptions:
    """What the export needs.

    Args:
        data_root: where data sets are; needed where the run was told, for its files are not trusted
            to name a folder.
        trust: a component package.module:Name of the run that may be imported; can be repeated.
    """

    data_root: str | None = None
    trust: str | None = None


def evaluate(command: str, words: list[str]) -> None:
    """Do `unas evaluate` with the words that follow it."""
    run, words = take_name(words, "RUN", f"unas {command} runs/demo")
    trusted, words = take_flag(words, "--trust")
    options: EvaluateOptions = parse(
        EvaluateOptions(), words, f"unas {command} RUN", "Test a run's network."
    )
    print_figures(pipeline.evaluate_run(run, options.data_root, options.device, trusted), title=run)


def export(command: str, words: list[str]) -> None:
    """Do `unas export` with the words that follow it."""
    run, words = take_name(words, "RUN", f"unas {command} runs/demo")
    trusted, words = take_flag(words, "--trust")
    options: ExportOptions = parse(
        ExportOptions(), words, f"unas {command} RUN", "Write a run's model.onnx anew."
    )
    print_figures(pipeline.export_run(run, options.data_root, trusted), title=run)
