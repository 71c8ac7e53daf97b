"""A predictor of latency, multilinear in the architecture: what a policy's expected latency is, and its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Policy, Sample
from unas.common import files
from unas.common.errors import UserError
from unas.latency.fingerprint import Fingerprint
from unas.spaces import SearchSpace

FORMAT, VERSION = "unas.predictor", 1


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
        mape: the mean of |prediction − measurement| / measurement there, in percent; NaN without
            any.
        spearman: the rank correlation of prediction and measurement there; NaN with fewer than
            three.
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
    """T̂(z) = intercept + Σ_blocks ⟨weights, ⊗ of the block's choices⟩, in milliseconds a forward.

    Args:
        layout: the space's choices.
        network: the size of the networks, and how many classes they tell apart.
        fingerprint: the machine, the versions and the input that it is valid for.
        intercept: in milliseconds.
        blocks: the choices of each term, one or two.
        weights: of each block, [K] or [K_first, K_second] float64, in milliseconds.
        quality: how well it predicts.
    """

    layout: Layout
    network: Mapping[str, Any]
    fingerprint: Fingerprint
    intercept: float
    blocks: tuple[tuple[str, ...], ...]
    weights: tuple[Tensor, ...]
    quality: Quality

    def predict(self, sample: Sample) -> Tensor:
        """Return the milliseconds of each of G architectures, [G], differentiable in the sample's weights."""
        return self._evaluate({name: sample[name] for name in self.layout.choices})

    def expectation(self, policy: Policy) -> Tensor:
        """Return the exact expected milliseconds under a policy, [], differentiable in its logits.

        The choices of a policy are independent and no term has a choice twice, so E[T̂(z)] is T̂ at
        the probabilities.
        """
        groups, where = policy.log_probabilities(), policy.layout.position
        probabilities = {
            name: groups[where[name][0]][where[name][1]].exp()[None] for name in self.layout.choices
        }
        return self._evaluate(probabilities)[0]

    def least(self) -> tuple[Genotype, float]:
        """Return the architecture that is predicted to be the fastest, and its milliseconds."""
        total, picked = self.intercept, dict[str, str]()
        for block, weights in zip(self.blocks, self.weights, strict=True):
            best = [int(i) for i in torch.unravel_index(weights.argmin(), weights.shape)]
            picked |= {
                name: self.layout.choices[name][i] for name, i in zip(block, best, strict=True)
            }
            total += float(weights.min())
        choices = {name: picked[name] for name in self.layout.choices}
        return Genotype(self.layout.space, choices), total

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
        difference = self.fingerprint.difference(fingerprint)
        if self.layout.space != space.registry_name or self.layout.choices != space.choices:
            difference = (
                f"it is of the {self.layout.space} space with other choices "
                f"than this {space.registry_name} space"
            )
        elif difference is None and dict(self.network) != dict(network):
            names = sorted(set(self.network) | set(network))
            name = next(name for name in names if self.network.get(name) != network.get(name))
            difference = (
                f"network.{name} is {self.network.get(name)} there and {network.get(name)} here"
            )
        if difference is not None:
            raise UserError(
                f"{source} doesn't fit: {difference}; fit another with `unas latency fit`"
            )

    def save(self, path: Path) -> None:
        """Write the predictor to a JSON file, in one step.

        Raises:
            UserError: it can't be written.
        """
        files.write_json(
            path,
            {
                "format": FORMAT,
                "version": VERSION,
                "space": self.layout.space,
                "choices": {name: list(options) for name, options in self.layout.choices.items()},
                "network": dict(self.network),
                "fingerprint": asdict(self.fingerprint),
                "quality": asdict(self.quality),
                "intercept_ms": self.intercept,
                "terms": [
                    {"choices": list(block), "weights_ms": weights.tolist()}
                    for block, weights in zip(self.blocks, self.weights, strict=True)
                ],
            },
        )

    def _evaluate(self, weights: Mapping[str, Tensor]) -> Tensor:
        total: Tensor | float = self.intercept
        for block, own in zip(self.blocks, self.weights, strict=True):
            first = weights[block[0]]
            own = own.to(device=first.device, dtype=first.dtype)  # noqa: PLW2901
            mixed = first @ own
            total = total + (mixed if len(block) == 1 else (mixed * weights[block[1]]).sum(-1))
        assert isinstance(total, Tensor)  # noqa: S101  a space has a choice
        return total
