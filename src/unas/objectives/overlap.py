"""Overlap of a node's two slots."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unas.objectives.base import Evaluation, Objective
from unas.spaces import SearchSpace


@dataclass(frozen=True)
class Overlap(Objective):
    """Σ_nodes Σ_{j,o} a⁰_{j,o}·a¹_{j,o}: how much the two slots of a node pick the same thing.

    a^s is the outer product of slot s's input j and operation o, so the sum factorises. In the cost
    it keeps both slots from picking the same operation of the same input.
    """

    weight: float = 0.2

    def fits(self, space: SearchSpace) -> bool:
        """Return whether the space has nodes of two slots."""
        return bool(space.slot_pairs())

    def __call__(self, evaluation: Evaluation) -> Tensor:
        """Return the term for each architecture, [G]."""
        self.check(evaluation.space)
        sample = evaluation.sample
        overlaps = []
        for (input0, operation0), (input1, operation1) in evaluation.space.slot_pairs():
            same_input = (sample[input0] * sample[input1]).sum(1)
            same_operation = (sample[operation0] * sample[operation1]).sum(1)
            overlaps.append(same_input * same_operation)
        return torch.stack(overlaps).sum(0)
