"""Any model with choices in it as a search space."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Sample
from unas.common.errors import UserError, one_line_errors
from unas.nn.choice import Choice, InputChoice, OpChoice, passes_on, sample_scope
from unas.spaces.base import NetworkOptions, SearchSpace

Layout = Literal["channels_last", "contiguous"]
_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


@dataclass(frozen=True)
class ModuleSpace(SearchSpace):
    """The architectures of a model that has `OpChoice` and `InputChoice` modules in it.

    A choice is called by its path in the model with "/" for ".", unless it has a name of its own.
    The same module at two places, or two choices of one name, is one decision. A choice may lie
    inside an option of another.

    Args:
        model: what returns the model; it is called with those of `num_classes` and
            `image_channels` that it accepts, by keyword. Or a model, which is copied, with its
            weights, each time. In a run it must be a class or a function on top of a module,
            which config.json can name.

    Raises:
        UserError: `model` is neither. (And `choices`, if there are none, or two of one name have
            different options.)
    """

    network_options: ClassVar[type[NetworkOptions]] = NetworkOptions

    model: Callable[..., nn.Module]

    def __post_init__(self) -> None:
        if not callable(self.model):
            raise UserError(
                f"ModuleSpace.model is {self.model!r}; it must be an nn.Module or what returns one"
            )

    @classmethod
    def all_choices(cls) -> None:
        """Return None: only an instance knows."""

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The options of each choice, by the choice's name."""
        return dict(self._choices)

    @cached_property
    def _choices(self) -> dict[str, tuple[str, ...]]:
        if isinstance(self.model, nn.Module):
            return _options_by_name(self.model)
        # Asking what there is to choose from must not change a run.
        name = getattr(self.model, "__qualname__", repr(self.model))
        with torch.random.fork_rng(devices=[]), one_line_errors(f"{name} can't be made"):
            model = self._build(num_classes=10, image_channels=3)
        return _options_by_name(model)

    def supernet(self, num_classes: int, image_channels: int = 3) -> nn.Module:
        """Return the model, its choices decided by a sample; see `SearchSpace`.

        Its BatchNorm uses batch statistics, in evaluation too: running ones would mix those of all
        architectures.
        """
        model = self._build(num_classes, image_channels)
        for name, choice in _named_choices(model):
            choice.name = name
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.track_running_stats = False
                module.running_mean = module.running_var = module.num_batches_tracked = None
        return ModuleSupernet(model)

    def network(
        self, genotype: Genotype, num_classes: int, image_channels: int = 3, **options: Any
    ) -> nn.Module:
        """Return the model with every choice replaced by what the genotype picked.

        There are no options: a model has its size from its class or function. See `SearchSpace`.
        """
        NetworkOptions.from_keywords(options)
        self.check(genotype)
        model = self._build(num_classes, image_channels)
        names = {choice: name for name, choice in _named_choices(model)}
        return _Decided(genotype, names).replace(model)

    def _build(self, num_classes: int, image_channels: int) -> nn.Module:
        if isinstance(self.model, nn.Module):
            return copy.deepcopy(self.model)
        description = getattr(self.model, "__qualname__", repr(self.model))
        accepted = _accepted(self.model, num_classes=num_classes, image_channels=image_channels)
        signature = inspect.signature(self.model)
        try:
            signature.bind(**accepted)
        except TypeError as error:
            names = ", ".join(accepted) or "nothing"
            raise UserError(
                f"ModuleSpace.model: {description}{signature} can't be called with {names} alone "
                f"({error}); give the others defaults, or name a function that gives them"
            ) from error
        model = self.model(**accepted)
        if not isinstance(model, nn.Module):
            raise UserError(
                f"ModuleSpace.model: {description} returned {model!r}; it must return an nn.Module"
            )
        return model


class ModuleSupernet(nn.Module):
    """The model, its choices decided by a sample.

    Attributes:
        layout: how the images [B, C, H, W] that the model gets lie in memory; None: as they come.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.layout: Layout | None = None

    def set_layout(self, layout: Any) -> None:
        """Take the layout that a checkpoint has.

        Raises:
            ValueError: there is no such layout.
        """
        if layout is not None and layout not in _FORMATS:
            raise ValueError(f"layout {layout!r}")
        self.layout = layout

    def forward(self, images: Tensor, sample: Sample) -> Tensor:
        """Return the logits [B, num_classes] of images [B, C, H, W] under G architectures.

        G divides B.
        """
        if self.layout is not None:
            images = images.contiguous(memory_format=_FORMATS[self.layout])
        with sample_scope(sample.to(images.device)):
            return self.model(images)  # type: ignore[no-any-return]


class _Copied(nn.Module):
    """What an option becomes that returns its input: a copy, as a choice gives one.

    What follows in place then changes nothing else, in the network as in the supernet.
    """

    def __init__(self, option: nn.Module) -> None:
        super().__init__()
        self.option = option

    def forward(self, images: Tensor) -> Tensor:
        """Return the outcome in memory of its own."""
        outcome: Tensor = self.option(images)
        return outcome.clone()


class _Selector(nn.Module):
    """What an `InputChoice` becomes: a copy of the input that was picked."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the picked input."""
        return inputs[self.index].clone()


class _Decided:
    """Replaces choices by what a genotype picked; what is shared in the model stays shared."""

    def __init__(self, genotype: Genotype, names: dict[Choice, str]) -> None:
        self.genotype = genotype
        self.names = names
        self.replaced: dict[nn.Module, nn.Module] = {}

    def replace(self, module: nn.Module) -> nn.Module:
        """Return the module without choices in it, changed in place unless it is one itself."""
        if module not in self.replaced:
            self.replaced[module] = self._replace(module)
        return self.replaced[module]

    def _replace(self, module: nn.Module) -> nn.Module:
        if isinstance(module, Choice):
            picked = module.options.index(self.genotype.choices[self.names[module]])
            if isinstance(module, OpChoice):
                option = self.replace(module.candidates[picked])
                return _Copied(option) if passes_on(option) else option
            assert isinstance(module, InputChoice)  # noqa: S101 - for the type checker
            return _Selector(picked)
        for child_name, child in list(module._modules.items()):
            if child is not None:
                setattr(module, child_name, self.replace(child))
        return module


def _accepted(model: Callable[..., nn.Module], **offered: int) -> dict[str, int]:
    """Return those of the arguments that a class or function takes by keyword."""
    parameters = inspect.signature(model).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return offered
    return {name: value for name, value in offered.items() if name in parameters}


def _named_choices(model: nn.Module) -> list[tuple[str, Choice]]:
    """Return each choice with its own name, or else the one that its path gives it."""
    named: list[tuple[str, Choice]] = []
    for path, module in model.named_modules():
        if isinstance(module, Choice):
            name = module.name or path.replace(".", "/") or "choice"
            named.append((name, module))
    return named


def _options_by_name(model: nn.Module) -> dict[str, tuple[str, ...]]:
    options: dict[str, tuple[str, ...]] = {}
    for name, choice in _named_choices(model):
        options.setdefault(name, choice.options)
        if options[name] != choice.options:
            raise UserError(
                f"choice {name!r} has options {options[name]} at one place "
                f"and {choice.options} at another"
            )
    if not options:
        raise UserError(
            f"{type(model).__name__} has no choice in it; "
            "put an OpChoice or an InputChoice where it varies"
        )
    return options
