"""Many architectures compared for the price of few: successive halving over validation images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Sample
from unas.compute.ranks import Ranks
from unas.compute.shapes import Images, Labels
from unas.graphs.evaluation import evaluation_mode
from unas.runs.session import SizedIterable
from unas.searching.step import SearchStep

LAST = 8  # draws that see all images, unless more are asked for

# Where an architecture comes from: it is the policy's mode; or drawn from the policy, with choices
# of the cheapest architecture where budgets need it; or drawn uniformly at random.
Source = Literal["mode", "draw", "random"]


@dataclass(eq=False)
class Entrant:
    """An architecture in a comparison, and how it does on the images that it has seen.

    All see the images in the same order: two entrants have both seen the shorter of their lists.

    Args:
        genotype: the architecture.
        source: where it comes from.
        losses: the cross-entropy of each image, a tensor a batch; of several processes, of this
            one's images.
        correct: how many images of each batch it is right about.
    """

    genotype: Genotype
    source: Source = "draw"
    losses: list[Tensor] = field(default_factory=list)
    correct: list[Tensor] = field(default_factory=list)

    @property
    def images(self) -> int:
        """How many images it has seen; of several processes, of this one's."""
        return sum(len(losses) for losses in self.losses)

    @property
    def num_correct(self) -> int:
        """How many of them it is right about."""
        return sum(int(correct) for correct in self.correct)

    def all_losses(self) -> Tensor:
        """Return the loss of each image that it has seen, [images], in float64 on the host."""
        if not self.losses:
            return torch.empty(0, dtype=torch.float64)
        return torch.cat(self.losses).cpu().double()


@torch.no_grad()
def compare(
    search: SearchStep,
    entrants: Sequence[Entrant],
    batches: SizedIterable[tuple[Tensor, Tensor]],
    last: int = LAST,
) -> None:
    """Show validation images to entrants; the worse half of the draws leaves as images double.

    Of n draws and N images, the draws are halved h = ⌈log2(n / 8)⌉ times. All of them see the first
    N / 2^h images, the better half goes on to twice as many, and so on, until the last see all N.
    Each round after the first adds n·N / 2^(h+1) evaluations of an image, so together they are
    n·N / 2^h · (1 + h/2): 64 draws cost what 20 cost on all images, 256 what 28 cost. A round has a
    whole number of batches, so there are at most log2(batches) halvings: of 20 batches, 4, and 256
    draws cost what 48 cost; of several processes, of the one that has most. Up to 8 draws see all
    images, and so do the others, always: the policy's mode, and what is drawn at random.

    Args:
        search: has the supernet.
        entrants: the architectures; they get the losses. Of several processes, all have the same.
        batches: normalised images with labels, in an order that says nothing about classes; of
            several processes, the part of this one. They are read once.
        last: how many draws see all images at least.
    """
    if not entrants:
        return
    draws = [entrant for entrant in entrants if entrant.source == "draw"]
    others = [entrant for entrant in entrants if entrant.source != "draw"]
    halvings = _halvings(len(draws), last, int(search.ranks.largest(len(batches))))
    unread = iter(batches)
    read = 0
    with evaluation_mode(search.judging.supernet), search.runtime.computing():
        for halving in range(halvings + 1):
            if halving:
                draws = _better_half(draws, last, search.ranks)
            upto = len(batches) >> (halvings - halving)
            for images, labels in islice(unread, upto - read):
                _show(search, [*others, *draws], images, labels)
            read = upto


def _halvings(draws: int, last: int, batches: int) -> int:
    """Return how many times draws are halved."""
    if draws <= last:
        return 0
    wanted = math.ceil(math.log2(draws / last))
    return min(wanted, batches.bit_length() - 1)


def ranked(entrants: Sequence[Entrant], ranks: Ranks) -> list[Entrant]:
    """Return entrants from the best to the worst by their mean loss.

    One that has seen more images is better than one that has left before; NaN is worse than any.
    """
    if not entrants:
        return []
    totals = loss_totals(entrants, ranks)

    def order(index: int) -> tuple[bool, float, float]:
        total, images = totals[index]
        return math.isnan(total), -images, total

    return [entrants[index] for index in sorted(range(len(entrants)), key=order)]


def loss_totals(entrants: Sequence[Entrant], ranks: Ranks) -> list[tuple[float, float]]:
    """Return the sum of losses and the number of images of each entrant, of all processes."""
    numbers: list[float] = []
    for entrant in entrants:
        numbers += [float(entrant.all_losses().sum()), entrant.images]
    totals = iter(ranks.sum(*numbers))
    return list(zip(totals, totals, strict=True))


def supernet_losses(
    search: SearchStep,
    genotypes: Sequence[Genotype],
    batches: SizedIterable[tuple[Tensor, Tensor]],
) -> list[float]:
    """Return the mean loss of each architecture on all images; see `compare`."""
    entrants = [Entrant(genotype, "random") for genotype in genotypes]
    compare(search, entrants, batches)
    return [total / images for total, images in loss_totals(entrants, search.ranks)]


def _better_half(draws: Sequence[Entrant], last: int, ranks: Ranks) -> list[Entrant]:
    better = ranked(draws, ranks)[: max((len(draws) + 1) // 2, last)]
    return [entrant for entrant in draws if entrant in better]


def _show(search: SearchStep, entrants: Sequence[Entrant], images: Images, labels: Labels) -> None:
    """Evaluate architectures on a batch."""
    for entrant in entrants:
        sample = Sample.from_genotypes(search.policy.layout, [entrant.genotype])
        logits = search.judging.logits(images, sample)
        entrant.losses.append(F.cross_entropy(logits, labels, reduction="none"))
        entrant.correct.append((logits.argmax(1) == labels).sum())
