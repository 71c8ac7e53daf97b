"""The distribution over architectures that a search learns, and what is drawn from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unas.architecture.genotype import Genotype
from unas.common.errors import UserError

_RESERVED = frozenset(dir(nn.ParameterDict()))  # of an instance, which has more: training


class Layout:
    """How the choices of a space lie in memory: those with equally many options are one tensor.

    Dozens of choices then cost a handful of tensor operations.

    Args:
        choices: the options of each choice, by the choice's name.
        space: the name that genotypes carry.

    Attributes:
        groups: the names of the choices in each tensor.
        position: the tensor that holds a choice, and its row there, by the choice's name.

    Raises:
        UserError: there is no choice, a name can't be used, or options repeat.
    """

    def __init__(self, choices: Mapping[str, Sequence[str]], space: str) -> None:
        self.choices = {name: tuple(options) for name, options in choices.items()}
        self.space = space
        if not self.choices:
            raise UserError("choices is empty; a policy needs at least one choice")
        for name, options in self.choices.items():
            if not name or "." in name or name in _RESERVED:
                raise UserError(
                    f"choice {name!r}: the name must be non-empty, without a dot, "
                    "and no attribute of nn.ParameterDict"
                )
            if not options or len(set(options)) != len(options):
                raise UserError(
                    f"choice {name!r}: options are {options}; give at least one, each once"
                )
        by_size: dict[int, list[str]] = {}
        for name, options in self.choices.items():
            by_size.setdefault(len(options), []).append(name)
        self.groups = tuple(tuple(by_size[size]) for size in sorted(by_size))
        self.position: dict[str, tuple[int, int]] = {}
        for g, names in enumerate(self.groups):
            for i, name in enumerate(names):
                self.position[name] = (g, i)

    def stack(self, by_name: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Turn a tensor [..., K] a choice into one tensor [..., n, K] a group of n choices."""
        return tuple(torch.stack([by_name[name] for name in names], -2) for names in self.groups)


@dataclass(frozen=True)
class Sample:
    """G architectures drawn for a batch: a weight for every option of every choice.

    Args:
        layout: the choices.
        groups: the weights, [G, n, K] for each group of n choices with K options.
        is_hard: every row is one-hot, so that a supernet runs only what was picked.
        known_picks: the `picks`, if they are known already.
    """

    layout: Layout
    groups: tuple[Float[Tensor, "architectures _choices _options"], ...]
    is_hard: bool
    known_picks: Mapping[str, list[int]] | None = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> Float[Tensor, "architectures options"]:
        """Return the weights [G, K] of one choice."""
        group, position = self.layout.position[name]
        return self.groups[group][:, position]

    def __len__(self) -> int:
        return self.groups[0].shape[0]

    @cached_property
    def picks(self) -> Mapping[str, list[int]]:
        """The index of the largest weight, by choice, for each of the G architectures."""
        if self.known_picks is not None:
            return self.known_picks
        by_group = [group.detach().argmax(-1).T.tolist() for group in self.groups]
        return {name: by_group[g][i] for name, (g, i) in self.layout.position.items()}

    def split(self, sizes: Sequence[int]) -> list[Sample]:
        """Return samples of so many architectures each, in order; `sizes` add up to G."""
        pieces = zip(*(torch.split(group, list(sizes)) for group in self.groups), strict=True)
        return [Sample(self.layout, groups, self.is_hard) for groups in pieces]

    def select(self, architectures: Sequence[int]) -> Sample:
        """Return the sample of the architectures with these numbers.

        The picks of a hard one stay on the host.
        """
        groups = []
        for group in self.groups:
            indices = torch.tensor(architectures).to(group.device, non_blocking=True)
            groups.append(group.index_select(0, indices))
        picks = None
        if self.is_hard:
            picks = {
                name: [picked[g] for g in architectures] for name, picked in self.picks.items()
            }
        return Sample(self.layout, tuple(groups), self.is_hard, picks)

    def genotypes(self) -> list[Genotype]:
        """Return the G architectures; of a relaxed sample, those of its largest weights."""
        genotypes = []
        for g in range(len(self)):
            choices = {}
            for name, options in self.layout.choices.items():
                choices[name] = options[self.picks[name][g]]
            genotypes.append(Genotype(self.layout.space, choices))
        return genotypes

    def detach(self) -> Sample:
        """Return the same sample as a constant."""
        return replace(self, groups=tuple(group.detach() for group in self.groups))

    def to(self, device: torch.device) -> Sample:
        """Return the sample with its weights on `device`.

        The picks of a hard one stay on the host, so that routing never waits for the device.
        """
        if all(group.device == device for group in self.groups):
            return self
        groups = tuple(group.to(device, non_blocking=True) for group in self.groups)
        picks = self.picks if self.is_hard else None
        return Sample(self.layout, groups, self.is_hard, picks)

    @classmethod
    def from_genotypes(cls, layout: Layout, genotypes: Iterable[Genotype]) -> Sample:
        """Return the hard sample that holds these architectures, in their order.

        Raises:
            UserError: a genotype isn't one of these choices.
        """
        rows = []
        for genotype in genotypes:
            genotype.check(layout.choices)
            rows.append(genotype.choices)
        weights = {}
        for name, options in layout.choices.items():
            picks = torch.tensor([options.index(row[name]) for row in rows])
            weights[name] = nn.functional.one_hot(picks, len(options)).float()
        return cls(layout, layout.stack(weights), is_hard=True)


class Policy(nn.Module):
    """A factorised categorical distribution over architectures (UNAS, section 3).

    Args:
        choices: the options of each choice, by the choice's name (no dots).
        softening: ε ≥ 0; p ∝ softmax(logits) + ε. Sampling, log-probability and entropy all use
            this p.
        space: the name of the space, which its genotypes carry.

    Raises:
        UserError: there is no choice, a name can't be used, options repeat, or softening is
            negative.
    """

    def __init__(
        self, choices: Mapping[str, Sequence[str]], softening: float = 0.0, space: str = "module"
    ) -> None:
        super().__init__()
        if not 0 <= softening < math.inf:
            raise UserError(f"softening is {softening}; it must be 0 or more, and finite")
        self.layout = Layout(choices, space)
        self.softening = softening
        # In the order of names, in which checkpoints hold what the optimiser remembers.
        self.logits = nn.ParameterDict()
        for name, options in sorted(self.layout.choices.items()):
            self.logits[name] = nn.Parameter(torch.zeros(len(options)))

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The options of each choice, by the choice's name."""
        return self.layout.choices

    def log_probabilities(self) -> tuple[Float[Tensor, "_choices _options"], ...]:
        """Return log p as one float64 tensor [n, K] for each group of n choices with K options."""
        stacked = self.layout.stack({name: self.logits[name] for name in self.choices})
        return tuple(self._log_probability(logits.double()) for logits in stacked)

    def probabilities(self) -> dict[str, dict[str, float]]:
        """Return p by choice and option, as plain numbers for files and reports."""
        by_group = [group.detach().exp().tolist() for group in self.log_probabilities()]
        probabilities = {}
        for name, options in self.choices.items():
            g, i = self.layout.position[name]
            probabilities[name] = dict(zip(options, by_group[g][i], strict=True))
        return probabilities

    def mode(self) -> dict[str, str]:
        """Return the most probable option of each choice, the first one where several are equal."""
        mode = {}
        for name, options in self.choices.items():
            mode[name] = options[int(self.logits[name].argmax())]
        return mode

    def log_prob(self, sample: Sample) -> Float[Tensor, " architectures"]:
        """Return log p(z) of each architecture of a hard sample, [G]."""
        pairs = zip(sample.groups, self.log_probabilities(), strict=True)
        total = sum(((weights * log_p).sum((1, 2)) for weights, log_p in pairs), torch.zeros(()))
        return total.to(sample.groups[0].dtype)

    def entropy(self) -> Float[Tensor, ""]:
        """Return the entropy of the whole distribution in nats, []."""
        return sum((-(p.exp() * p).sum() for p in self.log_probabilities()), torch.zeros(()))

    def _log_probability(
        self, logits: Float[Tensor, "choices options"]
    ) -> Float[Tensor, "choices options"]:
        if self.softening == 0:
            return logits.log_softmax(-1)
        total = 1 + logits.shape[-1] * self.softening
        return ((logits.softmax(-1) + self.softening) / total).log()
