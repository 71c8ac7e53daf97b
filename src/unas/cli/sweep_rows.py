"""The runs of a sweep: what differs between them, and the command of each."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unas.common.errors import UserError

_LONGEST_NAME = 200  # bytes; a file system takes 255, and a log's name is longer


@dataclass(frozen=True)
class Row:
    """One run.

    Args:
        recipe: its recipe.
        seed: its seed.
        settings: what else tells it from others, by flag without dashes.
        words: the words after the recipe, without where to write.
    """

    recipe: str
    seed: int
    settings: Mapping[str, str]
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its directory, for example digits-epochs=2-seed0; a long one is cut, with a hash of the rest."""
        parts = [
            self.recipe,
            *(f"{flag.rpartition('.')[2]}={value}" for flag, value in self.settings.items()),
        ]
        whole, seed = "-".join(parts), f"seed{self.seed}"
        name = re.sub(r"[^\w.=-]+", "_", f"{whole}-{seed}")
        if len(name.encode()) <= _LONGEST_NAME:
            return name
        unique = f"-{hashlib.sha256(whole.encode(errors='replace')).hexdigest()[:16]}-{seed}"
        return name.encode()[: _LONGEST_NAME - len(unique)].decode(errors="ignore") + unique

    def command(self, out: Path) -> list[str]:
        """Return the words after `unas` that begin this run, or go on with it, in a directory of `out`."""
        return [
            "run",
            self.recipe,
            *self.words,
            "--out",
            str(out / self.name),
            "--resume",
            "--quiet",
        ]


def rows_of(
    recipes: Sequence[str],
    seeds: Sequence[int],
    settings: Sequence[str],
    budgets: Sequence[str],
    words: Sequence[str],
) -> list[Row]:
    """Return a run for every recipe, setting, budget and seed together.

    Args:
        recipes: their names.
        seeds: of the runs.
        settings: "flag=a,b" each; flag is one of `unas run`, without dashes.
        budgets: one budget each, or several that are to hold at once, joined by "&"; none for no
            budget.
        words: flags that all runs have.

    Raises:
        UserError: a setting is written otherwise, or two runs are the same.
    """
    choices: list[list[tuple[str, str]]] = []
    for setting in settings:
        flag, equals, values = setting.partition("=")
        if not equals or not flag or not all(values.split(",")):
            raise UserError(f"--set is {setting!r}; write it as --set search.epochs=2,4")
        choices.append([(flag.removeprefix("--"), value) for value in values.split(",")])
    if budgets:
        choices.append([("budget", budget) for budget in budgets])
    rows = []
    for recipe, picked in itertools.product(recipes, itertools.product(*choices)):
        own = [word for flag, value in picked for word in _words(flag, value)]
        rows += [
            Row(recipe, seed, dict(picked), (*words, *own, "--seed", str(seed))) for seed in seeds
        ]
    names = [row.name for row in rows]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two runs of the sweep are called {twice}; give every value once")
    return rows


def _words(flag: str, value: str) -> list[str]:
    values = value.split("&") if flag == "budget" else [value]
    return [word for each in values for word in (f"--{flag}", each.strip())]


def seeds_of(text: str) -> list[int]:
    """Return the seeds of "0,1,2" or "0-4".

    Raises:
        UserError: it is neither.
    """
    if match := re.fullmatch(r"(\d{1,9})-(\d{1,9})", text):
        first, last = int(match[1]), int(match[2])
        if first <= last < first + 10_000:
            return list(range(first, last + 1))
    elif re.fullmatch(r"\d{1,9}(,\d{1,9})*", text):
        return [int(seed) for seed in text.split(",")]
    raise UserError(f"--seeds is {text!r}; write them as 0,1,2 or 0-4")
