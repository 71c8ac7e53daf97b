"""From the final policy to one architecture."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from unas.architecture.genotype import Genotype
from unas.budgets.run_budgets import RunBudgets
from unas.common.errors import UserError
from unas.compute.seeds import generator_for, step_seed
from unas.costs.blocks import random_genotypes
from unas.estimators import draw_hard
from unas.runs.names import CANDIDATES_FORMAT
from unas.runs.session import SizedIterable
from unas.searching.candidates import Candidate, judged
from unas.searching.halving import LAST, Entrant, compare, ranked
from unas.searching.separation import Separation, gain_of, spread_of
from unas.searching.step import SearchStep

LEAST_CANDIDATES = 8  # how many that meet the budgets are compared at least
DRAWS = 512  # how many architectures are drawn to find so many
MEASURED = 8  # how many are measured before cheaper ones are drawn
MOST_SHARE = 100  # trainings that finalists may have together
CONTROLS = 8  # architectures drawn at random, which candidates are held against
# The part of its choices that a candidate has from the cheapest architecture, one after the other.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)

# Normalised validation images with labels.
ValidationBatches = SizedIterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class ChoosingConfig:
    """How an architecture is picked from the final policy.

    Args:
        candidates: how many architectures to draw beside the policy's mode; the one with the least
            validation loss in the supernet is taken. 0 takes the mode. Hundreds cost as much as
            dozens: the worse half of more than 8 leaves as images double (`compare`). With budgets,
            at least 8 that may meet them are compared.
        images: how many validation images candidates are compared on at most; 0: all.
        finalists: how many of the best candidates, the mode among them, are trained from scratch
            for a short time: those that learn fastest stay, and of the last two the one goes on
            that has the best accuracy on these images. 0: the best in the supernet does.
        finalist_share: how many steps all finalists have together, as a share of the training's.
    """

    candidates: int = 0
    images: int = 5000
    finalists: int = 0
    finalist_share: float = 0.2

    def __post_init__(self) -> None:
        if self.candidates < 0:
            raise UserError(f"choosing.candidates is {self.candidates}; it must be 0 or more")
        if self.images < 0:
            raise UserError(f"choosing.images is {self.images}; it must be 0, for all, or more")
        if self.finalists < 0 or self.finalists == 1:
            raise UserError(f"choosing.finalists is {self.finalists}; it must be 0, or 2 or more")
        if self.finalists > self.candidates + 1:
            raise UserError(
                f"choosing.finalists is {self.finalists}, but there are {self.candidates} "
                "candidates and the policy's mode; "
                f"make choosing.candidates {self.finalists - 1} or more"
            )
        if not 0 < self.finalist_share <= MOST_SHARE:
            raise UserError(
                f"choosing.finalist_share is {self.finalist_share}; "
                f"it must be above 0 and at most {MOST_SHARE}"
            )

    @property
    def last(self) -> int:
        """How many draws see all images at least."""
        return max(LAST, self.finalists)


@dataclass(frozen=True)
class Chosen:
    """The best candidate, and what it was compared with.

    Args:
        best: the candidate with the least validation loss, of those that meet the budgets; or of
            finalists the best one.
        candidates: all of them; without budgets, the first is the policy's mode.
        controls: architectures drawn uniformly at random, of those that may meet the budgets.
        separation: whether the search has told architectures apart.
    """

    best: Candidate
    candidates: list[Candidate]
    controls: list[Candidate]
    separation: Separation

    def to_json(self) -> dict[str, Any]:
        """Return what candidates.json holds."""
        compared = [*self.candidates, *self.controls]
        entries = [{**one.to_json(), "chosen": one is self.best} for one in compared]
        return {
            **CANDIDATES_FORMAT.head(),
            "space": self.best.genotype.space,
            "separated": self.separation.is_proven,
            **asdict(self.separation),
            "candidates": entries,
        }


def choose(
    search: SearchStep,
    config: ChoosingConfig,
    batches: ValidationBatches,
    budgets: RunBudgets | None = None,
) -> Chosen:
    """Return the best candidate and all that it was compared with.

    Args:
        search: a finished search.
        config: how to choose.
        batches: validation images, in an order that says nothing about classes; of several
            processes, the part of this one.
        budgets: what the candidate's network must meet.
    """
    controls = _controls(search, budgets)
    if budgets:
        best, entrants = _choose_within(search, config, batches, budgets, controls)
    else:
        entrants = _entrants(search, _mode_and_draws(search, config.candidates))
        compare(search, [*entrants, *controls], batches, config.last)
        best = ranked(entrants, search.ranks)[0]
    ranks = search.ranks
    candidates = judged(entrants, best, ranks)
    chosen = candidates[entrants.index(best)]
    judged_controls = judged(controls, best, ranks)
    separation = Separation(None, None)
    if math.isfinite(chosen.validation_loss):
        spread = spread_of([*entrants, *controls], ranks)
        separation = Separation(spread, gain_of(chosen, candidates, judged_controls))
    return Chosen(chosen, candidates, judged_controls, separation)


def _choose_within(
    search: SearchStep,
    config: ChoosingConfig,
    batches: ValidationBatches,
    budgets: RunBudgets,
    controls: Sequence[Entrant],
) -> tuple[Entrant, list[Entrant]]:
    """Return the best candidate whose real network meets the budgets, and all that were compared.

    Candidates that are counted or predicted to break a budget are not compared; the best of the
    others are measured in turn. If none keeps a margin, the next ones have more of their choices
    from the cheapest architecture.
    """
    ranks = search.ranks
    compared: list[Entrant] = []
    measured: list[Entrant] = []
    wanted = max(config.candidates + 1, LEAST_CANDIDATES)  # the policy's mode is one of them
    for share in SHARES:
        known = {entrant.genotype for entrant in compared}
        entrants = _entrants(search, _admitted(search, budgets, share, wanted, known))
        beside = controls if share == SHARES[0] else []
        compare(search, [*entrants, *beside], batches, config.last)
        compared += entrants
        for entrant in ranked(entrants, ranks)[:MEASURED]:
            if budgets.within(entrant.genotype):
                return entrant, compared
            measured.append(entrant)
    within = [entrant for entrant in measured if budgets.within(entrant.genotype, margin=0.0)]
    if within:
        return ranked(within, ranks)[0], compared
    budgets.say("no architecture was found that meets every budget; the cheapest one is taken")
    for entrant in compared:
        if entrant.genotype == budgets.cheapest():
            return entrant, compared
    cheapest = Entrant(budgets.cheapest())
    compare(search, [cheapest], batches)
    return cheapest, [*compared, cheapest]


def _admitted(
    search: SearchStep,
    budgets: RunBudgets,
    share: float,
    wanted: int,
    known: Collection[Genotype],
) -> list[Genotype]:
    """Return up to `wanted` architectures that may meet the budgets, none of them `known`."""
    admitted: list[Genotype] = []
    for genotype in _cheapened(search, budgets, share):
        is_new = genotype not in known and genotype not in admitted
        if is_new and budgets.admits(genotype):
            admitted.append(genotype)
        if len(admitted) == wanted:
            break
    return admitted


def _cheapened(search: SearchStep, budgets: RunBudgets, share: float) -> Iterator[Genotype]:
    """Yield the policy's mode and draws, with a share of the cheapest architecture's choices."""
    cheapest = budgets.cheapest()
    if share == 1:
        yield cheapest
        return
    blocks = budgets.blocks
    seed = step_seed(search.seed, "choosing/cheaper", round(100 * share))
    generator = np.random.default_rng(seed)
    for genotype in _mode_and_draws(search, DRAWS):
        choices = dict(genotype.choices)
        for block in blocks:
            if generator.random() < share:
                choices |= {name: cheapest.choices[name] for name in block}
        yield Genotype(genotype.space, choices)


def _mode_and_draws(search: SearchStep, draws: int) -> list[Genotype]:
    """Return the policy's mode and what is drawn from the policy, each architecture once."""
    policy = search.policy
    genotypes = [Genotype(policy.layout.space, policy.mode())]
    if draws:
        sample = draw_hard(policy, draws, generator_for(search.seed, "choosing", 0))
        genotypes += sample.genotypes()
    return list(dict.fromkeys(genotypes))


def _entrants(search: SearchStep, genotypes: Sequence[Genotype]) -> list[Entrant]:
    """Return candidates before they have seen an image."""
    mode = search.policy.mode()
    entrants = []
    for genotype in genotypes:
        is_mode = genotype.choices == mode
        entrants.append(Entrant(genotype, "mode" if is_mode else "draw"))
    return entrants


def _controls(search: SearchStep, budgets: RunBudgets | None) -> list[Entrant]:
    """Return architectures drawn uniformly at random, of those that may meet the budgets."""
    generator = np.random.default_rng(step_seed(search.seed, "choosing/controls", 0))
    controls: dict[Genotype, Entrant] = {}
    for genotype in random_genotypes(search.space, DRAWS if budgets else CONTROLS, generator):
        if budgets and not budgets.admits(genotype):
            continue
        controls[genotype] = Entrant(genotype, "random")
        if len(controls) == CONTROLS:
            break
    return list(controls.values())
