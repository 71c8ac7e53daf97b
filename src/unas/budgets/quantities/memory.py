"""Peak memory of the activations of one image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from unas.budgets.quantities.base import WEIGHT, CountedQuantity
from unas.common.text import readable_size

if TYPE_CHECKING:
    from torch import nn

    from unas.budgets.budget import Budget
    from unas.budgets.onnx_file import OnnxFile
    from unas.objectives import CostTerm


class MemoryQuantity(CountedQuantity):
    """Bytes of the activations of one image that live at one time, at most."""

    name: ClassVar[str] = "memory"
    label: ClassVar[str] = "peak memory"
    example: ClassVar[str] = "200MB"
    units: ClassVar[Mapping[str, float]] = {
        "B": 1.0,
        "kB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
        "KiB": 2.0**10,
        "MiB": 2.0**20,
        "GiB": 2.0**30,
    }

    def count(self, network: nn.Module, image_shape: tuple[int, int, int]) -> float:
        """See `CountedQuantity`."""
        from unas.graphs.memory import peak_memory

        return peak_memory(network, image_shape)

    def count_file(self, file: OnnxFile) -> float:
        """See `CountedQuantity`."""
        return file.size.memory

    def term(self, budget: Budget) -> CostTerm:
        """See `Quantity`."""
        from unas.objectives.memory import MemoryTerm

        return MemoryTerm(weight=WEIGHT, limit=self.aim * budget.limit)

    @classmethod
    def readable(cls, value: float) -> str:
        """See `Quantity`."""
        return readable_size(round(value))
