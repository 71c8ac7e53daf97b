"""Multiply-adds of PyTorch's operators, against PyTorch's own counter of floating-point operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from unas.common.errors import UserError
from unas.graphs.size import count_macs, macs_if_known


class Does(nn.Module):
    """What a function does to images."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


class Sequences(nn.Module):
    """The rows of an image as a sequence."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, images: Tensor) -> Tensor:
        outcome: Tensor = self.layer(images.flatten(1, 2))[0]
        return outcome


def attention(images: Tensor) -> Tensor:
    queries = images.flatten(2)
    return F.scaled_dot_product_attention(queries, queries[:, :2], queries[:, :2])


COUNTED: dict[str, Callable[[], nn.Module]] = {
    "convolution": lambda: nn.Conv2d(3, 8, 3, stride=2, padding=1, groups=1),
    "grouped convolution": lambda: nn.Conv2d(3, 6, 3, groups=3),
    "convolution in one dimension": lambda: Does(lambda x: nn.Conv1d(3, 4, 3)(x.flatten(2))),
    "transposed convolution": lambda: nn.ConvTranspose2d(3, 5, 3, stride=2),
    "linear": lambda: nn.Linear(6, 7),
    "matrices": lambda: Does(lambda x: x @ x.transpose(2, 3)),
    "einsum": lambda: Does(lambda x: torch.einsum("bchw,cd->bdhw", x, torch.ones(3, 4))),
    "lstm": lambda: Sequences(nn.LSTM(6, 5, num_layers=2, batch_first=True)),
    "lstm both ways": lambda: Sequences(nn.LSTM(6, 5, bidirectional=True, batch_first=True)),
    "gru": lambda: Sequences(nn.GRU(6, 5, batch_first=True)),
    "rnn": lambda: Sequences(nn.RNN(6, 5, batch_first=True)),
    "attention": lambda: Does(attention),
}


@pytest.mark.parametrize("name", COUNTED)
def test_products_are_counted_as_pytorch_counts_them(name: str) -> None:
    network = COUNTED[name]().eval()
    # Without a device, PyTorch runs recurrent layers as products that it counts.
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        COUNTED[name]()(torch.zeros(1, 3, 8, 6))
    assert counter.get_total_flops() > 0
    assert count_macs(network, (3, 8, 6)) == counter.get_total_flops() // 2


def test_a_product_with_a_vector_is_one_multiply_add_a_weight() -> None:
    assert count_macs(Does(lambda x: x.flatten(1) @ torch.ones(144)), (3, 8, 6)) == 144


def test_an_affine_grid_multiplies_each_point_with_a_matrix() -> None:
    def moved(images: Tensor) -> Tensor:
        matrix = torch.eye(2, 3).expand(len(images), -1, -1)
        grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)

    assert count_macs(Does(moved), (3, 8, 6)) == 8 * 6 * 2 * 3


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: torch.cdist(x, x), id="cdist"),
        pytest.param(lambda x: torch.fft.fft2(x).real, id="fft2"),
        pytest.param(torch.linalg.svdvals, id="svdvals"),
    ],
)
def test_what_nobody_has_judged_is_refused_by_name(
    function: Callable[[Tensor], Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError, match=r"the network runs aten\.\w+.*are unknown"):
        count_macs(Does(function), (3, 8, 6))
    assert macs_if_known(Does(function), (3, 8, 6)) is None
    assert "multiply-adds aren't counted" in caplog.text
