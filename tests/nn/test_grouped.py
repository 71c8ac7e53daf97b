"""Cells whose operations run together, against the plain supernet and against the modules."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import supernet_comparison
from unas.architecture.policy import Sample
from unas.nn.recomputation import recompute_parts
from unas.spaces.darts import DartsSpace, supernet

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from speed.kernels import Operators


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Return what lets operations run together on a CPU too, or one by one again."""

    def switch(is_on: bool) -> None:
        monkeypatch.setattr(supernet, "pays_on", lambda _: is_on)

    return switch


@pytest.mark.parametrize(
    ("changes", "stem", "size"),
    [
        ({"operations": 7, "layers": 5}, "cifar", 16),
        ({"operations": 7, "layers": 5}, "imagenet", 64),
        ({"operations": 1, "layers": 3}, "cifar", 12),
        ({"operations": 2, "layers": 3}, "cifar", 12),
        ({"operations": 4, "layers": 3, "nodes": 1}, "cifar", 12),
        ({"operations": 4, "layers": 3, "nodes": 5}, "cifar", 12),
        ({"operations": 3, "layers": 3, "channels": 6}, "cifar", 12),
    ],
)
def test_outputs_and_all_gradients_equal_the_plain_supernet(
    together: Callable[[bool], None], changes: dict[str, Any], stem: Any, size: int
) -> None:
    together(True)
    space = DartsSpace(**{"channels": 4, **changes}, stem=stem)
    found = supernet_comparison.compare(space, 4, False, batch=8, size=size)
    assert found.largest < 1e-9


def gradients(
    space: DartsSpace, sample: Sample, side: int, *, recomputes: bool = False
) -> tuple[list[Tensor], int]:
    """Return the logits and all gradients, and how many operators a GPU would run for them."""
    torch.manual_seed(0)
    net = space.supernet(10).double()
    if recomputes:
        recompute_parts(net)
    images = torch.randn(4, 3, side, side, dtype=torch.float64)
    with Operators() as operators:
        logits = net(images, sample)
        weights = [*sample.groups, *net.parameters()]
        found = torch.autograd.grad(logits.square().sum(), weights)
    return [logits, *found], operators.count.total()


@pytest.mark.parametrize("recomputes", [False, True])
def test_odd_sizes_equal_the_modules(
    together: Callable[[bool], None],
    recomputes: bool,
) -> None:
    space = DartsSpace(channels=4, layers=3, operations=7)
    sample = supernet_comparison.draw(space, 2, is_hard=False)
    outcomes = []
    for is_on in (True, False):
        together(is_on)
        outcomes.append(gradients(space, sample, 13, recomputes=is_on and recomputes)[0])
    torch.testing.assert_close(*outcomes, rtol=1e-8, atol=1e-10)


def test_a_gpu_gets_a_third_of_the_kernels(together: Callable[[bool], None]) -> None:
    space = DartsSpace(channels=4, layers=5, operations=7)
    sample = supernet_comparison.draw(space, 2, is_hard=False)
    counts = []
    for is_on in (True, False):
        together(is_on)
        counts.append(gradients(space, sample, 12)[1])
    assert 3 * counts[0] < counts[1]


def small() -> tuple[Any, Tensor, Sample]:
    """Return a supernet in float64, two images and a relaxed sample of two architectures."""
    space = DartsSpace(channels=4, layers=3)
    torch.manual_seed(0)
    net = space.supernet(10).double()
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    return net, images, supernet_comparison.draw(space, 2, is_hard=False)


def test_a_module_that_somebody_follows_is_run(together: Callable[[bool], None]) -> None:
    together(True)
    net, images, sample = small()
    seen = []
    net.cells[1].edges[0][1][1].register_forward_hook(lambda *_: seen.append(1))
    net(images, sample)
    assert seen == [1]


def test_a_copy_uses_its_own_weights(together: Callable[[bool], None]) -> None:
    together(True)
    net, images, sample = small()
    expected = net(images, sample)
    with torch.no_grad():
        for weight in copy.deepcopy(net).parameters():
            weight.zero_()
    torch.testing.assert_close(net(images, sample), expected)


def test_bfloat16_is_near(together: Callable[[bool], None]) -> None:
    space = DartsSpace(channels=4, layers=3)
    torch.manual_seed(0)
    net = space.supernet(10)
    sample = supernet_comparison.draw(space, 2, is_hard=False).detach()
    images = torch.randn(8, 3, 16, 16)
    together(True)
    with torch.autocast("cpu", torch.bfloat16):
        outcome = net(images, sample)
    together(False)
    torch.testing.assert_close(outcome.float(), net(images, sample), rtol=0.1, atol=0.1)


def test_a_pass_without_gradients_spoils_nothing(together: Callable[[bool], None]) -> None:
    together(True)
    outcomes = []
    for looks_first in (True, False):
        net, images, sample = small()
        if looks_first:
            with torch.inference_mode():
                net(images, sample)
        outcomes.append(torch.autograd.grad(net(images, sample).square().sum(), sample.groups))
    torch.testing.assert_close(*outcomes, rtol=0, atol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 0.1)])
def test_a_gpu_gives_what_its_modules_give(
    together: Callable[[bool], None], dtype: torch.dtype, tolerance: float
) -> None:
    space = DartsSpace(channels=8, layers=3, operations=7)
    torch.manual_seed(0)
    net = space.supernet(10).cuda()
    drawn = supernet_comparison.draw(space, 4, is_hard=False).detach()
    groups = tuple(group.float().requires_grad_() for group in drawn.groups)
    sample = Sample(drawn.layout, groups, is_hard=False)
    images = torch.randn(16, 3, 13, 13, device="cuda")
    outcomes = []
    for is_on in (True, False):
        together(is_on)
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            logits = net(images, sample).float()
        found = torch.autograd.grad(logits.square().sum(), [*groups, *net.parameters()])
        outcomes.append([logits, *found])
    for ours, modules in zip(*outcomes, strict=True):
        assert (ours - modules).norm() <= tolerance * modules.norm()
