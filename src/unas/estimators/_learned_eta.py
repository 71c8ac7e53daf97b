"""The coefficient η of a control variate, learned for each choice from past estimates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unas.estimators._gumbel import Groups


class LearnedEta:
    """η* = −E⟨a, b⟩/E⟨b, b⟩ for estimates a + ηb, which minimises E|a + ηb|² and with it the variance.

    One η a choice: the gradient of a choice's logits is unbiased for any coefficient of its own.
    The expectations are exponential averages over past calls, so η never depends on the call that
    it is used in. As long as the history is short, η stays near its start: its weight is how much
    of the average's window has been filled.

    Args:
        start: η before the first call.
        decay: how much of its history the average keeps at each call.
    """

    def __init__(self, start: float, decay: float) -> None:
        self.start, self.decay = start, decay
        self.weight = 0.0
        self.products: list[Tensor] = []  # −⟨a, b⟩ of each choice, [n] a group
        self.squares: list[Tensor] = []  # ⟨b, b⟩

    def values(self, like: Groups) -> Groups:
        """Return η of each choice, [n] a group, for log-probabilities [n, K]."""
        shapes = [group.shape[:1] for group in like]
        if shapes != [product.shape for product in self.products]:
            self.weight = 0.0
            self.products = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
            self.squares = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
        pairs = zip(self.products, self.squares, strict=True)
        best = (torch.where(square > 0, product / square, self.start) for product, square in pairs)
        return tuple(self.weight * eta + (1 - self.weight) * self.start for eta in best)

    def learn(self, without: Groups, control: Groups) -> None:
        """Take in the estimate `without` a control variate, a, and what the `control` variate adds to it, b.

        Args:
            without: [G, n, K] for each group of n choices.
            control: likewise.
        """
        self.weight = self.decay * self.weight + (1 - self.decay)
        for i, (a, b) in enumerate(zip(without, control, strict=True)):
            self.products[i] = self.decay * self.products[i] - (1 - self.decay) * (a * b).sum(
                -1
            ).mean(0)
            self.squares[i] = self.decay * self.squares[i] + (1 - self.decay) * (b * b).sum(
                -1
            ).mean(0)

    def state_dict(self) -> dict[str, Any]:
        """Return the averages."""
        return {
            "weight": self.weight,
            "products": list(self.products),
            "squares": list(self.squares),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.weight = state["weight"]
        self.products, self.squares = list(state["products"]), list(state["squares"])
