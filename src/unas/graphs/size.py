"""How large a network is: parameters and multiply-adds."""

from __future__ import annotations

import logging

from torch import nn

from unas.common.errors import UserError
from unas.graphs.operators import record
from unas.graphs.torch_macs import macs_of

_log = logging.getLogger("unas.graphs")


def count_parameters(network: nn.Module, auxiliary: bool = False) -> int:
    """Return the number of trainable and fixed parameters, each shared one once.

    Args:
        network: any module.
        auxiliary: count the auxiliary head, the submodule called `auxiliary`, too.
    """
    total = 0
    for name, parameter in network.named_parameters():
        if auxiliary or not name.startswith("auxiliary."):
            total += parameter.numel()
    return total


def count_macs(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Return the multiply-adds of a network for one image, in evaluation mode.

    They are those of its convolutions, matrix products and recurrent cells, however these are
    written: as layers or as functions. It is the figure of the network's ONNX file, too.

    Args:
        network: maps images [B, C, H, W] to anything, on any device ("meta" costs nothing); it is
            left as it was.
        image_shape: (C, H, W).

    Raises:
        UserError: the shape is not three positive numbers, or the network runs an operator whose
            multiply-adds nobody has written down.
    """
    recording = record(network, image_shape)
    total = macs_of(recording.operators, recording.shapes)
    beside = macs_of(recording.others, recording.shapes)
    if beside:
        # A product of weights alone is computed once, and belongs to no image. One of a learned
        # token is computed for each: it grows with the batch.
        batch = record(network, image_shape, batch_size=2)
        total += macs_of(batch.others, batch.shapes) - beside
    return total


def macs_if_known(network: nn.Module, image_shape: tuple[int, int, int]) -> int | None:
    """Return what `count_macs` does; None, and a warning, where it is an operator that is refused.

    Args:
        network: see `count_macs`.
        image_shape: (C, H, W).
    """
    try:
        return count_macs(network, image_shape)
    except UserError as error:
        _log.warning("multiply-adds aren't counted: %s", error)
        return None
