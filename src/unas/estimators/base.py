"""What every gradient estimator is, and how some of them learn from call to call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch

from unas.architecture.policy import Layout, Policy, Sample
from unas.compute.shapes import PerArchitecture, Scalar

Cost = Callable[[Sample], PerArchitecture]


class State(ABC):
    """What an estimator knows from earlier calls. It is never changed, only replaced."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values and tensors, for a checkpoint."""

    @abstractmethod
    def from_dict(self, saved: Mapping[str, Any]) -> State:
        """Return what `to_dict` has written of a state for the same choices.

        Raises:
            ValueError: it is of other choices.
        """


class Nothing(State):
    """The state of an estimator that learns nothing."""

    def to_dict(self) -> dict[str, Any]:
        """See `State`."""
        return {}

    def from_dict(self, saved: Mapping[str, Any]) -> Nothing:  # noqa: ARG002  nothing is in it
        """See `State`."""
        return self


@dataclass(frozen=True)
class Estimator(ABC):
    """An estimate of the gradient of E[cost(z)], z drawn from a policy, in the policy's logits.

    A pure function of the policy, the cost and the noise; its options are fields. Where the
    estimate also depends on what was learned in earlier calls, derive from `LearningEstimator`.
    """

    is_unbiased: ClassVar[bool]
    needs_cost_gradient: ClassVar[bool]  # whether cost must be differentiable in relaxed weights
    draws_from_policy: ClassVar[bool] = True  # whether the cost's samples are draws from the policy

    @property
    def fewest_samples(self) -> int:
        """The least `num_samples` that a call takes."""
        return 1

    def with_fewest_draws(self) -> Estimator:
        """Return the estimator that asks for as few costs a call as it can: each may be dear."""
        return self

    def fitted_to(self, num_samples: int) -> Estimator:
        """Return the estimator, or one like it where `num_samples` is too few for it."""
        return self if num_samples >= self.fewest_samples else self.with_fewest_draws()

    @abstractmethod
    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> Scalar:
        """Return a scalar whose `backward()` leaves the gradient estimate on the policy's logits.

        Args:
            policy: the distribution.
            cost: maps a sample of G architectures to their costs [G], or one of m·G, copy after
                copy, to [m·G]: architecture r·G + g is then evaluated on the same images as g.
            num_samples: G, how many architectures a batch of images is shared out to.
            generator: the source of noise, on the CPU.
        """

    def init(self, layout: Layout) -> State:  # noqa: ARG002  for those who learn
        """Return what is known before the first call with a policy of these choices."""
        return Nothing()

    def step(
        self,
        policy: Policy,
        cost: Cost,
        state: Any,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> tuple[Scalar, Any]:
        """Return the scalar that a call returns, and the state after it; `state` stays as it is."""
        return self(policy, cost, num_samples=num_samples, generator=generator), state

    def start(self, layout: Layout) -> RunningEstimator:
        """Return the estimator for many calls; each uses what the earlier ones have taught."""
        return RunningEstimator(self, layout)


@dataclass(frozen=True)
class LearningEstimator(Estimator):
    """An estimator that learns from call to call: what it knows goes into `step` and comes out."""

    @abstractmethod
    def init(self, layout: Layout) -> State:
        """See `Estimator`."""

    @abstractmethod
    def step(
        self,
        policy: Policy,
        cost: Cost,
        state: Any,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> tuple[Scalar, Any]:
        """See `Estimator`."""

    @final
    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> Scalar:
        """See `Estimator`; this is a first call, and what it teaches is forgotten."""
        state = self.init(policy.layout)
        loss, _ = self.step(policy, cost, state, num_samples=num_samples, generator=generator)
        return loss


class RunningEstimator:
    """An estimator in use, with what it has learned so far.

    Args:
        estimator: its options.
        layout: the choices of the policies that it is called with.

    Attributes:
        state: what it has learned; set it to an earlier one to undo the calls since.
    """

    def __init__(self, estimator: Estimator, layout: Layout) -> None:
        self.estimator = estimator
        self.state = estimator.init(layout)

    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> Scalar:
        """Return what the estimator returns, and learn from the call."""
        loss, self.state = self.estimator.step(
            policy, cost, self.state, num_samples=num_samples, generator=generator
        )
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return what was learned."""
        return self.state.to_dict()

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.state = self.state.from_dict(saved)
