"""`unas evaluate` and `unas export`: what is done with a run that has trained a network."""

from __future__ import annotations

from collections.abc import Sequence

from unas import pipeline
from unas.cli.commands import Command
from unas.cli.options import EvaluateOptions, ExportOptions
from unas.cli.output import print_figures
from unas.cli.words import parse


def evaluate(command: Command, words: Sequence[str]) -> None:
    """Do `unas evaluate` with the words that follow it.

    Raises:
        UserError: a word is wrong, or the run has no network to test.
    """
    run, options = parse(command, EvaluateOptions(), words)
    figures = pipeline.evaluate_run(run, options.data_root, options.device, options.trust)
    print_figures(figures, title=run)


def export(command: Command, words: Sequence[str]) -> None:
    """Do `unas export` with the words that follow it.

    Raises:
        UserError: a word is wrong, or the run has no network to export.
    """
    run, options = parse(command, ExportOptions(), words)
    figures = pipeline.export_run(run, options.data_root, options.trust, options.opset)
    print_figures(figures, title=run)
