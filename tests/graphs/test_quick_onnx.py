"""The direct ONNX graph against PyTorch's numbers, and against the exporter's graph optimised."""

import collections
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from unas.architecture.published import list_genotypes, load_genotype
from unas.graphs.onnx import INPUT, open_session, to_onnx
from unas.graphs.onnx_nodes import UnknownOperatorError
from unas.graphs.quick_onnx import direct_onnx, quick_onnx
from unas.spaces import create_network


def randomised(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    return network.eval()


def logits(model: onnx.ModelProto, images: torch.Tensor) -> np.ndarray[Any, Any]:
    return open_session(model.SerializeToString(), 1).run(None, {INPUT: images.numpy()})[0]


@pytest.mark.parametrize("side", [12, 13, 33])
@pytest.mark.parametrize("name", list_genotypes())
def test_the_numbers_are_pytorchs(name: str, side: int) -> None:
    darts = {"channels": 4, "layers": 3} if load_genotype(name).space == "darts" else {}
    network = randomised(create_network(load_genotype(name), **darts))
    model = direct_onnx(network, (3, side, side))
    onnx.checker.check_model(model, full_check=True)
    for batch in (1, 3):
        images = torch.randn(batch, 3, side, side)
        with torch.no_grad():
            expected = network(images).numpy()
        np.testing.assert_allclose(
            logits(model, images), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
        )


class Every(nn.Module):
    """Each of the operators that the published networks don't use."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 5, bias=False)
        self.conv = nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 1))
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.average = nn.AvgPool2d((2, 1), ceil_mode=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = nn.functional.hardswish(self.conv(images))
        x = self.average(self.pool(x)) * 0.5 + 1.0
        x = nn.functional.pad(x, (1, 0, 0, 2), value=0.25) * x.sigmoid().mean((2, 3), keepdim=True)
        x = torch.cat([x[:, :4].clamp(-0.5, 0.5), nn.functional.relu6(x[:, 4:])], 1)
        return self.linear(x.mean((2, 3)))


def test_every_other_operator() -> None:
    network = Every().eval()
    images = torch.randn(2, 3, 17, 16)
    with torch.no_grad():
        expected = network(images).numpy()
    np.testing.assert_allclose(
        logits(direct_onnx(network, (3, 17, 16)), images), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
def test_onnx_runtime_makes_the_same_of_it_as_of_the_exporters(tmp_path: Path) -> None:
    network = randomised(create_network(load_genotype("UNAS_CIFAR10"), channels=4, layers=4))
    kinds = []
    for model in (direct_onnx(network, (3, 16, 16)), to_onnx(network, (3, 16, 16))):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        optimised = onnx.load(tmp_path / "optimised.onnx")
        kinds.append(collections.Counter(node.op_type for node in optimised.graph.node))
    assert kinds[0] == kinds[1]
    assert kinds[0]["FusedConv"] > 0


class Softmax(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)).softmax(1)


@pytest.mark.slow
def test_an_unknown_operator_goes_to_the_exporter() -> None:
    with pytest.raises(UnknownOperatorError, match="softmax"):
        direct_onnx(Softmax(), (3, 4, 4))
    images = torch.randn(2, 3, 4, 4)
    np.testing.assert_allclose(
        logits(quick_onnx(Softmax(), (3, 4, 4)), images), Softmax()(images), rtol=1e-5
    )


WEIGHT = torch.ones(1, 1, 8, 8)


class Applied(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.function(images)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("aten.mean.default", lambda x: x * x.mean()),
        ("clamp", lambda x: x.clamp(min=0)),
        ("aten.clamp.Tensor", lambda x: x.clamp(WEIGHT, WEIGHT)),
        ("aten.view.dtype", lambda x: x.view(torch.int32)),
        ("convolution", lambda x: nn.functional.conv2d(x, x)),
        ("ones", lambda x: torch.cat([x, torch.ones(x.shape[0], 1, 8, 8)], 1)),
        ("expand", lambda x: torch.cat([x, WEIGHT.expand(x.shape[0], 1, 8, 8)], 1)),
    ],
)
def test_what_has_no_translation_is_left_to_the_exporter(
    name: str, function: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    with pytest.raises(UnknownOperatorError, match=f"^{name}$"):
        direct_onnx(Applied(function), (3, 8, 8))
