"""Search spaces; one a file."""

from typing import cast

from unas.architecture.genotype import space_registry
from unas.common.registry import Registry
from unas.spaces._blueprint import Blueprint
from unas.spaces._create import built_in_space, create_network
from unas.spaces._skeleton import without_memory
from unas.spaces.base import NetworkOptions, SearchSpace
from unas.spaces.module import ModuleSpace

registry = cast("Registry[SearchSpace]", space_registry)
get = registry.get
names = registry.names

__all__ = [
    "Blueprint",
    "ModuleSpace",
    "NetworkOptions",
    "SearchSpace",
    "built_in_space",
    "create_network",
    "get",
    "names",
    "registry",
    "without_memory",
]
