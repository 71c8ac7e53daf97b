"""Peak memory against chains added up by hand, and between PyTorch's graph and ONNX's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.graphs.memory import Step, peak_bytes, peak_memory
from unas.graphs.onnx import export_onnx
from unas.graphs.onnx_size import count_onnx
from unas.graphs.quick_onnx import direct_onnx
from unas.graphs.size import count_macs, count_parameters
from unas.spaces import create_network


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images.relu()) + images


def test_a_chain_by_hand() -> None:
    # floats: image 3·8·8 = 192, convolution 8·8·8 = 512, ReLU over it, pooled 8·4·4 = 128, logits 5
    chain = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 5),
    )
    assert peak_memory(chain, (3, 8, 8)) == 4 * (192 + 512)
    chain[3] = nn.Conv2d(8, 8, 1, stride=2)  # in the place of the pool: 512 + 128 is less
    assert peak_memory(chain, (3, 8, 8)) == 4 * (192 + 512)
    wide = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 10, 1), nn.AdaptiveAvgPool2d(1)
    )
    assert peak_memory(wide, (3, 8, 8)) == 4 * (512 + 640)


def test_a_shortcut_keeps_its_input() -> None:
    # image 256; ReLU can't write over it, since the sum uses it: 256 + 256; convolution: + 256; the
    # sum over one of two
    assert peak_memory(Residual(), (4, 8, 8)) == 4 * 3 * 256


def test_steps_by_hand() -> None:
    sizes = [10, 20, 30, 20, 5]
    # 0 → 1; (1) → 2; (0, 2) → 3; (3) → 4: 0 lives until the third
    steps = [Step((0,), (1,)), Step((1,), (2,)), Step((0, 2), (3,)), Step((3,), (4,))]
    assert peak_bytes(sizes, steps, [4]) == 10 + 20 + 30
    # what nobody reads isn't kept; a view takes nothing; an elementwise one writes over what dies
    assert peak_bytes([10, 10, 99], [Step((0,), (1, 2))], [1]) == 20
    assert (
        peak_bytes(
            [10, 10, 10],
            [Step((0,), (1,), is_view=True), Step((1,), (2,), is_elementwise=True)],
            [2],
        )
        == 10
    )
    assert peak_bytes([10, 10], [Step((0,), (1,), is_elementwise=True)], [0, 1]) == 20


def test_measuring_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    peak_memory(network, (3, 8, 8))
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("shape", [(3, 32), (0, 8, 8)])
def test_a_wrong_shape_gives_one_line(shape: Any) -> None:
    with pytest.raises(UserError, match="image_shape"):
        peak_memory(nn.Identity(), shape)


NETWORKS = {
    "darts": lambda: create_network(load_genotype("UNAS_CIFAR10"), channels=4, layers=3),
    "odd size": lambda: create_network(load_genotype("UNAS_IMAGENET"), channels=4, layers=3),
    "chain": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, groups=3),
        nn.BatchNorm2d(6),
        nn.ReLU6(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.LazyLinear(4),
    ),
    "residual": lambda: nn.Sequential(nn.Conv2d(3, 4, 1), Residual(), nn.AdaptiveAvgPool2d(1)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_and_pytorch_agree(name: str, tmp_path: Path) -> None:
    shape = (3, 13, 13) if name == "odd size" else (3, 12, 12)
    network = NETWORKS[name]().eval()
    network(torch.zeros(1, *shape))
    path = tmp_path / "network.onnx"
    path.write_bytes(direct_onnx(network, shape).SerializeToString())
    size = count_onnx(path)
    assert (size.macs, size.memory) == (count_macs(network, shape), peak_memory(network, shape))
    assert size.parameters == count_parameters(network)
    assert size.image_shape == shape


@pytest.mark.slow
def test_the_exporters_file_agrees_too(tmp_path: Path) -> None:
    network = NETWORKS["darts"]()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.running_mean.normal_()  # the exporter would keep one tensor of all that are zero
        nn.init.normal_(norm.bias)
    path = tmp_path / "network.onnx"
    export_onnx(network, (3, 12, 12), path, {})
    size = count_onnx(path)
    assert (size.macs, size.memory) == (
        count_macs(network, (3, 12, 12)),
        peak_memory(network, (3, 12, 12)),
    )
    folded = sum(norm.num_features for norm in norms)
    assert count_parameters(network) - folded <= size.parameters <= count_parameters(network)
