"""States from checkpoints, which may be of another run, or somebody else's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from unas.checkpoints import Checkpoint
from unas.errors import UserError


def load_into(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load an optimiser's state: what it remembers of each parameter, in the parameter's shape, and nothing else.

    Raises:
        ValueError: it is another optimiser's.
    """
    own = optimiser.state_dict()
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for index, remembered in state["state"].items():
        for name, value in remembered.items():
            shape = torch.Size() if name == "step" else parameters[index].shape
            if isinstance(value, Tensor) and value.shape != shape:
                raise ValueError(f"parameter {index} has shape {list(parameters[index].shape)}")
    optimiser.load_state_dict({**own, "state": dict(state["state"])})


def whole(value: Any) -> int:
    """Return a number of steps from a state.

    Raises:
        ValueError: it is none.
    """
    if type(value) is not int or value < 0:
        raise ValueError("a number of steps")
    return value


@contextlib.contextmanager
def fitting(checkpoint: Checkpoint) -> Iterator[None]:
    """Load the state of a checkpoint in the block.

    Raises:
        UserError: it is of another network, or not what unas writes.
    """
    try:
        yield
    except (UserError, torch.OutOfMemoryError):  # says nothing about the checkpoint
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        fix = "remove it to go on from the one before"
        raise UserError(f"{checkpoint.path} doesn't fit this run ({why}); {fix}") from error
