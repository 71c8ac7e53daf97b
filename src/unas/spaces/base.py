"""What every search space is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from inspect import isabstract
from typing import Any, ClassVar, TypeVar

from torch import nn

from unas.architecture.genotype import ChoiceTable, Genotype, space_registry
from unas.common.errors import UserError
from unas.common.registry import one_of

Options = TypeVar("Options", bound="NetworkOptions")


@dataclass(frozen=True)
class NetworkOptions:
    """How large the network is that a genotype becomes; each space has its own."""

    @classmethod
    def from_keywords(cls: type[Options], keywords: Mapping[str, Any]) -> Options:
        """Return the options with these values.

        Raises:
            UserError: there is no such option.
        """
        known = tuple(field.name for field in fields(cls))
        for name in keywords:
            if name not in known:
                raise UserError(f"network option {name!r} does not exist; {one_of(name, known)}")
        return cls(**keywords)

    def decided(self, genotype: Genotype, num_classes: int, image_channels: int) -> NetworkOptions:  # noqa: ARG002
        """Return the options with all that depends on the architecture decided.

        Most options depend on no architecture, and return themselves.

        Args:
            genotype: the architecture.
            num_classes: how many classes its network tells apart.
            image_channels: channels of an image.

        Raises:
            UserError: no network of this architecture is as the options ask.
        """
        return self

    def decision(self, genotype: Genotype, num_classes: int, image_channels: int) -> str | None:  # noqa: ARG002
        """Return what `decided` decides for an architecture, in one line; None where it is nothing.

        Args:
            genotype: the architecture.
            num_classes: how many classes its network tells apart.
            image_channels: channels of an image.

        Raises:
            UserError: see `decided`.
        """
        return None


@dataclass(frozen=True)
class SearchSpace(ChoiceTable):
    """A set of architectures: its choices, a supernet of them all, and the network of each one.

    A space is a frozen dataclass of its own options, so it is its own configuration.

    Attributes:
        has_float32_kernels: its networks run on kernels of their own on a CPU, which have no
            bfloat16, so that it is slower there.
    """

    network_options: ClassVar[type[NetworkOptions]]
    has_float32_kernels: ClassVar[bool] = False

    @property
    def registry_name(self) -> str:
        """The name for `--space`, which genotypes carry; outside unas, `package.module:Class`."""
        return space_registry.name_of(type(self))

    @property
    @abstractmethod
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The options of each choice, by the choice's name."""

    @abstractmethod
    def supernet(self, num_classes: int, image_channels: int = 3) -> nn.Module:
        """Return a module that maps (images, Sample of G architectures) to logits.

        Images are [B, C, H, W] and logits [B, num_classes]. G divides B; architecture g serves
        images g·B/G … (g+1)·B/G − 1.
        """

    @abstractmethod
    def network(
        self, genotype: Genotype, num_classes: int, image_channels: int = 3, **options: Any
    ) -> nn.Module:
        """Return the network of one architecture, untrained.

        It maps images [B, C, H, W] to logits [B, num_classes].

        Args:
            genotype: an architecture of this space.
            num_classes: how many classes the network tells apart.
            image_channels: C.
            **options: fields of the space's `network_options`.

        Raises:
            UserError: the genotype is not one of this space, or an option is wrong.
        """

    def check(self, genotype: Genotype) -> None:
        """Check that a genotype is an architecture of this space, or of a space it derives from.

        Raises:
            UserError: the genotype is of another space, or has other choices or options.
        """
        if genotype.space not in self._known_names():
            raise UserError(
                f"genotype.space is {genotype.space!r}; "
                f"this network needs one of the {self.registry_name} space"
            )
        table = self.choices_like(genotype.choices)
        genotype.check(self.choices if table is None else table)

    def slot_pairs(self) -> tuple[tuple[tuple[str, str], tuple[str, str]], ...]:
        """Return the names of the choices of each node that has two slots.

        A node is ((input, operation), (input, operation)). Most spaces have no such node.
        """
        return ()

    def _known_names(self) -> list[str]:
        """Return the names of this space and of those that it derives from."""
        spaces = [cls for cls in type(self).__mro__ if issubclass(cls, SearchSpace)]
        return [space_registry.name_of(cls) for cls in spaces if not isabstract(cls)]
