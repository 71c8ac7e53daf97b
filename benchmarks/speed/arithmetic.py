"""What a step computes and moves, and how much of it this machine could do in a second.

Operations and bytes are those of PyTorch's own operators, one after the other, on the device
"meta", where nothing is computed: a kernel that fuses some of them does the same arithmetic with
less traffic.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from speed.turns import wait_for
from unas.architecture.policy import Sample
from unas.searching.step import SearchStep

META = torch.device("meta")
SIDE = 2048  # of the matrices whose product shows the peak
COPIED = 2**26  # numbers, 256 MiB
REPEATS = 5


@dataclass(frozen=True)
class Arithmetic:
    """What is computed and moved.

    Args:
        operations: multiplications and additions of convolutions and matrix products.
        num_bytes: read and written by all operators, if no cache kept anything.
    """

    operations: float
    num_bytes: float

    def __add__(self, other: Arithmetic) -> Arithmetic:
        """Return both together."""
        return Arithmetic(self.operations + other.operations, self.num_bytes + other.num_bytes)

    def times(self, count: float) -> Arithmetic:
        """Return this so many times over."""
        return Arithmetic(count * self.operations, count * self.num_bytes)


@dataclass(frozen=True)
class Machine:
    """What a machine can do in a second.

    Args:
        operations: of a product of two large float32 matrices.
        num_bytes: read and written when a large tensor is copied.
    """

    operations: float
    num_bytes: float

    def cells(self, step: Arithmetic, seconds: float) -> tuple[str, str, str]:
        """Return a step's GFLOP and GB, and its share of the peak."""
        share = step.operations / seconds / self.operations
        return (
            f"{step.operations / 1e9:.3g}",
            f"{step.num_bytes / 1e9:.3g}",
            f"{100 * share:.0f} %",
        )

    def describe(self) -> str:
        """Return the two limits as a sentence."""
        return (
            f"A float32 product of two {SIDE}×{SIDE} matrices reaches "
            f"{self.operations / 1e9:.0f} GFLOP/s, a copy {self.num_bytes / 1e9:.0f} GB/s."
        )


ROOFLINE = ("GFLOP", "GB, uncached", "of the peak")


def measure(device: torch.device) -> Machine:
    """Return the best of a few products and copies."""
    left, right = torch.randn(2, SIDE, SIDE, device=device)
    source = torch.zeros(COPIED, device=device)
    target = torch.zeros_like(source)
    product = _shortest(lambda: left @ right, device)
    copy = _shortest(lambda: target.copy_(source), device)
    return Machine(2 * SIDE**3 / product, 2 * source.nbytes / copy)


def _shortest(run: Callable[[], object], device: torch.device) -> float:
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        wait_for(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes that operators read and write; views move none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.num_bytes = 0

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Any:
        outcome = function(*arguments, **(keywords or {}))
        if not function.is_view:
            leaves = tree_leaves((arguments, keywords, outcome))
            self.num_bytes += sum(leaf.nbytes for leaf in leaves if isinstance(leaf, Tensor))
        return outcome


def of_forward(module: nn.Module, *inputs: Any) -> Arithmetic:
    """Return what a forward pass of a module on the device "meta" takes."""
    counter = FlopCounterMode(display=False)
    traffic = _Traffic()
    with torch.no_grad(), counter, traffic:
        module(*inputs)
    return Arithmetic(counter.get_total_flops(), traffic.num_bytes)


def of_training(network: nn.Module, images: Tensor) -> Arithmetic:
    """Return what a step of a training takes: forward, and backward twice as much."""
    return of_forward(copy.deepcopy(network).to(META), images.to(META)).times(3)


@dataclass(frozen=True)
class _Call:
    """A call of the supernet in a search step."""

    shape: torch.Size
    sample: Sample
    has_graph: bool
    teaches_policy: bool


def of_search_step(step: SearchStep, batch: Sequence[Tensor]) -> Arithmetic:
    """Do a search step, and return what it computed.

    Each call of the supernet is a forward pass; where its relaxed sample teaches the policy, a
    backward pass through the images is as much again; and the weights' gradient goes back through
    one call, which is twice as much.
    """
    calls: list[_Call] = []

    def note(_module: nn.Module, inputs: tuple[Tensor, Sample]) -> None:
        images, sample = inputs
        teaches = any(group.requires_grad for group in sample.groups)
        has_graph = torch.is_grad_enabled()
        calls.append(_Call(images.shape, sample.detach(), has_graph, has_graph and teaches))

    hook = step.supernet.register_forward_pre_hook(note)
    step(*batch)
    hook.remove()
    supernet = copy.deepcopy(step.supernet).to(META)
    followed = _followed(calls)
    total = Arithmetic(0, 0)
    for call in calls:
        passes = 1 + call.teaches_policy + 2 * (call is followed)
        images = torch.empty(call.shape, device=META)
        sample = call.sample if call.sample.is_hard else call.sample.to(META)
        total += of_forward(supernet, images, sample).times(passes)
    return total


def _followed(calls: Sequence[_Call]) -> _Call:
    """Return the call whose loss the weights follow: their own, or the first one kept for them."""
    with_graph = [call for call in calls if call.has_graph]
    own = [call for call in with_graph if not call.teaches_policy]
    return [*own, *with_graph][0]
