"""Numbers that go wrong: an update that isn't finite is left out and counted.

Too many of them in a row end the phase.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unas.common.errors import UserError


def all_finite(value: Any) -> bool:
    """Return whether every number in nested dicts, lists and tuples is finite.

    Tensors are looked into; they are on the CPU.
    """
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    if isinstance(value, Mapping):
        return all(all_finite(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(all_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)


def carried_by_gradient(loss: Tensor) -> Tensor:
    """Return the loss; where it is not finite, one whose gradient is not finite either.

    A loss can be infinite and its gradient zero. With the loss in the gradients, one look at these
    (and, with many processes, their one sum) says whether to update.
    """
    return loss * (1 + 0 * loss.detach())


class SkippedUpdates:
    """Count the updates that were left out.

    Args:
        most: how many may follow on each other.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.total = 0
        self.in_a_row = 0

    def note(self, *, is_updated: bool) -> None:
        """Count one step."""
        self.total += not is_updated
        self.in_a_row = 0 if is_updated else self.in_a_row + 1

    def figures(self) -> dict[str, float]:
        """Return `skipped`, how many updates were left out so far, once there is one."""
        return {"skipped": float(self.total)} if self.total else {}

    @property
    def are_too_many(self) -> bool:
        """Whether the last updates were all left out, and were more than may be."""
        return self.in_a_row > self.most

    def state_dict(self) -> dict[str, int]:
        """Return the counts."""
        return {"total": self.total, "in_a_row": self.in_a_row}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from what `state_dict` returned."""
        self.total = int(state["total"])
        self.in_a_row = int(state["in_a_row"])


class FiniteBuffers:
    """Keep BatchNorm's statistics and other buffers free of what a bad batch leaves in them.

    Args:
        module: on its device; its buffers are finite.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self.keep()

    def keep(self) -> None:
        """Remember the buffers as they are: `settle` goes back to them."""
        # Listing them takes as long as a small update: once will do.
        buffers = self._module.buffers()
        self._tensors = [buffer for buffer in buffers if buffer.is_floating_point()]
        self._kept = self._flat()

    def check(self) -> Tensor:
        """Return a number on the device that is finite if and only if all buffers are.

        They are remembered for `settle`.
        """
        self._seen = self._flat()
        return (0 * self._seen).sum()

    def settle(self, *, is_good: bool) -> None:
        """Keep what `check` has seen, or go back to what was kept before."""
        if is_good:
            self._kept = self._seen
            return
        pieces = torch.split(self._kept, [tensor.numel() for tensor in self._tensors])
        with torch.no_grad():
            for tensor, kept in zip(self._tensors, pieces, strict=True):
                tensor.copy_(kept.view_as(tensor))

    def _flat(self) -> Tensor:
        # One tensor, so that hundreds of BatchNorms cost one copy a step. Not of mixed types: cat
        # widens them.
        if not self._tensors:
            return torch.zeros(0)
        return torch.cat([tensor.detach().flatten() for tensor in self._tensors])


class WeightUpdates:
    """Update a network's weights unless a number is not finite; the host waits once for the device.

    Args:
        network: on its device.
        optimiser: of its parameters, in one group.
        clip_norm: largest norm of the gradient.

    Attributes:
        norm: of the gradient of the last update, before it was clipped.
    """

    def __init__(
        self, network: nn.Module, optimiser: torch.optim.Optimizer, clip_norm: float
    ) -> None:
        self._optimiser = optimiser
        self._clip_norm = clip_norm
        self._buffers = FiniteBuffers(network)
        self.norm = math.nan

    def keep(self) -> None:
        """Take the network's buffers as they are for good ones, as after they were loaded."""
        self._buffers.keep()

    def __call__(self, loss: Tensor) -> tuple[float, bool]:
        """Clip the gradients that are on the parameters, update and clear them.

        Gradients decide alone, so that processes that share them decide alike.

        Args:
            loss: [], what `carried_by_gradient` was given before the gradients were taken.

        Returns:
            the loss, and whether there was an update.
        """
        norm = nn.utils.clip_grad_norm_(self._optimiser.param_groups[0]["params"], self._clip_norm)
        numbers = [loss.detach(), norm.to(loss), self._buffers.check().to(loss)]
        value, self.norm, statistics = torch.stack(numbers).tolist()
        is_updated = math.isfinite(self.norm)
        if is_updated:
            self._optimiser.step()
        self._optimiser.zero_grad()
        self._buffers.settle(is_good=is_updated and math.isfinite(statistics))
        return value, is_updated


def step_if_all_finite(optimiser: torch.optim.Optimizer) -> bool:
    """Update a few parameters on the CPU, unless they or the optimiser's averages would go wrong.

    Returns:
        whether it was done. A gradient can be finite and its square, which Adam keeps, infinite.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    if not all_finite([parameter.grad for parameter in parameters]):
        return False
    before = [parameter.detach().clone() for parameter in parameters]
    state = copy.deepcopy(optimiser.state_dict()["state"])
    optimiser.step()
    if all_finite([parameters, optimiser.state_dict()["state"]]):
        return True
    with torch.no_grad():
        for parameter, value in zip(parameters, before, strict=True):
            parameter.copy_(value)
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    return False


def too_many(
    phase: str, step: int, skipped: SkippedUpdates, figures: Mapping[str, float], good: str
) -> UserError:
    """Return the error of a phase that ends because too many updates were left out.

    Args:
        phase: its name, as in the configuration.
        step: the step that was not updated last.
        skipped: how many updates were left out.
        figures: the terms of its loss, by name.
        good: the newest checkpoint with finite numbers, or what to say in its place.
    """
    shown = {name: value for name, value in figures.items() if name != "skipped"}
    terms = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
    rate = f"{phase}.lr"
    if phase == "search":
        rate = "search.weights.lr and search.policy.lr"
    return UserError(
        f"{phase} step {step}: numbers are not finite in {skipped.in_a_row} updates in a row, "
        f"more than {phase}.max_skipped {skipped.most} ({terms}); "
        f"the last good checkpoint is {good}; nothing after it was saved; "
        f"go on with --resume if it was the machine, else lower {rate} in a new run"
    )
