"""What every quantity is: something that a network costs, and that a budget can limit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unas.common.text import readable_count

if TYPE_CHECKING:  # a report and the help need a quantity's words, and do not wait for torch
    from torch import nn

    from unas.budgets.budget import Budget
    from unas.budgets.effort import Effort
    from unas.budgets.onnx_file import OnnxFile
    from unas.costs.gauges import Gauge
    from unas.costs.reading import Reading
    from unas.objectives import CostTerm
    from unas.spaces import Blueprint

# Of a cost that is over its limit by all of the limit: 1 % too much counts as 0.1 nats.
WEIGHT = 10.0


@dataclass(frozen=True)
class Quantity(ABC):
    """Something that a network costs, and all that a budget on it needs.

    Attributes:
        name: what a budget, the log and summary.json call it; the name of a built-in one's file.
        label: what people call it.
        example: a limit as it is typed.
        units: how much each unit is in the base unit, which comes first.
        default_backend: what measures it where a budget names no backend; None if none ever does.
        aim: the part of a limit that a search is steered to.
        digits: how many digits of a figure are shown; None shows a count in full.
        has_batches: whether a budget may be about a batch of images.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    example: ClassVar[str]
    units: ClassVar[Mapping[str, float]]
    default_backend: ClassVar[str | None] = None
    aim: ClassVar[float] = 1.0
    digits: ClassVar[int | None] = None
    has_batches: ClassVar[bool] = False

    @abstractmethod
    def gauge(self, budget: Budget, blueprint: Blueprint, device: str, effort: Effort) -> Gauge:
        """Return what reads the quantity of an architecture's network.

        Args:
            budget: a budget on this quantity, which may name a backend.
            blueprint: how an architecture becomes a network.
            device: the device of the run.
            effort: how much is measured.
        """

    @abstractmethod
    def of_file(self, budget: Budget, file: OnnxFile, device: str, effort: Effort) -> Reading:
        """Return the figure of an ONNX file.

        Args:
            budget: a budget on this quantity, which may name a backend.
            file: the file.
            device: where it runs.
            effort: how much is measured.

        Raises:
            UserError: the file can't be read or run, or it can't be measured here.
        """

    @abstractmethod
    def term(self, budget: Budget) -> CostTerm:
        """Return the term that steers a search toward a budget on this quantity."""

    @classmethod
    def base_unit(cls) -> str:
        """Return the unit of figures in files; "" for a count."""
        return next(iter(cls.units))

    @classmethod
    def readable(cls, value: float) -> str:
        """Return a figure, which is in the base unit, as a person reads it."""
        number = readable_count(value) if cls.digits is None else f"{value:.{cls.digits}g}"
        return f"{number} {cls.base_unit()}".rstrip()


class CountedQuantity(Quantity):
    """A quantity that is counted: its figures are exact."""

    units: ClassVar[Mapping[str, float]] = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}

    @abstractmethod
    def count(self, network: nn.Module, image_shape: tuple[int, int, int]) -> float:
        """Return the figure of a network for an image (C, H, W).

        The network may be on the device "meta", where weights have shapes and no values.
        """

    @abstractmethod
    def count_file(self, file: OnnxFile) -> float:
        """Return the figure of an ONNX file."""

    def gauge(
        self,
        budget: Budget,  # noqa: ARG002  counted alike for every budget
        blueprint: Blueprint,
        device: str,  # noqa: ARG002  nothing runs
        effort: Effort,  # noqa: ARG002
    ) -> Gauge:
        """See `Quantity`."""
        from unas.costs.gauges import Counter

        return Counter(blueprint, self.count)

    def of_file(
        self,
        budget: Budget,  # noqa: ARG002  counted alike for every budget
        file: OnnxFile,
        device: str,  # noqa: ARG002  nothing runs
        effort: Effort,  # noqa: ARG002
    ) -> Reading:
        """See `Quantity`."""
        from unas.costs.reading import Reading

        return Reading.exact(self.count_file(file))

    def term(self, budget: Budget) -> CostTerm:
        """See `Quantity`."""
        from unas.objectives import CountOf

        return CountOf(weight=WEIGHT, limit=self.aim * budget.limit, of=self)


class MeasuredQuantity(Quantity):
    """A quantity that is measured: its figures have an interval."""

    # A prediction has an error, and a clock its noise.
    aim: ClassVar[float] = 0.95
    digits: ClassVar[int | None] = 4
