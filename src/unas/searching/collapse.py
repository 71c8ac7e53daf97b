"""Signs of a collapsed search: skips more often than by chance, and a policy too sure or unmoved.

A search that shares weights can end in skip connections alone: they have no weights to train, so
they look good before the other operations have learned (DARTS+, Liang et al. 2019; R-DARTS, Zela et
al. 2020). The same can happen to pooling, and to nothing at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Policy
from unas.spaces import SearchSpace

SKIPS = frozenset({"skip_connect", "skip", "identity"})  # options that pass their input on
NOTHING = frozenset({"none", "zero"})  # options that pass nothing on
POOLING = "pool"  # is in the name of an option that averages or takes the largest
LEVEL = 0.01  # probability of a false alarm about a kind of options, for one random architecture
# Shares of the entropy's largest value:
UNMOVED = 0.98  # a choice of two options has it at 58 to 42
SURE = 0.05  # a choice of two options has it at 99.4 to 0.6


@dataclass(frozen=True)
class Tally:
    """How many of some choices take an option of a kind, such as skip connections.

    Args:
        choices: how many choices have such an option.
        taken: in how many of them it is the picked one.
        expected: its expected number under the policy.
        alarm_from: the least number that is improbable by chance; None: none is.
    """

    choices: int
    taken: int
    expected: float
    alarm_from: int | None

    @property
    def share(self) -> float:
        """The share of these choices that take one."""
        return self.taken / self.choices

    @property
    def is_improbable(self) -> bool:
        """Whether a random architecture has as many with a probability below `LEVEL`."""
        return self.alarm_from is not None and self.taken >= self.alarm_from


@dataclass(frozen=True)
class Collapse:
    """What tells a collapsed search from a sound one.

    Args:
        subject: what picked the options: the policy's mode, or the architecture.
        skips: of "all" choices and, where names have a first part such as a cell's, of each; empty
            for a space without skip connections.
        normalised_entropy: the policy's entropy over its maximum; None for an architecture.
        weightless: the same as `skips` of all options without weights: skip connections, pooling
            and those that pass nothing on.
    """

    subject: str
    skips: Mapping[str, Tally]
    normalised_entropy: float | None
    weightless: Mapping[str, Tally] = field(default_factory=dict)

    def figures(self) -> dict[str, float]:
        """Return the figures for a log, by name; those that don't apply are absent."""
        figures: dict[str, float] = {}
        if "all" in self.skips:
            skips = self.skips["all"]
            figures["skip_share"] = skips.share
            figures["expected_skip_share"] = skips.expected / skips.choices
        if self.normalised_entropy is not None:
            figures["normalised_entropy"] = self.normalised_entropy
        return figures

    def alarms(self, done: float = 1.0) -> dict[str, str]:
        """Return what is wrong, one line by name: "skips" or "weightless", "sure", "unmoved".

        Args:
            done: the share of the policy's updates that are done. A policy may be sure only in the
                second half; its mode counts only there, since before it changes often; and at the
                end it must have moved.
        """
        raised: dict[str, str] = {}
        if done >= 0.5:
            raised |= self._about_kinds()
        entropy = math.nan if self.normalised_entropy is None else self.normalised_entropy
        if entropy < SURE and done < 0.5:
            raised["sure"] = (
                f"the policy is sure too early: its entropy is {100 * entropy:.1f} % "
                f"of the maximum after {100 * done:.0f} % of its updates; "
                "lower search.policy.lr, or raise search.warm_up_epochs"
            )
        if entropy >= UNMOVED and done >= 1:
            raised["unmoved"] = (
                f"the policy has learned nothing: its entropy is still {100 * entropy:.1f} % "
                "of the maximum; search longer, or raise search.policy.lr"
            )
        return raised

    def _about_kinds(self) -> dict[str, str]:
        skips = self._about(self.skips, "a skip connection", "a network of skips is shallow")
        if skips:
            return {"skips": skips}
        says = self._about(
            self.weightless,
            "an option without weights (skip, pooling or none)",
            "such a network has little to learn with",
        )
        return {"weightless": says} if says else {}

    def _about(self, tallies: Mapping[str, Tally], option: str, why: str) -> str:
        """Return the line about the first group that is improbable by chance, "" if none is."""
        for group, tally in tallies.items():
            if tally.is_improbable:
                where = "" if group == "all" else f"{group} "
                return (
                    f"{self.subject} takes {option} in {tally.taken} of {tally.choices} "
                    f"{where}choices; a random architecture has {tally.alarm_from} or more "
                    f"with a probability below {100 * LEVEL:.0f} %; {why}: "
                    "compare it with random ones (unas lab quality)"
                )
        return ""


def collapse(space: SearchSpace, subject: Policy | Genotype) -> Collapse:
    """Return how often a policy's mode, or an architecture, skips, and how sure the policy is.

    The number of skip connections of a random architecture is a sum of independent events, and so
    is that of all options without weights: what is improbable is known exactly. Where several
    groups are looked at, `LEVEL` is shared out evenly (Bonferroni).

    Args:
        space: the search space.
        subject: a policy of it, or an architecture.

    Raises:
        UserError: the architecture is not one of the space.
    """
    if isinstance(subject, Genotype):
        subject.check(space.choices)
        picked = subject.choices
        certain = {name: {option: 1.0} for name, option in picked.items()}
        skips = _tallies(space, picked, certain, _is_skip)
        weightless = _tallies(space, picked, certain, _is_weightless)
        return Collapse("the architecture", skips, None, weightless)
    most = sum(math.log(len(options)) for options in subject.choices.values())
    entropy = float(subject.entropy().detach()) / most if most else None
    mode = subject.mode()
    probabilities = subject.probabilities()
    skips = _tallies(space, mode, probabilities, _is_skip)
    weightless = _tallies(space, mode, probabilities, _is_weightless)
    return Collapse("the policy's mode", skips, entropy, weightless)


def at_least(chances: Sequence[float]) -> list[float]:
    """Return the probabilities that at least 0, 1, …, n of n independent events happen.

    They are exact (Poisson-binomial).

    Args:
        chances: the probability of each event.
    """
    distribution = np.ones(1)
    for chance in chances:
        distribution = np.convolve(distribution, (1 - chance, chance))
    tails: list[float] = distribution[::-1].cumsum()[::-1].tolist()
    return tails


def _is_skip(option: str) -> bool:
    return option in SKIPS


def _is_weightless(option: str) -> bool:
    return option in SKIPS or option in NOTHING or POOLING in option


def _tallies(
    space: SearchSpace,
    picked: Mapping[str, str],
    probabilities: Mapping[str, Mapping[str, float]],
    is_of_kind: Callable[[str], bool],
) -> dict[str, Tally]:
    """Return the options of a kind by group of choices; a space without any has no group."""
    chances = {}  # that a random architecture takes one, by choice
    for name, options in space.choices.items():
        of_kind = sum(map(is_of_kind, options))
        if of_kind:
            chances[name] = of_kind / len(options)
    groups = _groups(chances)
    tallies = {}
    for group, names in groups.items():
        taken = sum(is_of_kind(picked[name]) for name in names)
        expected = 0.0
        for name in names:
            expected += sum(p for option, p in probabilities[name].items() if is_of_kind(option))
        least = _least_improbable([chances[name] for name in names], LEVEL / len(groups))
        tallies[group] = Tally(len(names), taken, expected, least)
    return tallies


def _least_improbable(chances: Sequence[float], level: float) -> int | None:
    """Return the least number of events that has a probability below `level`, if one has."""
    for count, tail in enumerate(at_least(chances)):
        if tail < level:
            return count
    return None


def _groups(chances: Mapping[str, float]) -> dict[str, list[str]]:
    """Return the choices in groups: those of one cell, if their names say so, and all of them.

    A cell in which not even all of them taken would be improbable is no group.
    """
    if not chances:
        return {}
    by_part: dict[str, list[str]] = {}
    for name in chances:
        by_part.setdefault(name.partition("/")[0], []).append(name)
    groups: dict[str, list[str]] = {}
    if len(by_part) > 1:
        groups |= {part: names for part, names in by_part.items() if _can_alarm(names, chances)}
    return {**groups, "all": list(chances)}


def _can_alarm(names: Sequence[str], chances: Mapping[str, float]) -> bool:
    """Return whether it is improbable that all of these choices take one."""
    return math.prod(chances[name] for name in names) < LEVEL
