"""Overlap of a node's two slots."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.objectives.base import Evaluation, Objective
from unas.spaces import SearchSpace


@dataclass(frozen=True)
class Overlap(Objective):
    """Σ_nodes Σ_{j,o} a⁰_{j,o}·a¹_{j,o}: how much the two slots of a node pick the same thing (SPEC §3).

    a^s is the outer product of slot s's input and operation choices, so the sum factorises.
    """

    weight: float = 0.2

    def check(self, space: SearchSpace) -> None:
        """Refuse a space without nodes of two slots.

        Raises:
            UserError: it has none.
        """
        if not space.slot_pairs():
            raise UserError(
                f"objective overlap: the {space.registry_name} space has no slots; leave this term out"
            )

    def __call__(self, evaluation: Evaluation) -> Tensor:
        """Return the term for each architecture, [G]."""
        self.check(evaluation.space)
        sample, pairs = evaluation.sample, evaluation.space.slot_pairs()
        return torch.stack(
            [
                (sample[in0] * sample[in1]).sum(1) * (sample[op0] * sample[op1]).sum(1)
                for (in0, op0), (in1, op1) in pairs
            ]
        ).sum(0)
