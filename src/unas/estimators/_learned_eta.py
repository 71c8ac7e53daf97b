"""The coefficient η of a control variate, learned for each choice from past estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unas.architecture.policy import Layout
from unas.estimators._gumbel import Groups
from unas.estimators.base import State


@dataclass(frozen=True)
class EtaHistory(State):
    """What past estimates a + ηb say about η* = −E⟨a, b⟩/E⟨b, b⟩, which minimises E|a + ηb|².

    Their mean does not depend on η, so η* minimises their variance. Each choice has an η of its
    own: the gradient of a choice's logits is unbiased for any. The expectations are exponential
    averages over past calls, so η never depends on the call that it is used in.

    Args:
        weight: how much of the averages' window has been filled, from 0 to 1.
        products: the average of −⟨a, b⟩ of each choice, [n] for each group of n choices.
        squares: the average of ⟨b, b⟩, in the same shapes.
    """

    weight: float
    products: Groups
    squares: Groups

    @classmethod
    def empty(cls, layout: Layout) -> EtaHistory:
        """Return the history before the first call."""
        zeros = tuple(torch.zeros(len(names), dtype=torch.float64) for names in layout.groups)
        return cls(0.0, zeros, zeros)

    def eta(self, start: float) -> Groups:
        """Return η of each choice, [n] a group.

        As long as the history is short, η stays near `start`.
        """
        values = []
        for product, square in zip(self.products, self.squares, strict=True):
            best = torch.where(square > 0, product / square, start)
            values.append(self.weight * best + (1 - self.weight) * start)
        return tuple(values)

    def after(self, without: Groups, control: Groups, decay: float) -> EtaHistory:
        """Return the history with one more estimate.

        Args:
            without: a, the estimate without a control variate, [G, n, K] for each group of n
                choices.
            control: b, what the control variate adds to it, in the same shapes.
            decay: how much of its history an average keeps.
        """
        products, squares = [], []
        for i, (a, b) in enumerate(zip(without, control, strict=True)):
            products.append(decay * self.products[i] - (1 - decay) * _mean_product(a, b))
            squares.append(decay * self.squares[i] + (1 - decay) * _mean_product(b, b))
        weight = decay * self.weight + (1 - decay)
        return EtaHistory(weight, tuple(products), tuple(squares))

    def to_dict(self) -> dict[str, Any]:
        """See `State`."""
        return {
            "weight": self.weight,
            "products": list(self.products),
            "squares": list(self.squares),
        }

    def from_dict(self, saved: Mapping[str, Any]) -> EtaHistory:
        """See `State`."""
        if not saved["products"]:  # as long as the first call, not the layout, gave the shapes
            return self
        products, squares = tuple(saved["products"]), tuple(saved["squares"])
        for averages in (products, squares):
            if [average.shape for average in averages] != [own.shape for own in self.products]:
                raise ValueError("a learned η is of other choices")
        return EtaHistory(float(saved["weight"]), products, squares)


def _mean_product(a: Tensor, b: Tensor) -> Tensor:
    """Return ⟨a, b⟩ of each choice, [n], from [G, n, K]: the mean over architectures."""
    return (a * b).sum(-1).mean(0)
