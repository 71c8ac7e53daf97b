"""From a genotype to its network, whatever its space is."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from unas.architecture.genotype import Genotype, space_registry
from unas.common.errors import UserError
from unas.common.registry import is_built_in
from unas.spaces.base import SearchSpace


def create_network(
    genotype: Genotype, num_classes: int = 10, image_channels: int = 3, **space_options: Any
) -> nn.Module:
    """Return the network of `genotype`, untrained.

    It maps images [B, image_channels, H, W] to logits [B, num_classes].

    Args:
        genotype: an architecture of a built-in space.
        num_classes: how many classes the network tells apart.
        image_channels: channels of an image.
        **space_options: fields of the space's `network_options`; DARTS: channels, layers, stem,
            auxiliary, drop_path.

    Raises:
        UserError: the genotype is not one of its space, or an option is wrong.
    """
    for name, value in (("num_classes", num_classes), ("image_channels", image_channels)):
        if not (isinstance(value, int) and 1 <= value <= 1_000_000):
            raise UserError(f"{name} is {value!r}; it must be a whole number from 1 to 1,000,000")
    space = built_in_space(genotype)
    if space is None:
        raise UserError(
            f"genotype.space is {genotype.space!r}, which only an instance of that space knows; "
            "call the instance's network(genotype, num_classes)"
        )
    return space.network(genotype, num_classes, image_channels, **space_options)


def built_in_space(genotype: Genotype) -> SearchSpace | None:
    """Return the built-in space of a genotype; None if it needs code from outside.

    Raises:
        UserError: there is no such space.
    """
    if not is_built_in(genotype.space):
        return None
    space = cast("type[SearchSpace]", space_registry.get(genotype.space))
    return None if space.all_choices() is None else space()
