"""A control variate learned from the variance of the estimates that it is used in."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unas.architecture.policy import Layout
from unas.compute.shapes import PerArchitecture
from unas.estimators._gumbel import Groups
from unas.estimators._moving_average import MovingAverage
from unas.estimators.base import State


@dataclass(frozen=True)
class QuadraticControlVariate(State):
    """c_ψ(ζ) = m + s·(b + w·ζ + ζᵀMζ), where ζ has the weights of all choices in a row.

    m and s are the mean and the deviation of past costs. A product of two weights is what two
    choices do together; scaled by s, one learning rate fits every cost.

    Args:
        parameters: ψ = (b [], w [D], M [D, D]).
        adam: the state dict of ψ's optimiser, empty before its first step.
        mean: the average of past costs.
        square: the average of their squares.
    """

    parameters: Groups
    adam: Mapping[str, Any]
    mean: MovingAverage = MovingAverage()
    square: MovingAverage = MovingAverage()

    @classmethod
    def zero(cls, layout: Layout) -> QuadraticControlVariate:
        """Return the control variate before the first call: c = 0."""
        width = sum(len(options) for options in layout.choices.values())
        shapes: tuple[tuple[int, ...], ...] = ((), (width,), (width, width))
        zeros = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
        return cls(_leaves(zeros), adam={})

    @property
    def deviation(self) -> float:
        """The standard deviation of past costs, 0 before the first."""
        return math.sqrt(max(self.square.value - self.mean.value**2, 0.0))

    def __call__(self, groups: Groups) -> Tensor:
        """Return c_ψ of relaxed weights [G, n, K], [G] float64."""
        bias, linear, matrix = self.parameters
        flat = torch.cat([group.flatten(1) for group in groups], 1)
        form = bias + flat @ linear + ((flat @ matrix) * flat).sum(1)
        return self.mean.value + self.deviation * form

    def after(
        self, estimates: Groups, costs: PerArchitecture, *, lr: float, decay: float
    ) -> QuadraticControlVariate:
        """Return the control variate after one step of Adam down the mean squared estimate.

        Since the estimate's mean does not depend on ψ, its square falls only as its variance does
        (Grathwohl et al. 2018, equation 10).

        Args:
            estimates: the gradient estimate of each architecture, [G, n, K], differentiable in ψ.
            costs: [G]; m and s take them in.
            lr: Adam's learning rate.
            decay: how much of their history m and s keep.
        """
        parameters, adam = self.parameters, self.adam
        scale = self.deviation**2
        if scale > 0:
            squared = torch.stack([group.square().sum((1, 2)) for group in estimates])
            gradients = torch.autograd.grad(squared.sum(0).mean() / scale, parameters)
            parameters, adam = _adam_step(parameters, gradients, adam, lr)
        mean = self.mean.after(float(costs.mean()), decay)
        square = self.square.after(float(costs.square().mean()), decay)
        return QuadraticControlVariate(parameters, adam, mean, square)

    def to_dict(self) -> dict[str, Any]:
        """See `State`."""
        averages = [self.mean.total, self.mean.weight, self.square.total, self.square.weight]
        parameters = [parameter.detach() for parameter in self.parameters]
        return {"averages": averages, "parameters": parameters, "optimiser": dict(self.adam)}

    def from_dict(self, saved: Mapping[str, Any]) -> QuadraticControlVariate:
        """See `State`."""
        if not saved["parameters"]:  # as long as the first call, not the layout, gave the shapes
            return self
        shapes = [parameter.shape for parameter in self.parameters]
        if [parameter.shape for parameter in saved["parameters"]] != shapes:
            raise ValueError("a learned control variate is of other choices")
        mean_total, mean_weight, square_total, square_weight = saved["averages"]
        return QuadraticControlVariate(
            _leaves(saved["parameters"]),
            saved["optimiser"],
            MovingAverage(float(mean_total), float(mean_weight)),
            MovingAverage(float(square_total), float(square_weight)),
        )


def _adam_step(
    parameters: Groups, gradients: Groups, adam: Mapping[str, Any], lr: float
) -> tuple[Groups, Mapping[str, Any]]:
    """Return the parameters and Adam's state dict after one step; those before stay as they are."""
    moved = _leaves(parameters)
    optimiser = torch.optim.Adam(moved, lr=lr)
    if adam:
        optimiser.load_state_dict(copy.deepcopy(dict(adam)))  # else it would go on in these tensors
    for parameter, gradient in zip(moved, gradients, strict=True):
        parameter.grad = gradient
    optimiser.step()
    optimiser.zero_grad()
    return moved, optimiser.state_dict()


def _leaves(tensors: Iterable[Tensor]) -> Groups:
    """Return copies that a gradient can be taken in."""
    return tuple(tensor.detach().clone().requires_grad_() for tensor in tensors)
