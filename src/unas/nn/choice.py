"""The primitives that a search space of any shape is made of: which operation, and which input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import get_args

from torch import Tensor, nn

from unas.architecture.policy import Sample
from unas.common.errors import UserError
from unas.common.registry import one_of
from unas.nn.mixed import (
    BatchNormRows,
    Branch,
    has_batch_norm,
    routed_sum,
    routes,
    spread,
    take,
    weighted_sum,
)

# What may return its input, or a view of it.
_MAY_PASS_ON = (nn.Identity, nn.Flatten, nn.Unflatten, nn.modules.dropout._DropoutNd)
_sample_in_scope: ContextVar[Sample | None] = ContextVar("sample_in_scope", default=None)


@contextmanager
def sample_scope(sample: Sample) -> Iterator[None]:
    """Give `sample` to every choice that is called without one in the block, in this thread."""
    token = _sample_in_scope.set(sample)
    try:
        yield
    finally:
        _sample_in_scope.reset(token)


class Choice(nn.Module):
    """What both kinds of choice share: options, a name, and how they are mixed.

    Args:
        options: the names of the options, in their order.
        name: of the decision; choices of one name decide alike. None: `ModuleSpace` names it by its
            path.
    """

    def __init__(self, options: Sequence[str], name: str | None) -> None:
        super().__init__()
        self.options = tuple(options)
        self.name = name

    def _decided(self, sample: Sample | None) -> tuple[str, Sample]:
        """Return this choice's name and the sample that decides it, by default the one in scope.

        Raises:
            UserError: there is none, the choice has no name, or the sample doesn't know it.
        """
        kind = type(self).__name__
        if sample is None:
            sample = _sample_in_scope.get()
        if sample is None:
            raise UserError(
                f"{kind} {self.name!r} has no sample to decide it; "
                "call the space's supernet(images, sample), pass sample=, "
                "or open unas.nn.choice.sample_scope(sample)"
            )
        if not isinstance(sample, Sample):
            raise UserError(
                f"{kind} {self.name!r} got two inputs, the second of type "
                f"{type(sample).__name__}; it takes one, and a sample that decides it"
            )
        if self.name is None:
            raise UserError(
                f"this {kind} ({', '.join(self.options)}) has no name; "
                "register it in the model that ModuleSpace gets "
                "(lists of modules as nn.ModuleList), or give it name="
            )
        choices = sample.layout.choices
        options = choices.get(self.name)
        if options is None:
            raise UserError(
                f"{kind} {self.name!r} is not in the sample; {one_of(self.name, tuple(choices))}"
            )
        if options != self.options:
            raise UserError(
                f"{kind} {self.name!r} has options {self.options}, but the sample {options}"
            )
        return self.name, sample

    def _mixed(self, name: str, sample: Sample, like: Tensor, branches: Sequence[Branch]) -> Tensor:
        """Return Σ_o weight_o·branch_o for a batch as long as `like`, [B, …]."""
        batch = like.shape[0]
        weights = spread(sample.to(like.device)[name], batch)
        if sample.is_hard:
            picks = [[pick] for pick in sample.picks[name]]
            return routed_sum(weights, branches, routes(picks, batch))
        outcomes = [branch(None) for branch in branches]
        self._require_one_shape(name, outcomes)
        return weighted_sum(weights, outcomes)

    def _require_one_shape(self, name: str, outcomes: Sequence[Tensor]) -> None:
        """Refuse outcomes of several shapes, some of which would even broadcast."""
        shape = outcomes[0].shape
        for option, outcome in zip(self.options, outcomes, strict=True):
            if outcome.shape != shape:
                raise UserError(
                    f"{type(self).__name__} {name!r}: option {self.options[0]!r} gives "
                    f"{list(shape)}, {option!r} gives {list(outcome.shape)}; "
                    "all options must give one shape"
                )


class OpChoice(Choice):
    """A choice among operations on one input.

    A relaxed sample runs them all and weighs their outcomes; a hard one runs only what was picked,
    each operation on the images whose architecture picked it.

    What one option does to its input, others must not see: an activation or a dropout that an
    option begins with is switched from in place to not in place, and any other option that changes
    its input is refused when it runs.

    Args:
        options: the operations, by name; all map [B, …] to the same shape.
        name: of the decision; choices of one name decide alike. None: `ModuleSpace` names it by its
            path.
        bn: what a hard sample's BatchNorm takes its statistics over: "batch", all images of the
            batch; "routed", only the images that picked the operation, which computes less.

    Raises:
        UserError: there is no option, an option is no module, or `bn` is neither of both. (And
            `forward`, if an option changes its input.)
    """

    def __init__(
        self,
        options: Mapping[str, nn.Module],
        *,
        name: str | None = None,
        bn: BatchNormRows = "batch",
    ) -> None:
        super().__init__(tuple(options), name)
        if not options:
            raise UserError("OpChoice.options is empty; give at least one")
        for option, operation in options.items():
            if not (isinstance(option, str) and isinstance(operation, nn.Module)):
                raise UserError(
                    f"OpChoice.options[{option!r}] is {operation!r}; "
                    "it must be an nn.Module with a name"
                )
        known = get_args(BatchNormRows)
        if bn not in known:
            raise UserError(f"OpChoice.bn is {bn!r}; it must be {' or '.join(known)}")
        for operation in options.values():
            _leave_input_alone(operation)
        self.candidates = nn.ModuleList(options.values())  # not a ModuleDict, which reserves names
        self._sees_batch: list[bool] = []
        self._has_choices: list[bool] = []
        for operation in options.values():
            self._sees_batch.append(bn == "batch" and has_batch_norm(operation))
            self._has_choices.append(any(isinstance(m, Choice) for m in operation.modules()))

    def forward(self, inputs: Tensor, sample: Sample | None = None) -> Tensor:
        """Return the mixed outcome.

        Args:
            inputs: [B, …], whatever the operations take.
            sample: G architectures, G divides B; None for the one in scope.

        Raises:
            UserError: there is no sample, or it doesn't know this choice.
        """
        name, sample = self._decided(sample)
        numbers = range(len(self.options))
        branches = [partial(self._outcome, name, sample, inputs, o) for o in numbers]
        return self._mixed(name, sample, inputs, branches)

    def _outcome(
        self, name: str, sample: Sample, inputs: Tensor, o: int, rows: Tensor | None
    ) -> Tensor:
        if rows is None:
            return self._run(sample, inputs, o)
        if self._sees_batch[o]:
            return take(self._run(sample, inputs, o), rows)
        if self._has_choices[o]:
            share = len(inputs) // len(sample)
            owners: list[int] = []  # of the images in `rows`
            for g, pick in enumerate(sample.picks[name]):
                if pick == o:
                    owners += [g] * share
            sample = sample.select(owners)
        return self._run(sample, take(inputs, rows), o)

    def _run(self, sample: Sample, inputs: Tensor, o: int) -> Tensor:
        version = _version(inputs)
        with sample_scope(sample):  # for the choices inside of the operation
            outcome: Tensor = self.candidates[o](inputs)
        if _version(inputs) != version:
            raise UserError(
                f"OpChoice {self.name!r}: option {self.options[o]!r} changes its input in place, "
                "and with it what the other options get; let it begin with what doesn't, such as "
                "F.relu(x) instead of F.relu_(x)"
            )
        return outcome


def passes_on(operation: nn.Module) -> bool:
    """Return whether what an operation returns may be its own input, or a view of it."""
    if isinstance(operation, nn.Sequential):
        return all(passes_on(child) for child in operation)
    return isinstance(operation, _MAY_PASS_ON)


def _leave_input_alone(operation: nn.Module) -> None:
    """Switch off "in place" in what an operation begins with."""
    if isinstance(operation, nn.Sequential):
        for child in operation:
            _leave_input_alone(child)
            if not passes_on(child):
                return
    elif getattr(operation, "inplace", False) is True:
        operation.inplace = False  # type: ignore[assignment]


def _version(tensor: Tensor) -> int:
    """Return a number that grows when a tensor is changed in place."""
    return 0 if tensor.is_inference() else tensor._version


class InputChoice(Choice):
    """A choice among inputs of one shape; its options are "0", "1", ….

    Args:
        n: how many inputs there are.
        name: of the decision; choices of one name decide alike. None: `ModuleSpace` names it by its
            path.

    Raises:
        UserError: `n` is less than 1.
    """

    def __init__(self, n: int, *, name: str | None = None) -> None:
        if not (isinstance(n, int) and n >= 1):
            raise UserError(f"InputChoice.n is {n!r}; it must be a whole number, 1 or more")
        super().__init__([str(j) for j in range(n)], name)

    def forward(self, inputs: Sequence[Tensor], sample: Sample | None = None) -> Tensor:
        """Return the mixed input.

        Args:
            inputs: n tensors [B, …] of one shape.
            sample: G architectures, G divides B; None for the one in scope.

        Raises:
            UserError: there aren't n inputs, there is no sample, or it doesn't know this choice.
        """
        name, sample = self._decided(sample)
        if len(inputs) != len(self.options):
            raise UserError(
                f"InputChoice {name!r} got {len(inputs)} inputs; it has {len(self.options)} options"
            )
        branches = [partial(_all_or_some, images) for images in inputs]
        return self._mixed(name, sample, inputs[0], branches)


def _all_or_some(images: Tensor, rows: Tensor | None) -> Tensor:
    return images if rows is None else take(images, rows)
