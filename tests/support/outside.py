"""A component of each kind from outside the package, as small as it can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tiny import tiny_recipe
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Policy, Sample
from unas.budgets.budget import Budget
from unas.budgets.onnx_file import OnnxFile
from unas.budgets.quantities import CountedQuantity
from unas.config import Config
from unas.data import Dataset, ImageData
from unas.data.digits import Digits
from unas.estimators import Estimator, draw_hard
from unas.estimators.base import Cost
from unas.graphs.onnx_size import load_onnx
from unas.latency.backends import Backend
from unas.nn.choice import InputChoice, OpChoice
from unas.objectives import Evaluation, Objective, PolicyTerm, RunningTerm, Setting
from unas.searching.choosing import ChoosingConfig
from unas.spaces import NetworkOptions, SearchSpace
from unas.spaces.module import ModuleSpace

CHOICES = {"first": ("conv", "skip"), "second": ("pool", "conv", "skip")}


def operation(option: str, channels: int) -> nn.Module:
    """Return one option: [B, channels, H, W] to the same shape."""
    if option == "conv":
        return nn.Conv2d(channels, channels, 3, padding=1)
    return nn.AvgPool2d(3, 1, 1) if option == "pool" else nn.Identity()


class OutsideSupernet(nn.Module):
    """All architectures of `OutsideSpace` at once."""

    def __init__(self, num_classes: int, image_channels: int, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_channels, channels, 3, padding=1)
        self.layers = nn.ModuleList()
        for name, options in CHOICES.items():
            candidates = {option: operation(option, channels) for option in options}
            self.layers.append(OpChoice(candidates, name=name))
        self.head = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor, sample: Sample) -> Tensor:
        state = self.stem(images)
        for layer in self.layers:
            state = layer(state, sample.to(images.device)).relu()
        logits: Tensor = self.head(state.mean((2, 3)))
        return logits


@dataclass(frozen=True)
class OutsideNetworkOptions(NetworkOptions):
    """The size of a network of `OutsideSpace`.

    Args:
        channels: of every layer.
    """

    channels: int = 4


@dataclass(frozen=True)
class OutsideSpace(SearchSpace):
    """A space of six architectures.

    Args:
        channels: of every layer of the supernet.
    """

    network_options: ClassVar[type[NetworkOptions]] = OutsideNetworkOptions

    channels: int = 4

    @classmethod
    def all_choices(cls) -> dict[str, tuple[str, ...]]:
        return dict(CHOICES)

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        return dict(CHOICES)

    def supernet(self, num_classes: int, image_channels: int = 3) -> nn.Module:
        return OutsideSupernet(num_classes, image_channels, self.channels)

    def network(
        self, genotype: Genotype, num_classes: int, image_channels: int = 3, **options: Any
    ) -> nn.Module:
        self.check(genotype)
        channels = OutsideNetworkOptions.from_keywords(options).channels
        layers: list[nn.Module] = [nn.Conv2d(image_channels, channels, 3, padding=1)]
        for option in genotype.choices.values():
            layers += [operation(option, channels), nn.ReLU()]
        return nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)
        )


@dataclass(frozen=True)
class OutsideDataset(Dataset):
    """48 of the digits to learn from and 24 to test with."""

    num_classes: ClassVar[int | None] = 10
    image_channels: ClassVar[int | None] = 1

    def load(self, root: Path) -> ImageData:
        data = Digits().load(root)
        by_class = data.train.labels.argsort(stable=True)
        train = data.train.subset(by_class[:: len(by_class) // 48][:48])
        by_class = data.test.labels.argsort(stable=True)
        test = data.test.subset(by_class[:: len(by_class) // 24][:24])
        return replace(data, name="outside", train=train, test=test)


@dataclass(frozen=True)
class OutsideEstimator(Estimator):
    """REINFORCE without a baseline."""

    is_unbiased: ClassVar[bool] = True
    needs_cost_gradient: ClassVar[bool] = False

    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        sample = draw_hard(policy, num_samples, generator)
        with torch.no_grad():
            costs = cost(sample).to("cpu")
        return (costs * policy.log_prob(sample)).mean()


@dataclass(frozen=True)
class OutsideObjective(Objective):
    """The mean training loss of each architecture."""

    def __call__(self, evaluation: Evaluation) -> Tensor:
        return evaluation.by_architecture(evaluation.train_losses).mean(1)


@dataclass(frozen=True)
class OutsideCost(PolicyTerm):
    """How many convolutions the policy expects: a cost of the network, by its own reckoning."""

    quantity: ClassVar[str] = "macs"

    def start(self, setting: Setting) -> OutsideRunningCost:  # noqa: ARG002
        return OutsideRunningCost(self)


class OutsideRunningCost(RunningTerm):
    """`OutsideCost` in a search."""

    def __init__(self, term: OutsideCost) -> None:
        self.term = term

    def prepare(self) -> None:
        """Nothing has to be measured."""

    def loss(self, policy: Policy, step: int, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        probabilities = [
            policy.logits[name].softmax(0) for name in CHOICES if name in policy.logits
        ]
        return self.term.weight_at(step) * sum((p[0] for p in probabilities), torch.zeros(()))

    def figures(self, policy: Policy) -> dict[str, float]:  # noqa: ARG002
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing was learned."""


@dataclass(frozen=True)
class OutsideBackend(Backend):
    """A clock that counts parameters, or the bytes of a file."""

    runs_files: ClassVar[bool] = True

    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],  # noqa: ARG002
        device: torch.device,  # noqa: ARG002
        threads: int,  # noqa: ARG002
    ) -> Callable[[], float]:
        milliseconds = sum(p.numel() for p in network.parameters()) / 1000
        return lambda: milliseconds

    def prepare_file(
        self,
        path: Path,
        batch_shape: tuple[int, int, int, int],  # noqa: ARG002
        device: torch.device,  # noqa: ARG002
        threads: int,  # noqa: ARG002
    ) -> Callable[[], float]:
        milliseconds = path.stat().st_size / 1000
        return lambda: milliseconds


class OutsideQuantity(CountedQuantity):
    """How many convolutions a network has."""

    name: ClassVar[str] = "convolutions"
    label: ClassVar[str] = "convolutions"
    example: ClassVar[str] = "12"

    def count(
        self,
        network: nn.Module,
        image_shape: tuple[int, int, int],  # noqa: ARG002
    ) -> float:
        return sum(isinstance(module, nn.Conv2d) for module in network.modules())

    def count_file(self, file: OnnxFile) -> float:
        kinds = [node.op_type for node in load_onnx(file.path).graph.node]
        return kinds.count("Conv")


class OutsideModel(nn.Module):
    """A model with two choices in it, which is a space of its own."""

    def __init__(self, num_classes: int, image_channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_channels, 4, 3, padding=1)
        self.op = OpChoice({"conv": operation("conv", 4), "skip": operation("skip", 4)})
        self.source = InputChoice(2)
        self.head = nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        stem = self.stem(images).relu()
        state = self.source([stem, self.op(stem)])
        logits: Tensor = self.head(state.mean((2, 3)))
        return logits


def plain_recipe() -> Config:
    """Return a run of seconds of built-in components, but for its few images."""
    tiny = tiny_recipe()
    search = replace(tiny.search, warm_up_epochs=0, epochs=1, batch_size=12)
    training = replace(tiny.training, warm_up_epochs=0, epochs=1, batch_size=12)
    return replace(
        tiny,
        dataset=OutsideDataset(),
        search=search,
        choosing=ChoosingConfig(),
        training=training,
    )


def outside_recipe() -> Config:
    """Return a run of seconds in which every component is from outside."""
    plain = plain_recipe()
    search = replace(
        plain.search,
        estimator=OutsideEstimator(),
        objectives={"objective": OutsideObjective(), "cost": OutsideCost()},
    )
    budgets = [
        "latency<=1000ms@outside:OutsideBackend",
        "outside:OutsideQuantity<=1000",
        "macs<=100M",
    ]
    return replace(
        plain,
        space=OutsideSpace(),
        network=OutsideNetworkOptions(),
        search=search,
        budgets=tuple(Budget.parse(budget) for budget in budgets),
    )


def model_recipe() -> Config:
    """Return a run of seconds of a model of one's own."""
    plain = plain_recipe()
    search = replace(plain.search, objectives={"objective": OutsideObjective()})
    return replace(plain, space=ModuleSpace(OutsideModel), network=NetworkOptions(), search=search)
