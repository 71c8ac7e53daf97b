"""The primitives that a search space of any shape is made of: which operation, and which input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from unas.architecture.policy import Sample
from unas.common.errors import UserError
from unas.common.registry import one_of
from unas.nn.mixed import (
    BatchNormRows,
    PiecesOf,
    has_batch_norm,
    picked_pieces,
    pieces_by_architecture,
    spread,
    weighted_sum,
)
from unas.nn.recomputation import BuffersRewound, Recomputable

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

    def _weighed(self, name: str, sample: Sample, outcomes: Sequence[Tensor]) -> Tensor:
        """Return Σ_o weight_o·outcome_o, [B, …]."""
        self._require_one_shape(name, outcomes)
        return weighted_sum(spread(sample[name], outcomes[0].shape[0]), outcomes)

    def _picked(self, name: str, sample: Sample, pieces_of: PiecesOf) -> Tensor:
        """Return the outcome of what each architecture picked, [B, …], in memory of its own."""
        picks = sample.picks[name]
        outcome = picked_pieces(picks, pieces_of)
        weights = sample[name]
        if not weights.requires_grad:
            return outcome  # the weight of what was picked is 1
        columns = torch.tensor(picks).to(weights.device, non_blocking=True)[:, None]
        factors = spread(weights.gather(1, columns), outcome.shape[0])
        return outcome * factors.view(-1, *(1,) * (outcome.dim() - 1))

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


class OpChoice(Recomputable, Choice):
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
        sample = sample.to(inputs.device)
        if not sample.is_hard:
            outcomes = [self._run(sample, inputs, o) for o in range(len(self.options))]
            return self._weighed(name, sample, outcomes)
        pieces = pieces_by_architecture(inputs, len(sample))
        return self._picked(name, sample, partial(self._pieces_of, sample, inputs, pieces))

    def _pieces_of(
        self,
        sample: Sample,
        inputs: Tensor,
        pieces: Sequence[Tensor],
        o: int,
        architectures: Sequence[int],
    ) -> Sequence[Tensor]:
        share = len(pieces[0])
        if self._sees_batch[o] or len(architectures) == len(pieces):
            outcomes = torch.split(self._run(sample, inputs, o), share)
            return [outcomes[g] for g in architectures]
        if self._has_choices[o]:
            sample = sample.select(architectures)
        images = torch.cat([pieces[g] for g in architectures])
        return torch.split(self._run(sample, images, o), share)

    def _run(self, sample: Sample, inputs: Tensor, o: int) -> Tensor:
        version = _version(inputs)
        operation = self.candidates[o]
        if self.recomputes and torch.is_grad_enabled():
            outcome: Tensor = checkpoint(
                self._outcome,
                operation,
                sample,
                inputs,
                use_reentrant=False,
                context_fn=lambda: (nullcontext(), BuffersRewound(operation)),
            )
        else:
            outcome = self._outcome(operation, sample, inputs)
        if _version(inputs) != version:
            raise UserError(
                f"OpChoice {self.name!r}: option {self.options[o]!r} changes its input in place, "
                "and with it what the other options get; let it begin with what doesn't, such as "
                "F.relu(x) instead of F.relu_(x)"
            )
        return outcome

    @staticmethod
    def _outcome(operation: nn.Module, sample: Sample, inputs: Tensor) -> Tensor:
        with sample_scope(sample):  # for the choices inside of the operation
            return operation(inputs)  # type: ignore[no-any-return]


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
        sample = sample.to(inputs[0].device)
        if not sample.is_hard:
            return self._weighed(name, sample, inputs)
        pieces = [pieces_by_architecture(images, len(sample)) for images in inputs]
        return self._picked(name, sample, partial(_pieces_of_input, pieces))


def _pieces_of_input(
    pieces: Sequence[Sequence[Tensor]], o: int, architectures: Sequence[int]
) -> Sequence[Tensor]:
    return [pieces[o][g] for g in architectures]
