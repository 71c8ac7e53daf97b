"""A control variate learned from the variance of the estimates that it is used in."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from unas.estimators._gumbel import Groups
from unas.estimators.reinforce import MovingAverage


class QuadraticControlVariate:
    """c_ψ(ζ) = m + s·(b + w·ζ + ζᵀMζ) of the concatenated weights ζ, with the mean m and deviation s of past costs.

    A product of two weights is what two choices do together; scaled by s, one learning rate fits
    every cost.

    Args:
        lr: Adam's learning rate of ψ = (b, w, M).
        decay: how much of their history m and s keep at each call.
    """

    def __init__(self, lr: float, decay: float) -> None:
        self.lr, self.decay = lr, decay
        self.mean, self.square = MovingAverage(), MovingAverage()
        self.parameters: list[Tensor] = []

    @property
    def deviation(self) -> float:
        """The standard deviation of past costs, 0 before the first."""
        return math.sqrt(max(self.square.value - self.mean.value**2, 0.0))

    def __call__(self, groups: Groups) -> Tensor:
        """Return c_ψ of relaxed weights [G, n, K], [G] float64."""
        flat = torch.cat([group.flatten(1) for group in groups], 1)
        if not self.parameters or len(self.parameters[1]) != flat.shape[1]:
            self._start(flat.shape[1])
        bias, linear, matrix = self.parameters
        return self.mean.value + self.deviation * (
            bias + flat @ linear + ((flat @ matrix) * flat).sum(1)
        )

    def learn(self, gradients: Groups, costs: Tensor) -> None:
        """Take one step down the mean squared gradient estimate, then take `costs` into the mean and deviation.

        Since the estimate's mean does not depend on ψ, its square falls only as its variance does
        (Grathwohl et al. 2018, equation 10).

        Args:
            gradients: the estimate of each architecture, [G, n, K], differentiable in ψ.
            costs: [G].
        """
        scale = self.deviation**2
        if scale > 0:
            squared = torch.stack([group.square().sum((1, 2)) for group in gradients]).sum(0).mean()
            found = torch.autograd.grad(squared / scale, self.parameters)
            for parameter, gradient in zip(self.parameters, found, strict=True):
                parameter.grad = gradient
            self.optimiser.step()
            self.optimiser.zero_grad()
        self.mean.update(float(costs.mean()), self.decay)
        self.square.update(float(costs.square().mean()), self.decay)

    def state_dict(self) -> dict[str, Any]:
        """Return ψ, Adam's state and the averages, as plain values and tensors."""
        averages = [self.mean.total, self.mean.weight, self.square.total, self.square.weight]
        if not self.parameters:
            return {"averages": averages, "parameters": [], "optimiser": {}}
        parameters = [parameter.detach().clone() for parameter in self.parameters]
        return {
            "averages": averages,
            "parameters": parameters,
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.mean.total, self.mean.weight, self.square.total, self.square.weight = state["averages"]
        self.parameters = []
        if state["parameters"]:
            self._start(len(state["parameters"][1]))
            with torch.no_grad():
                for parameter, value in zip(self.parameters, state["parameters"], strict=True):
                    parameter.copy_(value)
            self.optimiser.load_state_dict(state["optimiser"])

    def _start(self, width: int) -> None:
        shapes: tuple[tuple[int, ...], ...] = ((), (width,), (width, width))
        self.parameters = [
            torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in shapes
        ]
        self.optimiser = torch.optim.Adam(self.parameters, lr=self.lr)
