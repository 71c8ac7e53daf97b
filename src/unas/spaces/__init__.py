"""Search spaces; one a file."""

from typing import cast

from unas.architecture.genotype import space_registry
from unas.common.registry import Registry
from unas.spaces._create import create_network
from unas.spaces.base import NetworkOptions, SearchSpace
from unas.spaces.module import ModuleSpace

registry = cast("Registry[SearchSpace]", space_registry)
get = registry.get
names = registry.names

__all__ = [
    "ModuleSpace",
    "NetworkOptions",
    "SearchSpace",
    "create_network",
    "get",
    "names",
    "registry",
]
