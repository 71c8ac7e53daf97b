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
_MOST_SEEDS = 10_000


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

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
        """The name of its directory, for example digits-epochs=2-seed0.

        A long one is cut, with a hash of the whole.
        """
        settings = [f"{flag.rpartition('.')[2]}={value}" for flag, value in self.settings.items()]
        whole, seed = "-".join([self.recipe, *settings]), f"seed{self.seed}"
        name = re.sub(r"[^\w.=-]+", "_", f"{whole}-{seed}")
        if len(name.encode()) <= _LONGEST_NAME:
            return name
        digest = hashlib.sha256(whole.encode(errors="replace")).hexdigest()[:16]
        end = f"-{digest}-{seed}"
        return name.encode()[: _LONGEST_NAME - len(end)].decode(errors="ignore") + end

    def command(self, out: Path) -> list[str]:
        """Return the words after `unas` that begin or resume this run in a directory of `out`."""
        place = str(out / self.name)
        return ["run", self.recipe, *self.words, "--out", place, "--resume", "--quiet"]


def runs_of(
    recipes: Sequence[str],
    seeds: Sequence[int],
    settings: Sequence[str],
    budgets: Sequence[str],
    words: Sequence[str],
) -> list[SweepRun]:
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
    alternatives = [_alternatives(setting) for setting in settings]
    if budgets:
        alternatives.append([("budget", budget) for budget in budgets])
    runs: dict[str, SweepRun] = {}
    for recipe, picked, seed in itertools.product(recipes, itertools.product(*alternatives), seeds):
        all_words = list(words)
        for flag, value in picked:
            all_words += _words(flag, value)
        run = SweepRun(recipe, seed, dict(picked), (*all_words, "--seed", str(seed)))
        if run.name in runs:
            raise UserError(f"two runs of the sweep are called {run.name}; give every value once")
        runs[run.name] = run
    return list(runs.values())


def seeds_of(text: str) -> list[int]:
    """Return the seeds of "0,1,2" or "0-4".

    Raises:
        UserError: it is neither.
    """
    if match := re.fullmatch(r"(\d{1,9})-(\d{1,9})", text):
        low, high = int(match[1]), int(match[2])
        if low <= high < low + _MOST_SEEDS:
            return list(range(low, high + 1))
    elif re.fullmatch(r"\d{1,9}(,\d{1,9})*", text):
        return [int(seed) for seed in text.split(",")]
    raise UserError(f"--seeds is {text!r}; write them as 0,1,2 or 0-4")


def _alternatives(setting: str) -> list[tuple[str, str]]:
    """Return the (flag, value) pairs of a setting "flag=a,b".

    Raises:
        UserError: it is written otherwise.
    """
    flag, _, text = setting.partition("=")
    values = text.split(",")
    if not flag or not all(values):
        raise UserError(f"--set is {setting!r}; write it as --set search.epochs=2,4")
    return [(flag.removeprefix("--"), value) for value in values]


def _words(flag: str, value: str) -> list[str]:
    """Return the words that tell a run a value; a budget may be several."""
    words: list[str] = []
    for part in value.split("&") if flag == "budget" else [value]:
        words += [f"--{flag}", part.strip()]
    return words
