"""`unas latency`: measure, fit a predictor, check budgets."""

from __future__ import annotations

import importlib

from unas.cli.words import take_name
from unas.common.errors import UserError
from unas.common.registry import one_of

ACTIONS = {"measure": "latency_measure", "fit": "latency_fit", "check": "latency_check"}


def latency(command: str, words: list[str]) -> None:
    """Do `unas latency` with the words that follow it.

    Raises:
        UserError: a word is wrong.
        SystemExit: with code 1, if a budget isn't met.
    """
    name, words = take_name(words, "what to do", f"unas {command} measure UNAS_CIFAR10")
    if name not in ACTIONS:
        raise UserError(f"unas {command} {name} does not exist; {one_of(name, tuple(ACTIONS))}")
    module = importlib.import_module(f"unas.cli.{ACTIONS[name]}")
    code = getattr(module, name)(f"{command} {name}", words)
    if code:
        raise SystemExit(code)
