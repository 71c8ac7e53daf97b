"""A network whose weights have shapes and no values, where its code allows that."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unas.common.errors import UserError

_META = torch.device("meta")


def without_memory(build: Callable[[], nn.Module]) -> nn.Module:
    """Return what `build` returns, without memory for its weights: enough to count it.

    A model whose code needs the values of a tensor while it is built, or puts tensors on a device
    of its own choice, is built for real. Torch's generators are left as they are.

    Args:
        build: returns a new network on the default device.

    Raises:
        UserError: `build` refuses what it was asked for.
    """
    try:
        with _META:
            network = build()
    except UserError:
        raise
    except Exception:  # whatever the code of a model meets where tensors have no values
        network = None
    if network is None or not _is_on_meta(network):
        with torch.random.fork_rng(devices=[]):
            network = build()
    return network


def _is_on_meta(network: nn.Module) -> bool:
    """Return whether all tensors of a network are, those that are plain attributes included."""
    for module in network.modules():
        plain = [value for value in vars(module).values() if isinstance(value, Tensor)]
        kept = [*module.parameters(recurse=False), *module.buffers(recurse=False), *plain]
        if any(tensor.device != _META for tensor in kept):
            return False
    return True
