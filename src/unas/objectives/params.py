"""Parameters of the deployed network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unas.objectives._counted import CountedTerm


@dataclass(frozen=True)
class ParamsTerm(CountedTerm):
    """How far the parameters of the network, without an auxiliary head, are over a limit.

    Args:
        limit: parameters.
    """

    quantity: ClassVar[str] = "params"
