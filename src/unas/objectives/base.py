"""What every term of the search objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from unas.architecture.policy import Policy, Sample
from unas.common.errors import UserError
from unas.compute.ranks import Ranks
from unas.compute.shapes import PerArchitecture, PerImage
from unas.estimators import Estimator, RunningEstimator
from unas.spaces import Blueprint, SearchSpace


@dataclass(frozen=True)
class Evaluation:
    """What a sample of G architectures did on a batch of B images; G divides B.

    Args:
        space: the search space.
        sample: the architectures.
        train_losses: cross-entropy of each training image, [B]; of each validation image where the
            search's policy sees no others.
        validation_losses: cross-entropy of each validation image, [B]; None unless a term asks for
            it.
    """

    space: SearchSpace
    sample: Sample
    train_losses: PerImage
    validation_losses: PerImage | None

    def by_architecture(self, losses: PerImage) -> Float[Tensor, "architectures share"]:
        """Return losses [B] as [G, B/G]."""
        return losses.view(len(self.sample), -1)


@dataclass(frozen=True)
class Term(ABC):  # noqa: B024  its two kinds, below, have the abstract methods
    """A term of the cost of an architecture, a frozen dataclass of its own options.

    Args:
        weight: what the term is multiplied with.
        warm_up_steps: the weight grows linearly from 0 over the first so many steps after
            the search's warm-up.
    """

    weight: float = 1.0
    warm_up_steps: int = 0

    def __post_init__(self) -> None:
        if self.warm_up_steps < 0:
            raise UserError(f"warm_up_steps is {self.warm_up_steps}; it must be 0 or more")

    def fits(self, space: SearchSpace) -> bool:  # noqa: ARG002
        """Return whether the term means something in a space; most do in every one."""
        return True

    def check(self, space: SearchSpace) -> None:
        """Refuse a space in which the term means nothing, before a search begins.

        Raises:
            UserError: it does.
        """
        if not self.fits(space):
            name = type(self).__name__
            raise UserError(
                f"objective {name} means nothing in the {space.registry_name} space; leave this "
                "term out"
            )

    def weight_at(self, step: int) -> float:
        """Return the weight at a search step, counted from 0."""
        if not self.warm_up_steps:
            return self.weight
        return self.weight * min((step + 1) / self.warm_up_steps, 1.0)


@dataclass(frozen=True)
class Objective(Term):
    """A term that scores architectures by what they did on a batch of images."""

    needs_validation: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, evaluation: Evaluation) -> PerArchitecture:
        """Return the term for each architecture, [G], before its weight."""


@dataclass(frozen=True)
class Setting:
    """Where a policy term is used.

    Args:
        blueprint: how an architecture becomes the network whose cost it is.
        estimator: the search's, for a term whose expectation has to be estimated.
        ranks: the processes that search together; one of them measures.
        say: gets a line about what took time.
        device: where PyTorch runs the network.
    """

    blueprint: Blueprint
    estimator: Estimator
    ranks: Ranks = Ranks()
    say: Callable[[str], None] = lambda _: None
    device: str = "cpu"


@dataclass(frozen=True)
class PolicyTerm(Term):
    """A term that has nothing to do with images, and so draws architectures of its own, or none.

    What it learns in a search (measurements, a predictor, baselines) is in the `RunningTerm` that
    it starts.
    """

    @abstractmethod
    def start(self, setting: Setting) -> RunningTerm:
        """Return the term of one search.

        Raises:
            UserError: the term means nothing there.
        """


class RunningTerm(ABC):
    """A policy term during a search.

    Attributes:
        estimator: estimates the term's gradient, and is all that learns from a step; None where the
            gradient is known.
    """

    estimator: RunningEstimator | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Count or measure what the term has to know, unless it knows it already.

        Called on rank 0 alone, before a search.
        """

    @abstractmethod
    def loss(self, policy: Policy, step: int, generator: torch.Generator) -> Tensor:
        """Return a scalar whose gradient in the logits estimates that of the expected term.

        The term has its weight.

        Args:
            policy: the distribution.
            step: steps since the search's warm-up.
            generator: the source of noise, on the CPU; the same on all ranks.
        """

    @abstractmethod
    def figures(self, policy: Policy) -> dict[str, float]:
        """Return what to log after a step, by name."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that the term has learned."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
