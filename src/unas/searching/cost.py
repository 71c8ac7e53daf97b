"""The cost of sampled architectures: terms of the objective on one pair of batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from unas.architecture.policy import Sample
from unas.common.errors import UserError
from unas.compute.shapes import Images, Labels, PerArchitecture
from unas.objectives import Evaluation, Objective, PolicyTerm, RunningTerm
from unas.searching.config import SampleKind, SearchConfig
from unas.searching.losses import Losses
from unas.spaces import SearchSpace

# Several copies of a batch run together up to so many pixels. More leave a CPU's caches: 128
# images of 32x32 pixels are 8 MB at 16 channels.
PIXELS_AT_ONCE = 128 * 32 * 32


class Batches(NamedTuple):
    """What a step sees: a training and a validation batch of equally many images.

    Args:
        x: normalised training images, [B, C, H, W].
        y: their labels, [B].
        x_val: validation images.
        y_val: their labels.
    """

    x: Images
    y: Labels
    x_val: Images
    y_val: Labels

    def copies(self, count: int) -> Batches:
        """Return both batches `count` times over."""
        if count == 1:
            return self
        return Batches(*(torch.cat([tensor] * count) for tensor in self))


class SupernetCost:
    """The cost of architectures on one pair of batches, as estimators want it.

    The training losses of one sample are kept for the update of the weights, which then needs no
    forward of its own.

    Args:
        losses: those of the supernet.
        space: the search space.
        terms: what is weighted and summed to the cost, by the names that the log has.
        batches: what the architectures are evaluated on.
        step: how many steps were made since warm-up; the terms' weights depend on it.
        architectures: G, how many architectures the images of a batch are shared out to.
        kept: the kind of sample whose training losses are kept; None keeps none.
        on_validation: the terms see the validation images in the place of the training images.

    Attributes:
        train_losses: the training losses of the first sample of that kind, [B], with their graph.
    """

    def __init__(
        self,
        losses: Losses,
        space: SearchSpace,
        terms: Mapping[str, Objective],
        batches: Batches,
        *,
        step: int,
        architectures: int,
        kept: SampleKind | None,
        on_validation: bool = False,
    ) -> None:
        self.losses = losses
        self.space = space
        self.terms = terms
        self.batches = batches
        self.step = step
        self.architectures = architectures
        self.kept = None if on_validation else kept
        self.on_validation = on_validation
        self.train_losses: Tensor | None = None
        self._needs_validation = any(term.needs_validation for term in terms.values())
        self._hard_values: dict[str, list[Tensor]] = defaultdict(list)
        self._relaxed_values: dict[str, list[Tensor]] = defaultdict(list)

    def __call__(self, sample: Sample) -> PerArchitecture:
        """Return the cost of each of G architectures, [G], on the host.

        Of m·G architectures, it is the cost on m copies of the batches, [m·G].
        """
        keep = self._is_to_keep(sample)
        copies = len(sample) // self.architectures
        if copies <= 1:
            return self._costs(sample, keep=keep)
        sizes = self._copies_together(copies, keep=keep)
        samples = sample.split([size * self.architectures for size in sizes])
        costs = [self._costs(samples[0], keep=keep)]
        costs += [self._costs(part, keep=False) for part in samples[1:]]
        return torch.cat(costs)

    def figures(self) -> dict[str, float]:
        """Return each term before its weight: the mean over all hard architectures.

        If there were none, it is the mean over the relaxed ones.
        """
        evaluated = self._hard_values or self._relaxed_values
        return {name: float(torch.cat(values).mean()) for name, values in evaluated.items()}

    def _is_to_keep(self, sample: Sample) -> bool:
        if self.kept is None or self.train_losses is not None:
            return False
        return sample.is_hard == (self.kept == "hard")

    def _copies_together(self, copies: int, *, keep: bool) -> list[int]:
        """Return how many copies of the batch each of several forwards has.

        An architecture that has a batch of its own when the weights are trained has a forward of
        its own here, too: BatchNorm's statistics would else be of images under several, which is
        another network than the one that is trained, chosen and compared. Of several architectures
        a batch, they are of several in any case.
        """
        # The weights are trained on one copy of the batch: the other copies need no graph.
        sizes = [1] if keep else []
        images = self.batches.x
        largest = copies
        if self.architectures == 1:
            largest = 1
        elif images.device.type == "cpu":
            largest = max(PIXELS_AT_ONCE // images[:, 0].numel(), 1)
        while sum(sizes) < copies:
            sizes.append(min(largest, copies - sum(sizes)))
        return sizes

    def _costs(self, sample: Sample, *, keep: bool) -> PerArchitecture:
        batches = self.batches.copies(max(len(sample) // self.architectures, 1))
        images, labels = batches.x, batches.y
        if self.on_validation:
            images, labels = batches.x_val, batches.y_val
        with torch.set_grad_enabled(keep or torch.is_grad_enabled()):
            train = self.losses(images, labels, sample)
        if keep:
            self.train_losses = train
        validation = None
        if self._needs_validation:
            validation = self.losses(batches.x_val, batches.y_val, sample)
        evaluation = Evaluation(self.space, sample, train, validation)
        evaluated = self._hard_values if sample.is_hard else self._relaxed_values
        weighted = []
        for name, term in self.terms.items():
            values = term(evaluation).to("cpu")
            evaluated[name].append(values.detach())
            weighted.append(term.weight_at(self.step) * values)
        return torch.stack(weighted).sum(0)


def image_terms(
    space: SearchSpace, config: SearchConfig, policy_terms: Mapping[str, RunningTerm]
) -> dict[str, Objective]:
    """Return the terms of the cost that are about images.

    Raises:
        UserError: a term means nothing in this space, or one of the others isn't started.
    """
    terms = {}
    for name, term in config.objectives.items():
        term.check(space)
        if isinstance(term, Objective):
            terms[name] = term
        elif isinstance(term, PolicyTerm) and name not in policy_terms:
            raise UserError(
                f"objective {name} is about the deployed network of images of a size; "
                "give image_size"
            )
    return terms
