"""Whether a search has told architectures apart, as far as its own supernet can say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy import special

from unas.compute.ranks import Ranks
from unas.searching.candidates import Candidate
from unas.searching.halving import Entrant

LEVEL = 0.01  # the probability of differences as large by noise alone, from which on they are noise
MOST_TESTED = 100  # of the first architectures, and of the last


@dataclass(frozen=True)
class Spread:
    """Whether the losses of architectures differ by more than the noise of the images.

    Args:
        architectures: how many were compared, before their losses had selected any.
        images: how many all of them have seen.
        p: the probability that equally good ones differ as much.
    """

    architectures: int
    images: int
    p: float

    def describe(self) -> str:
        """Return what it means that they do not differ."""
        return (
            f"the search has not separated architectures: the losses of {self.architectures} "
            f"in the supernet, on the same {self.images:,} images, differ by no more than "
            f"their noise (p = {self.p:.2g}), so any of them would do as well"
        )


@dataclass(frozen=True)
class Gain:
    """How far the best candidate is ahead of architectures drawn at random.

    Args:
        controls: how many of these were compared, the best candidate itself left out.
        beaten: how many of them have a larger loss.
        beaten_by_mode: how many have a larger loss than the policy's mode; None where that breaks a
            budget.
        difference: by how much the loss of the median one is larger; of two, of the better one.
        difference_error: its standard error.
        p: the probability that the best of as many candidates is ahead as much by noise alone.
    """

    controls: int
    beaten: int
    beaten_by_mode: int | None
    difference: float
    difference_error: float
    p: float

    def describe(self) -> str:
        """Return what it means that it is not ahead."""
        return (
            f"the search is no better than chance in its own supernet: the best candidate's "
            f"loss is {self.difference:.2g} ± {self.difference_error:.2g} below that of the "
            f"median of {self.controls} random architectures (p = {self.p:.2g})"
        )


@dataclass(frozen=True)
class Separation:
    """Whether a search has told architectures apart.

    Args:
        spread: None where there are not two architectures or two images.
        gain: None where no other architecture could be drawn.
    """

    spread: Spread | None
    gain: Gain | None

    @property
    def is_proven(self) -> bool:
        """Whether losses differ by more than noise, and the best is better than a random one."""
        tests = [test for test in (self.spread, self.gain) if test is not None]
        return bool(tests) and all(test.p < LEVEL for test in tests)

    def alarms(self) -> dict[str, str]:
        """Return what is wrong in one line, by the name "chance"; {} if nothing is."""
        for test in (self.spread, self.gain):
            if test is not None and not test.p < LEVEL:
                fix = "search longer, or compare the network with random ones (unas lab quality)"
                return {"chance": f"{test.describe()}; {fix}"}
        return {}


def spread_of(entrants: Sequence[Entrant], ranks: Ranks) -> Spread | None:
    """Test whether entrants differ, on the images that all of them have seen.

    No loss has selected any of them before these images, so the test is a fair one. It is the
    two-way analysis of variance, architecture by image. Two architectures that are alike have
    errors that are alike, so degrees of freedom are those of Greenhouse and Geisser (1959).

    Args:
        entrants: what was compared; an architecture counts once, one whose loss isn't finite not.
            Of very many, the first and the last are looked at.
        ranks: the processes, each with its part of the images.
    """
    tested = [*entrants[:MOST_TESTED], *entrants[-MOST_TESTED:]]
    by_genotype = {entrant.genotype: entrant.all_losses() for entrant in reversed(tested)}
    all_losses = list(by_genotype.values())
    if len(all_losses) < 2:
        return None
    shared = min(len(losses) for losses in all_losses)
    losses = torch.stack([losses[:shared] for losses in all_losses])
    sums = ranks.sum(*losses.sum(1).tolist())
    losses = losses[[math.isfinite(total) for total in sums]]
    if len(losses) < 2:
        return None
    # Of equal losses, differences are exactly 0.
    differences = losses - losses[:1]
    effects = differences - differences.mean(0)
    (images, *flat) = ranks.sum(
        shared, *effects.sum(1).tolist(), *(effects @ effects.T).flatten().tolist()
    )
    if images < 2:
        return None
    count = len(losses)
    means = torch.tensor(flat[:count], dtype=torch.float64) / images
    products = torch.tensor(flat[count:], dtype=torch.float64).view(count, count)
    covariances = products - images * means.outer(means)
    return Spread(count, int(images), _p_of_spread(means, covariances, images))


def _p_of_spread(means: torch.Tensor, covariances: torch.Tensor, images: float) -> float:
    """Return the tail of F for effects of architectures and the sums of products of residuals."""
    between = images * float(means.square().sum())
    within = float(covariances.trace())
    if between == 0:
        return 1.0
    if within <= 0:
        return 0.0
    freedom = within**2 / float(covariances.square().sum())
    f = between * (images - 1) / within
    return float(special.fdtrc(freedom, freedom * (images - 1), f))


def gain_of(
    best: Candidate, candidates: Sequence[Candidate], controls: Sequence[Candidate]
) -> Gain | None:
    """Test whether the best candidate has a smaller loss than the median control.

    It is the best of several, so its p is multiplied by their number (Bonferroni).

    Args:
        best: the candidate with the least loss.
        candidates: what it is the best of.
        controls: what was drawn at random, with differences to the best candidate.
    """
    others = [control for control in controls if control.genotype != best.genotype]
    others = [control for control in others if math.isfinite(control.difference)]
    if not others:
        return None
    others.sort(key=lambda control: control.difference)
    median = others[(len(others) - 1) // 2]
    beaten_by_mode = None
    for candidate in candidates:
        if candidate.source == "mode":
            beaten_by_mode = _beaten(candidate, others)
    p = _p_of_gain(median.difference, median.difference_error, best.images)
    return Gain(
        controls=len(others),
        beaten=_beaten(best, others),
        beaten_by_mode=beaten_by_mode,
        difference=median.difference,
        difference_error=median.difference_error,
        p=min(1.0, len(candidates) * p),
    )


def _beaten(candidate: Candidate, controls: Sequence[Candidate]) -> int:
    return sum(control.difference > candidate.difference for control in controls)


def _p_of_gain(difference: float, error: float, images: int) -> float:
    """Return the probability of a difference as large between equally good architectures."""
    if error > 0:
        return float(special.stdtr(images - 1, -difference / error))
    return 0.0 if difference > 0 and error == 0 else 1.0
