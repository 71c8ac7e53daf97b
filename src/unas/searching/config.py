"""How a search goes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from unas.common.errors import UserError
from unas.data import Augmentation, SmallImages
from unas.estimators import Estimator
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.objectives import Objective, Term
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.generalisation_gap import GeneralisationGap
from unas.objectives.overlap import Overlap

SampleKind = Literal["relaxed", "hard"]
Schedule = Literal["whole", "restarted"]
PolicyImages = Literal["both", "validation"]


@dataclass(frozen=True)
class AdamConfig:
    """Adam with a learning rate that falls along a cosine.

    Args:
        lr: learning rate at the start.
        final_lr: learning rate at the end.
        weight_decay: L2 penalty.

    Raises:
        UserError: one of them is negative or huge.
    """

    lr: float
    final_lr: float
    weight_decay: float

    def __post_init__(self) -> None:
        for name in ("lr", "final_lr", "weight_decay"):
            value = getattr(self, name)
            if not 0 <= value <= 1e6:
                raise UserError(f"{name} of an optimiser is {value}; it must be from 0 to 1e6")

    def lr_at(self, fraction: float) -> float:
        """Return the learning rate after a fraction of the steps, from 0 to 1."""
        return self.final_lr + (self.lr - self.final_lr) * (1 + math.cos(math.pi * fraction)) / 2


def _published_objectives() -> dict[str, Term]:
    return {"cross_entropy": CrossEntropy(), "gap": GeneralisationGap(), "overlap": Overlap()}


@dataclass(frozen=True)
class SearchConfig:
    """How the search goes; the defaults are the published CIFAR recipe but for two.

    Those are the estimator and the schedule (UNAS, section 4, and docs/deviations.md).

    Args:
        warm_up_epochs: epochs at the start that train the weights alone.
        epochs: epochs that train the policy and the weights.
        small_epochs: how many epochs of the warm-up, its first ones, see smaller images, whose
            steps are faster (progressive resizing; Howard 2018, arXiv 2104.00298 section 4).
        small_side: the shorter side of these images, in pixels; nothing without small epochs.
        batch_size: training images a step, and as many validation images.
        architectures_per_batch: G, how many architectures a batch is shared out to; 0 is one an
            image.
        validation_fraction: share of the training set that validates.
        estimator: the estimator of the policy's gradient; the default had the least variance for
            its time on trained supernets (docs/estimators-supernet.md), the published one is rebar.
        softening: ε, added to every probability of the policy.
        objectives: the terms of the cost, by the name they have in the log.
        policy_on: the images whose losses the policy follows: "both", training and validation, as
            the terms ask for them; "validation" alone, as in DARTS (section 2.3): a term about
            training images is then about validation images, and the weights are trained in
            architectures that are drawn for them alone.
        weights_on: whether the weights are trained under the relaxed sample or the hard one; that
            of `straight_through` is both, one-hot and differentiable, and trains them in any case.
        balanced: whether hard samples that are drawn for the weights alone have each option as
            often as it is probable, instead of leaving that to chance (`draw_balanced`).
        average: decay of an exponential average of the weights over the steps, in which the
            policy's mode is watched and candidates are compared; 0: no average.
        policy_every: the policy learns in every so many-th step after warm-up, the weights in all;
            then its estimate may cost more, such as several draws on the same images.
        settling_steps: how many updates of the policy follow at the end, in which the weights rest;
            the policy's rate falls along a cosine of its own over them.
        relaxed_temperature: τ of the relaxed sample that trains the weights where the estimator
            makes none, as in warm-up.
        weights: optimiser of the supernet's weights.
        policy: optimiser of the policy.
        schedule: "whole": both learning rates fall over all steps, warm-up included. "restarted",
            as published: the weights' rate is constant in warm-up, after which both optimisers
            start anew, without averages of earlier gradients, and both rates fall over the search
            epochs alone.
        clip_norm: largest norm of the weights' gradient.
        augmentation: of the training images.
        max_skipped: how many updates in a row may be left out because a number in them is not
            finite.

    Raises:
        UserError: a field is out of its range.
    """

    warm_up_epochs: int = 15
    epochs: int = 85
    small_epochs: int = 0
    small_side: int = 0
    batch_size: int = 128
    architectures_per_batch: int = 0
    validation_fraction: float = 0.1
    estimator: Estimator = ReinforceLeaveOneOut(draws=8)
    softening: float = 0.0
    objectives: dict[str, Term] = field(default_factory=_published_objectives)
    policy_on: PolicyImages = "both"
    weights_on: SampleKind = "relaxed"
    balanced: bool = False
    average: float = 0.0
    policy_every: int = 1
    settling_steps: int = 0
    relaxed_temperature: float = 0.4
    weights: AdamConfig = AdamConfig(lr=6e-4, final_lr=1e-4, weight_decay=3e-4)
    policy: AdamConfig = AdamConfig(lr=2e-3, final_lr=3e-4, weight_decay=1e-6)
    # A config.json without the field is of a run whose rates fell over all steps.
    schedule: Schedule = "whole"
    clip_norm: float = 5.0
    augmentation: Augmentation = Augmentation(crop_padding=4, flip=True)
    max_skipped: int = 20

    def __post_init__(self) -> None:
        for name in (
            "warm_up_epochs",
            "epochs",
            "small_epochs",
            "small_side",
            "architectures_per_batch",
            "settling_steps",
            "max_skipped",
        ):
            self._require(getattr(self, name) >= 0, name, "be 0 or more")
        for name in ("batch_size", "policy_every"):
            self._require(getattr(self, name) >= 1, name, "be 1 or more")
        for name in ("relaxed_temperature", "clip_norm"):
            self._require(getattr(self, name) > 0, name, "be more than 0")
        self._require(0 <= self.average < 1, "average", "be 0 or more, and less than 1")
        fraction = self.validation_fraction
        self._require(0 < fraction < 1, "validation_fraction", "be between 0 and 1")
        self._require(
            self.small_epochs <= self.warm_up_epochs,
            "small_epochs",
            f"be {self.warm_up_epochs} or less, the epochs of the warm-up",
        )
        if self.small_epochs and not self.small_side:
            raise UserError(
                f"search.small_epochs is {self.small_epochs}, but search.small_side is 0; give "
                "the shorter side of the smaller images, such as --search.small-side 16"
            )
        if self.architectures_per_batch:
            divides = self.batch_size % self.architectures_per_batch == 0
            what = f"divide search.batch_size {self.batch_size}"
            self._require(divides, "architectures_per_batch", what)
        named = {"policy_on": PolicyImages, "weights_on": SampleKind, "schedule": Schedule}
        for name, known in named.items():
            if getattr(self, name) not in get_args(known):
                words = " or ".join(get_args(known))
                raise UserError(f"search.{name} is {getattr(self, name)!r}; it must be {words}")
        if not any(isinstance(term, Objective) for term in self.objectives.values()):
            what = "has no term about images" if self.objectives else "is empty"
            raise UserError(
                f"search.objectives {what}; give at least one term, such as cross_entropy"
            )
        if self.policy_on == "validation":
            self._refuse_terms_of_both()
        is_never_alone = self.warm_up_epochs == 0 and self.policy_every == 1
        if self.balanced and is_never_alone and self.policy_on == "both":
            raise UserError(
                "search.balanced is True, but no architectures are drawn for the weights alone; "
                "give --search.balanced false, or a warm-up (--search.warm-up-epochs)"
            )
        if self.balanced and self.architectures_per_batch == 1:
            raise UserError(
                "search.balanced is True, but a batch of one architecture has each option once at "
                "most; give --search.balanced false, or raise search.architectures_per_batch"
            )
        if self.balanced and self.weights_on == "relaxed":
            raise UserError(
                "search.balanced is True, but search.weights_on is 'relaxed', where every option "
                "is trained in every step; give --search.balanced false, or "
                "--search.weights-on hard"
            )

    def _require(self, is_right: bool, name: str, what: str) -> None:
        if not is_right:
            raise UserError(f"search.{name} is {getattr(self, name)}; it must {what}")

    def _refuse_terms_of_both(self) -> None:
        for name, term in self.objectives.items():
            if isinstance(term, Objective) and term.needs_validation:
                raise UserError(
                    f"search.policy_on is 'validation', but term {name} needs training images "
                    f"beside validation images; leave it out (--without {name})"
                )

    def elapsed(self, steps: int, since_warm_up: int, total_steps: int) -> float:
        """Return how much of the learning rates' cosine is over, from 0 to 1.

        Args:
            steps: steps done so far, those of warm-up included.
            since_warm_up: those of them after warm-up.
            total_steps: steps of the whole search, but for those in which the policy settles.
        """
        if self.schedule == "whole":
            return steps / total_steps
        return since_warm_up / (total_steps - (steps - since_warm_up))

    @property
    def small_images(self) -> SmallImages | None:
        """Which epochs see smaller images; None: none do."""
        return SmallImages(self.small_side, self.small_epochs) if self.small_epochs else None

    def num_architectures(self, batch: int) -> int:
        """Return G for a batch of so many images."""
        return self.architectures_per_batch or batch
