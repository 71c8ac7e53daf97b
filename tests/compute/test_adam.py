"""Adam in one kernel equals PyTorch's plain loop, wherever gradients and averages lie in memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from unas.compute.adam import adam, laid_out_like
from unas.runs.checkpoints import load_into

CHANNELS_LAST = torch.channels_last
CONTIGUOUS = torch.contiguous_format
LAYOUTS = [CONTIGUOUS, CHANNELS_LAST]


def weights(layout: torch.memory_format) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(4, 3, 5, 5, generator=generator, dtype=torch.float64)
    bias = torch.randn(4, generator=generator, dtype=torch.float64)
    return [nn.Parameter(kernel.contiguous(memory_format=layout)), nn.Parameter(bias)]


def update(optimiser: torch.optim.Adam, steps: range, layout: torch.memory_format) -> None:
    kernel, bias = optimiser.param_groups[0]["params"]
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        gradient = torch.randn(4, 3, 5, 5, generator=generator, dtype=torch.float64)
        kernel.grad = laid_out_like(gradient.contiguous(memory_format=layout), kernel)
        bias.grad = torch.randn(4, generator=generator, dtype=torch.float64)
        optimiser.step()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("of_gradients", LAYOUTS)
def test_fused_steps_equal_plain_ones(
    layout: torch.memory_format, of_gradients: torch.memory_format
) -> None:
    fused = adam(weights(layout), lr=0.1, weight_decay=0.01)
    plain = torch.optim.Adam(
        weights(CONTIGUOUS), lr=0.1, weight_decay=0.01, fused=False, foreach=False
    )
    assert fused.param_groups[0]["fused"]
    update(fused, range(3), of_gradients)
    update(plain, range(3), CONTIGUOUS)
    torch.testing.assert_close(fused.param_groups[0]["params"], plain.param_groups[0]["params"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_plain_loop_remembers_is_loaded_in_the_parameters_layout(
    layout: torch.memory_format,
) -> None:
    plain = torch.optim.Adam(weights(CONTIGUOUS), lr=0.1, fused=False, foreach=False)
    update(plain, range(3), CONTIGUOUS)
    reached = [parameter.detach().clone() for parameter in plain.param_groups[0]["params"]]
    fused = adam(weights(layout), lr=0.1, weight_decay=0.0)
    with torch.no_grad():
        for parameter, value in zip(fused.param_groups[0]["params"], reached, strict=True):
            parameter.copy_(value)
    load_into(fused, copy.deepcopy(plain.state_dict()))
    update(fused, range(3, 6), layout)
    update(plain, range(3, 6), CONTIGUOUS)
    torch.testing.assert_close(fused.param_groups[0]["params"], plain.param_groups[0]["params"])


def test_what_the_kernel_has_no_way_for_is_left_to_the_plain_loop() -> None:
    spread_out = nn.Parameter(torch.ones(4, 6)[:, ::2])
    assert not adam([spread_out], lr=0.1, weight_decay=0.0).param_groups[0]["fused"]
    complex_one = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    assert not adam([complex_one], lr=0.1, weight_decay=0.0).param_groups[0]["fused"]


@pytest.mark.parametrize("shape", [(6, 1, 3, 3), (6, 6, 1, 1), (1, 5, 1, 3)])
def test_what_lies_in_memory_alike_is_not_copied(shape: tuple[int, ...]) -> None:
    model = torch.empty(shape).contiguous(memory_format=torch.channels_last)
    values = torch.randn(shape)
    found = laid_out_like(values, model)
    assert found.stride() == model.stride()
    torch.testing.assert_close(found, values, rtol=0, atol=0)
    is_alike = shape != (1, 5, 1, 3)
    assert (found.data_ptr() == values.data_ptr()) == is_alike
