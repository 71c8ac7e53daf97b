"""What the cost of an architecture is a sum of: a term for each choice, or each pair of a slot's.

An operation's cost depends on its input, in a reduction cell even on the stride that the input
brings. So where a space has slots of (input, operation), a slot is one block with a term for every
pair; every other choice is a block of its own. The sum is multilinear in the one-hot choices: it is
differentiable in relaxed ones, and since choices are drawn independently, its expectation is its
value at the probabilities.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from torch import nn

from unas.architecture.genotype import Genotype
from unas.spaces import SearchSpace

Block = tuple[str, ...]
Entry = tuple[str, ...]
Array = npt.NDArray[np.float64]


def blocks_of(space: SearchSpace) -> tuple[Block, ...]:
    """Return the choices of each block: (input, operation) of a slot, or a choice alone."""
    slots = [slot for pair in space.slot_pairs() for slot in pair]
    paired = set(itertools.chain.from_iterable(slots))
    alone = [(name,) for name in space.choices if name not in paired]
    return (*slots, *alone)


class Terms:
    """The terms of a space, and which of them should cost the same.

    The terms of a block are counted from its first: a term is the difference that its options make.
    Two terms whose networks differ from that first in the same modules form a group, wherever they
    are.

    Args:
        space: the search space.
        build: returns the network of an architecture, of the size that is measured.

    Attributes:
        blocks: the choices of each block.
        entries: the options of each term, by block.
        groups: the number of each term's group; that of a term that makes no difference is 0.
    """

    def __init__(self, space: SearchSpace, build: Callable[[Genotype], nn.Module]) -> None:
        self.space = space
        self.choices = space.choices
        self.blocks = blocks_of(space)
        self.entries: list[list[Entry]] = []
        self._positions: list[dict[Entry, int]] = []  # of each entry among all terms, by block
        count = itertools.count()
        for block in self.blocks:
            options = [self.choices[name] for name in block]
            entries = list(itertools.product(*options))
            self.entries.append(entries)
            self._positions.append({entry: next(count) for entry in entries})
        self.groups = self._groups(build)

    @property
    def count(self) -> int:
        """How many terms there are."""
        return sum(len(entries) for entries in self.entries)

    @property
    def num_groups(self) -> int:
        """How many groups there are, without that of the terms that make no difference."""
        return int(self.groups.max(initial=0))

    def base(self) -> Genotype:
        """Return the architecture of all first options."""
        options = {name: options[0] for name, options in self.choices.items()}
        return Genotype(self.space.registry_name, options)

    def changed(self) -> Iterator[Genotype]:
        """Yield for each term the architecture of all first options, with those of the term."""
        base = self.base()
        for block, entries in zip(self.blocks, self.entries, strict=True):
            for entry in entries:
                choices = dict(base.choices) | dict(zip(block, entry, strict=True))
                yield Genotype(base.space, choices)

    def representatives(self) -> list[Genotype]:
        """Return the architecture of all first options, and one for each group.

        That of a group differs from the first by one term of the group.
        """
        by_group = {0: self.base()}
        for group, genotype in zip(self.groups, self.changed(), strict=True):
            by_group.setdefault(int(group), genotype)
        return [by_group[group] for group in sorted(by_group)]

    def matrix(self, genotypes: Sequence[Genotype]) -> Array:
        """Return which terms each architecture has, [n, terms] of 0 and 1."""
        matrix = np.zeros((len(genotypes), self.count))
        for row, genotype in enumerate(genotypes):
            for block, positions in zip(self.blocks, self._positions, strict=True):
                entry = tuple(genotype.choices[name] for name in block)
                matrix[row, positions[entry]] = 1
        return matrix

    def group_matrix(self) -> Array:
        """Return which group each term is in, [terms, groups] of 0 and 1.

        The row of a term that makes no difference is 0.
        """
        matrix = np.zeros((self.count, self.num_groups + 1))
        matrix[np.arange(self.count), self.groups] = 1
        return matrix[:, 1:]

    def by_block(self, values: Array) -> list[Array]:
        """Return values of all terms as one array a block, [K] or [K_input, K_operation]."""
        arrays = []
        start = 0
        for block, entries in zip(self.blocks, self.entries, strict=True):
            shape = [len(self.choices[name]) for name in block]
            arrays.append(values[start : start + len(entries)].reshape(shape))
            start += len(entries)
        return arrays

    def _groups(self, build: Callable[[Genotype], nn.Module]) -> npt.NDArray[np.int64]:
        base = self.base()
        base_modules = _modules(build(base))
        numbers: dict[frozenset[tuple[str, int]], int] = {frozenset(): 0}
        groups = []
        for genotype in self.changed():
            # A block's first term changes nothing, and its network need not be built again.
            modules = base_modules if genotype == base else _modules(build(genotype))
            difference = _difference(modules, base_modules)
            groups.append(numbers.setdefault(difference, len(numbers)))
        return np.array(groups)


def random_genotypes(
    space: SearchSpace, count: int, generator: np.random.Generator
) -> list[Genotype]:
    """Return architectures drawn uniformly."""
    genotypes = []
    for _ in range(count):
        choices = {}
        for name, options in space.choices.items():
            choices[name] = options[generator.integers(len(options))]
        genotypes.append(Genotype(space.registry_name, choices))
    return genotypes


def _modules(network: nn.Module) -> Counter[str]:
    """Return how many modules of each kind and size a network has.

    Containers, and modules that do nothing, are left out.
    """
    modules: Counter[str] = Counter()
    for module in network.modules():
        is_leaf = next(module.children(), None) is None
        if is_leaf and not isinstance(module, nn.Identity | nn.Dropout):
            shapes = [tuple(parameter.shape) for parameter in module.parameters(recurse=False)]
            modules[f"{module} {shapes}"] += 1
    return modules


def _difference(
    modules: Mapping[str, int], others: Mapping[str, int]
) -> frozenset[tuple[str, int]]:
    """Return by how much the numbers of modules differ, where they do."""
    changes = []
    for name in set(modules) | set(others):
        change = modules.get(name, 0) - others.get(name, 0)
        if change:
            changes.append((name, change))
    return frozenset(changes)
