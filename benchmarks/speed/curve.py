"""The loss of a search with our kernels beside PyTorch's layers: step by step, and on the whole."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

import unas
from speed.section import Section, Settings
from unas.common.errors import UserError
from unas.data import BatchStream
from unas.data.digits import Digits
from unas.nn.depthwise import DepthwiseConv
from unas.nn.node import NativeNode
from unas.nn.node_call import kernels
from unas.searching.step import SearchStep

STEPS = 200
UP_TO = (1, 10, 20, 40, 70, 100, 200)
CHANNELS, LAYERS, BATCH = 4, 3, 16


def curve(_settings: Settings) -> Section:
    """Search digits with `rebar`, every search with the same seed and batches."""
    if kernels() is None or kernels(torch.float64) is None:
        raise UserError("our kernels need a C compiler, and there is none here")
    exact = _in_float64()
    ours, followed, alone, nudged = (_search() for _ in range(4))
    _add_an_ulp(nudged.weights)
    reference: list[float] = []
    losses: dict[str, list[float]] = {
        "PyTorch's layers, each step from the state of ours before it": [],
        "PyTorch's layers, a search of their own": [],
        "our kernels, half of the first weights an ulp larger": [],
    }
    followers, others, nudges = losses.values()
    for step, batch in enumerate(_batches()):
        with _layers_of_torch():
            # A loss is of before the update: this one tells of the update of the step before.
            followers.append(followed(*batch)["train_loss"])
            followed.load_state_dict(copy.deepcopy(ours.state_dict()))
            followed(*batch)
            others.append(alone(*batch)["train_loss"])
        nudges.append(nudged(*batch)["train_loss"])
        reference.append(ours(*batch)["train_loss"])
        if step % 20 == 0:
            print(f"  step {step}: {reference[-1]:.6f}, {followers[-1]:.6f}", flush=True)
    rows = [(name, *_largest(values, reference)) for name, values in losses.items()]
    rows.append(("float64: PyTorch's layers, a search of their own", *_largest(*exact)))
    return Section(
        "The loss curve with our kernels and without",
        f"{STEPS} steps of `rebar` on digits, C {CHANNELS}, L {LAYERS}, B {BATCH}, float32 but for "
        "the last row, the same seed and batches: the largest relative difference of the training "
        "loss from that of our kernels, in the steps up to one. An ulp is the last digit of a "
        "float32.",
        ("up to step", *(str(step) for step in UP_TO)),
        rows,
        {"ours": reference, **losses, "float64, PyTorch's": exact[0], "float64, ours": exact[1]},
    )


def _in_float64() -> tuple[list[float], list[float]]:
    """Return the losses of a search in float64 with PyTorch's layers, and with our kernels."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        theirs, ours = _search(), _search()
        losses: tuple[list[float], list[float]] = ([], [])
        for batch in _batches():
            with _layers_of_torch():
                losses[0].append(theirs(*batch)["train_loss"])
            losses[1].append(ours(*batch)["train_loss"])
    finally:
        torch.set_default_dtype(before)
    return losses


def _search() -> SearchStep:
    recipe: Any = unas.recipe("cifar10")
    space = replace(recipe.space, channels=CHANNELS, layers=LAYERS)
    runtime = replace(recipe.runtime, precision="float32")
    config = replace(recipe, dataset=Digits(), space=space, runtime=runtime)
    return unas.search_step(config, device="cpu")


def _batches() -> Iterator[Sequence[Tensor]]:
    """Yield the images and labels of each step, of two halves of the training images."""
    data = Digits().load(Path())
    half = len(data.train) // 2
    streams = []
    for name, first in (("train", 0), ("validation", half)):
        images = data.train.subset(torch.arange(first, first + half))
        streams.append(
            BatchStream(images, BATCH, None, data.normalisation, seed=0, stream=f"curve/{name}")
        )
    for step in range(STEPS):
        tensors = [tensor for stream in streams for tensor in stream.batch(step)]
        dtype = torch.get_default_dtype()
        yield [tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in tensors]


def _layers_of_torch() -> ExitStack:
    """Return a context in which none of our kernels runs."""
    stack = ExitStack()
    stack.enter_context(patch.object(NativeNode, "runs", lambda *_: False))
    stack.enter_context(patch.object(DepthwiseConv, "_uses_ours", lambda *_: False))
    return stack


@torch.no_grad()
def _add_an_ulp(weights: Sequence[Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    for weight in weights:
        is_chosen = torch.rand(weight.shape, generator=generator) < 0.5
        up = torch.nextafter(weight, torch.full_like(weight, torch.inf))
        weight.copy_(torch.where(is_chosen, up, weight))


def _largest(losses: Sequence[float], reference: Sequence[float]) -> list[str]:
    """Return the largest relative difference up to each of the steps of the table."""
    apart = [abs(loss - own) / own for loss, own in zip(losses, reference, strict=True)]
    return [f"{max(apart[:step]):.1e}" for step in UP_TO]
