"""What a model of one's own does wrong, in one line that names the model and what it gave."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from unas.common.errors import UserError, kind_and_line
from unas.spaces import ModuleSpace, SearchSpace

_TOLD = ("num_classes", "image_channels")
# Where the code of unas and of PyTorch lies.
_NOT_OWN = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))


def name_of(space: SearchSpace) -> str:
    """Return what messages call the networks of a space: its own name, or that of its model."""
    if not isinstance(space, ModuleSpace):
        return space.registry_name
    model = getattr(space.model, "func", space.model)  # of a functools.partial
    return str(getattr(model, "__qualname__", type(model).__name__))


def names_not_taken(space: SearchSpace) -> str:
    """Return what to add to a message where a model isn't told its classes or channels."""
    if not isinstance(space, ModuleSpace) or isinstance(space.model, torch.nn.Module):
        return ""
    parameters = inspect.signature(space.model).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return ""
    missing = [name for name in _TOLD if name not in parameters]
    if not missing:
        return ""
    which = f"neither {' nor '.join(missing)}" if len(missing) > 1 else f"no {missing[0]}"
    return f"; it is told {which}, for it has no parameter of that name"


@contextmanager
def one_line(what: str, hint: str = "") -> Iterator[None]:
    """Turn every error in the block, which runs a user's code, into one line.

    Args:
        what: how the line begins, for example "Net can't take [2, 3, 32, 32]".
        hint: how it ends.

    Raises:
        UserError: with the first cause of the error, and its place in the user's code.
    """
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        cause = _first_cause(error)
        line = f"{what}: {kind_and_line(cause)}"
        place = _own_place(cause) or _own_place(error)
        raise UserError(f"{line}{place}{hint}") from error


def require_logits(name: str, outcome: object, images: Tensor, num_classes: int, hint: str) -> None:
    """Refuse what isn't logits.

    Args:
        name: of the model.
        outcome: what it returned.
        images: what it was given, [B, C, H, W].
        num_classes: how many logits an image has.
        hint: how the message ends.

    Raises:
        UserError: the outcome is no float tensor [B, num_classes].
    """
    needed = [len(images), num_classes]
    if not isinstance(outcome, Tensor):
        given = _described(outcome)
    elif not outcome.is_floating_point():
        given = f"{list(outcome.shape)} of {str(outcome.dtype).removeprefix('torch.')}"
    else:
        given = str(list(outcome.shape))
    if given != str(needed):
        raise UserError(
            f"{name} gave {given} for {list(images.shape)}; it must give {needed}{hint}"
        )


def require_weights(name: str, network: torch.nn.Module) -> None:
    """Refuse a network without a weight to train, and one with a weight without a shape.

    Raises:
        UserError: says which.
    """
    for path, weight in network.named_parameters():
        if is_lazy(weight):
            raise UserError(
                f"{name}: the weight {path} has no shape before the first images; "
                "give its layer a number of inputs instead of making it lazy"
            )
    if not any(weight.requires_grad for weight in network.parameters()):
        raise UserError(f"{name} has no weight to train; leave requires_grad of some as it is")


def _described(outcome: object) -> str:
    """Return what no tensor is, with its article."""
    if outcome is None:
        return "None"
    kind = type(outcome).__name__
    if isinstance(outcome, tuple | list):
        return f"a {kind} of {len(outcome)}"
    return f"a {kind}"


def _first_cause(error: BaseException) -> BaseException:
    """Return what PyTorch's exporter has wrapped, several times, in errors of its own."""
    while type(error).__module__.startswith("torch.onnx") and error.__cause__ is not None:
        error = error.__cause__
    return error


def _own_place(error: BaseException) -> str:
    """Return the innermost line of the traceback that is neither of unas nor of PyTorch."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((*_NOT_OWN, "<")):
            return f" ({Path(frame.filename).name}:{frame.lineno})"
    return ""
