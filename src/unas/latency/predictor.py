"""A predictor of latency: a table of costs, with the machine it is valid on and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Policy, Sample
from unas.common.documents import Format, write_json
from unas.common.errors import UserError
from unas.costs.table import CostTable
from unas.latency.fingerprint import Fingerprint
from unas.spaces import SearchSpace

FORMAT = Format(
    "unas.predictor",
    1,
    "a predictor",
    ("space", "choices", "network", "fingerprint", "quality", "intercept_ms", "terms"),
)


@dataclass(frozen=True)
class Quality:
    """How a predictor was made, and how well it predicts architectures that it hasn't seen.

    Args:
        architectures: how many it was fitted to.
        forwards: how many forwards that took, those that warm up included.
        measuring_seconds: for these forwards.
        building_seconds: for making, exporting and opening their networks, and comparing their
            modules.
        held_out: how many other architectures, drawn uniformly, it was compared with.
        mape: the mean of |prediction − measurement| / measurement of those held out, in percent;
            NaN without any.
        spearman: the rank correlation of prediction and measurement of those held out; NaN with
            fewer than three.
    """

    architectures: int
    forwards: int
    measuring_seconds: float
    building_seconds: float
    held_out: int
    mape: float
    spearman: float


@dataclass(frozen=True)
class Predictor:
    """T̂(z), the milliseconds of a forward as a sum over an architecture's choices.

    Args:
        table: the sum, in milliseconds.
        network: the size of the networks, and how many classes they tell apart.
        fingerprint: the machine, the versions and the input that it is valid for.
        quality: how well it predicts.
    """

    table: CostTable
    network: Mapping[str, Any]
    fingerprint: Fingerprint
    quality: Quality

    @property
    def layout(self) -> Layout:
        """The space's choices."""
        return self.table.layout

    def predict(self, sample: Sample) -> Tensor:
        """Return the milliseconds of each of G architectures, [G].

        It is differentiable in the sample's weights.
        """
        return self.table(sample)

    def expectation(self, policy: Policy) -> Tensor:
        """Return the exact expected milliseconds under a policy, [].

        They are differentiable in the policy's logits.
        """
        mean, _ = self.table.moments(policy)
        return mean

    def least(self) -> tuple[Genotype, float]:
        """Return the architecture that is predicted to be the fastest, and its milliseconds."""
        fastest = self.table.least()
        return fastest, self.table.of(fastest)

    def check(
        self, fingerprint: Fingerprint, space: SearchSpace, network: Mapping[str, Any], source: str
    ) -> None:
        """Refuse what it wasn't fitted for.

        Args:
            fingerprint: of what is to be predicted.
            space: its space.
            network: the size of its networks, with `num_classes`.
            source: what messages call the predictor, for example its file.

        Raises:
            UserError: the device, the backend, a version, the input, the space or the size is
                another.
        """
        difference = (
            self._other_space(space)
            or self.fingerprint.difference(fingerprint)
            or self._other_network(network, space)
        )
        if difference is not None:
            raise UserError(
                f"{source} doesn't fit: {difference}; fit another with `unas latency fit`"
            )

    def _other_space(self, space: SearchSpace) -> str | None:
        if self.layout.space == space.registry_name and self.layout.choices == space.choices:
            return None
        return (
            f"it is of the {self.layout.space} space with other choices "
            f"than this {space.registry_name} space"
        )

    def _other_network(self, network: Mapping[str, Any], space: SearchSpace) -> str | None:
        # An option that the file lacks is younger than the file: its networks had the default.
        defaults = asdict(space.network_options())
        for name in sorted(set(self.network) | set(network)):
            there = self.network.get(name, defaults.get(name))
            here = network.get(name)
            if there != here:
                return f"network.{name} is {there} there and {here} here"
        return None

    def save(self, path: Path) -> None:
        """Write the predictor to a JSON file, in one step.

        Raises:
            UserError: it can't be written.
        """
        blocks = zip(self.table.blocks, self.table.weights, strict=True)
        terms = [
            {"choices": list(block), "weights_ms": weights.tolist()} for block, weights in blocks
        ]
        write_json(
            path,
            {
                **FORMAT.head(),
                "space": self.layout.space,
                "choices": {name: list(options) for name, options in self.layout.choices.items()},
                "network": dict(self.network),
                "fingerprint": asdict(self.fingerprint),
                "quality": asdict(self.quality),
                "intercept_ms": self.table.intercept,
                "terms": terms,
            },
        )
