"""policy.json: how probable each option of each choice was, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unas.common.documents import read_json
from unas.common.errors import UserError
from unas.common.text import shown
from unas.report.fields import Fields, is_figure

MAX_EPOCHS = 120  # that are kept, evenly spread; a figure has no more columns
MAX_CHOICES = 300
MAX_OPTIONS = 50


@dataclass(frozen=True)
class Epoch:
    """The policy after an epoch.

    Args:
        number: how many epochs there were with it, those that warm the weights up among them.
        probabilities: of each option of each choice, by their names.
        alarms: what was raised in this epoch, by name.
    """

    number: int
    probabilities: dict[str, dict[str, float]]
    alarms: dict[str, str]


def read_policy(path: Path) -> tuple[Epoch, ...]:
    """Return the epochs of a policy.json.

    Raises:
        UserError: it isn't what a search writes.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise UserError(
            f"{path} is {shown(entries)}; it must be a list of epochs, as a search writes it"
        )
    kept = _spread(entries, MAX_EPOCHS)
    return tuple(_epoch(Fields.of(entry, f"{path}: [{index}]")) for index, entry in kept)


def alarms_of(path: Path) -> dict[str, str]:
    """Return the alarms that a search has raised so far, by name, each with its epoch."""
    raised = {}
    for index, item in enumerate(read_json(path)):
        entry = Fields.of(item, f"{path}: [{index}]")
        epoch = entry.number("epoch") or 0
        for name, says in entry.object("alarms").named():
            raised[name] = f"epoch {epoch:.0f}: {says}"
    return raised


def _spread(entries: Sequence[Any], most: int) -> list[tuple[int, Any]]:
    """Return at most `most` entries with their index, evenly spread, the ends among them."""
    numbered = list(enumerate(entries))
    count = len(numbered)
    if count <= most:
        return numbered
    distance = (count - 1) / (most - 1)
    return [numbered[round(k * distance)] for k in range(most)]


def _epoch(entry: Fields) -> Epoch:
    number = entry.values.get("epoch")
    if type(number) is not int or not 0 < number < 10**9:
        raise UserError(
            f"{entry.source}: epoch is {shown(number)}; it must be a whole number of 1 or more"
        )
    choices = entry.object("probabilities")
    probabilities: dict[str, dict[str, float]] = {}
    for name in list(choices.values)[:MAX_CHOICES]:
        options = choices.object(name)
        probabilities[name] = {}
        for option in list(options.values)[:MAX_OPTIONS]:
            probabilities[name][option] = _probability(options, option)
    return Epoch(number, probabilities, dict(entry.object("alarms").named()))


def _probability(options: Fields, option: str) -> float:
    value = options.values[option]
    if not is_figure(value) or not 0 <= value <= 1:
        raise UserError(
            f"{options.source}: {shown(option)} is {shown(value)}; a probability is from 0 to 1"
        )
    return float(value)
