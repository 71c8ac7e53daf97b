"""What the latency of an architecture is a sum of: one term for each choice, or for each pair of choices of a slot.

An operation's cost depends on its input, in a reduction cell even on the stride that the input
brings. So where a space has slots of (input, operation), a slot is one block with a weight for
every pair; every other choice is a block of its own. The sum is multilinear in the one-hot choices:
it is differentiable in relaxed ones, and since choices are drawn independently, its expectation is
its value at the probabilities.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from torch import nn

from unas.architecture.genotype import Genotype
from unas.spaces import SearchSpace

Block = tuple[str, ...]
Entry = tuple[str, ...]
Array = npt.NDArray[np.float64]


def blocks_of(space: SearchSpace) -> tuple[Block, ...]:
    """Return the choices of each term: (input, operation) of each slot, and each other choice alone."""
    slots = [slot for pair in space.slot_pairs() for slot in pair]
    paired = {name for slot in slots for name in slot}
    return (*slots, *((name,) for name in space.choices if name not in paired))


class Terms:
    """The terms of a space, and which of them should cost the same.

    The terms of a block are counted from its first: a term is the difference that its options make.
    Two terms whose networks differ from that first in the same modules form a group, wherever they
    are.

    Args:
        space: the search space.
        build: returns the network of an architecture, of the size that is measured.
    """

    def __init__(self, space: SearchSpace, build: Callable[[Genotype], nn.Module]) -> None:
        self.space = space
        self.choices = space.choices
        self.blocks = blocks_of(space)
        self.entries: tuple[tuple[Entry, ...], ...] = tuple(
            tuple(itertools.product(*(self.choices[name] for name in block)))
            for block in self.blocks
        )
        self._offsets = np.cumsum([0, *(len(entries) for entries in self.entries)])
        self._index = [{entry: i for i, entry in enumerate(entries)} for entries in self.entries]
        self.groups = self._groups(build)

    @property
    def count(self) -> int:
        """How many terms there are."""
        return int(self._offsets[-1])

    @property
    def num_groups(self) -> int:
        """How many groups there are, without that of the terms that make no difference."""
        return int(self.groups.max(initial=0))

    def representatives(self) -> list[Genotype]:
        """Return the architecture of all first options, and for each group one that differs from it by a term of it."""
        base = {name: options[0] for name, options in self.choices.items()}
        found = {0: base}
        pairs = (
            (block, entry)
            for block, entries in zip(self.blocks, self.entries, strict=True)
            for entry in entries
        )
        for group, (block, entry) in zip(self.groups, pairs, strict=True):
            found.setdefault(int(group), base | dict(zip(block, entry, strict=True)))
        return [Genotype(self.space.registry_name, choices) for _, choices in sorted(found.items())]

    def matrix(self, genotypes: Sequence[Genotype]) -> Array:
        """Return which terms each architecture has, [n, terms] of 0 and 1."""
        found = np.zeros((len(genotypes), self.count))
        for row, genotype in enumerate(genotypes):
            for block, offset, index in zip(self.blocks, self._offsets, self._index, strict=False):
                found[row, offset + index[tuple(genotype.choices[name] for name in block)]] = 1
        return found

    def group_matrix(self) -> Array:
        """Return which group each term is in, [terms, groups] of 0 and 1; a row of a first term is 0."""
        found = np.zeros((self.count, self.num_groups + 1))
        found[np.arange(self.count), self.groups] = 1
        return found[:, 1:]

    def by_block(self, values: Array) -> list[Array]:
        """Return values of all terms as one array a block, [K] or [K_input, K_operation]."""
        parts = np.split(values, self._offsets[1:-1])
        shapes = [tuple(len(self.choices[name]) for name in block) for block in self.blocks]
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def _groups(self, build: Callable[[Genotype], nn.Module]) -> npt.NDArray[np.int64]:
        base = {name: options[0] for name, options in self.choices.items()}
        nothing = _modules(build(Genotype(self.space.registry_name, base)))
        numbers: dict[frozenset[tuple[str, int]], int] = {frozenset(): 0}
        found = []
        for block, entries in zip(self.blocks, self.entries, strict=True):
            for position, entry in enumerate(entries):
                changed = base | dict(zip(block, entry, strict=True))
                modules = (
                    _modules(build(Genotype(self.space.registry_name, changed)))
                    if position
                    else nothing
                )
                found.append(numbers.setdefault(_difference(modules, nothing), len(numbers)))
        return np.array(found)


def random_genotypes(
    space: SearchSpace, count: int, generator: np.random.Generator
) -> list[Genotype]:
    """Return architectures drawn uniformly."""
    return [
        Genotype(
            space.registry_name,
            {
                name: options[generator.integers(len(options))]
                for name, options in space.choices.items()
            },
        )
        for _ in range(count)
    ]


def _modules(network: nn.Module) -> Counter[str]:
    """Return how many modules of each kind and size a network has, without containers and what does nothing."""
    leaves = (module for module in network.modules() if next(module.children(), None) is None)
    return Counter(
        f"{leaf} {[tuple(parameter.shape) for parameter in leaf.parameters(recurse=False)]}"
        for leaf in leaves
        if not isinstance(leaf, nn.Identity | nn.Dropout)
    )


def _difference(
    modules: Mapping[str, int], others: Mapping[str, int]
) -> frozenset[tuple[str, int]]:
    names = set(modules) | set(others)
    changes = {name: modules.get(name, 0) - others.get(name, 0) for name in names}
    return frozenset((name, change) for name, change in changes.items() if change)
