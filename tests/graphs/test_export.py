"""ONNX files reopened by ONNX Runtime and by the onnx checker."""

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.graphs.onnx import OPSETS, check_onnx, export_onnx
from unas.graphs.quick_onnx import direct_onnx
from unas.spaces import create_network

METADATA = {
    "mean": "[0.5]",
    "std": "[0.25]",
    "classes": '["zero", "eins", "zwölf"]',
    "genotype": "{}",
}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    built = create_network(
        load_genotype("UNAS_CIFAR10"), 3, 1, channels=2, layers=3, auxiliary=True, drop_path=0.2
    )
    for name, value in built.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            value.uniform_(0.5, 1.5)
    return built.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def exported(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model.onnx"
    modes = [module.training for module in network.modules()]
    export_onnx(network, (1, 16, 16), path, METADATA)
    assert modes == [module.training for module in network.modules()]
    assert all(parameter.grad is None for parameter in network.parameters())
    return path


def test_onnx_runtime_gives_the_same_logits_for_any_batch_size(
    network: Any, exported: Path
) -> None:
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    network.eval()
    for size in (1, 2, 7):
        images = torch.randn(size, 1, 16, 16)
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        torch.testing.assert_close(
            torch.from_numpy(logits), network(images).detach(), rtol=1e-4, atol=1e-5
        )
    network.train()


@pytest.mark.parametrize("opset", OPSETS)
def test_a_file_has_the_operators_version_that_is_asked_for(opset: int, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(196, 5)
    )
    export_onnx(network.eval(), (1, 16, 16), path, {}, opset)
    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    onnx.checker.check_model(model, full_check=True)
    assert check_onnx(path, network, torch.randn(3, 1, 16, 16)) < 1e-4


def test_the_file_is_valid_and_tells_what_it_is(exported: Path) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.key: entry.value for entry in model.metadata_props} == METADATA
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in shape] == ["batch", 1, 16, 16]
    assert list(exported.parent.iterdir()) == [
        exported
    ]  # whole in one file, nothing left beside it


def test_the_file_names_no_path_of_this_machine(exported: Path) -> None:
    content = exported.read_bytes()
    assert b"site-packages" not in content
    assert b"_darts_network.py" not in content


def test_check_finds_equal_different_and_broken_networks(network: Any, exported: Path) -> None:
    images = torch.randn(5, 1, 16, 16)
    assert 0 <= check_onnx(exported, network, images) < 1e-4
    changed: Any = create_network(
        load_genotype("UNAS_CIFAR10"), 3, 1, channels=2, layers=3, auxiliary=True
    )
    changed.load_state_dict(network.state_dict())
    with torch.no_grad():
        changed.classifier.bias[1] += 0.5
    largest = float(changed.eval()(images).detach().abs().max())
    assert check_onnx(exported, changed, images) == pytest.approx(0.5 / largest, rel=1e-3)
    with torch.no_grad():
        changed.classifier.bias[0] = torch.nan
    assert check_onnx(exported, changed, images) == float("inf")


class Scaled(nn.Module):
    """Logits of any size; of one image, the batch is lost if it squeezes."""

    def __init__(self, scale: float, squeezes: bool = False) -> None:
        super().__init__()
        self.scale, self.squeezes = scale, squeezes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.scale * images.mean((2, 3))
        return logits.squeeze(0) if self.squeezes else logits


def test_the_difference_is_relative_to_the_logits(tmp_path: Path) -> None:
    images = torch.randn(5, 3, 4, 4)
    for scale in (1e-6, 1.0, 1e6):
        path = tmp_path / "model.onnx"
        path.write_bytes(direct_onnx(Scaled(scale), (3, 4, 4)).SerializeToString())
        assert check_onnx(path, Scaled(scale), images) < 1e-6
        assert check_onnx(path, Scaled(1.01 * scale), images) == pytest.approx(
            0.01 / 1.01, rel=1e-3
        )
    path.write_bytes(direct_onnx(Scaled(0.0), (3, 4, 4)).SerializeToString())
    assert check_onnx(path, Scaled(0.0), images) == 0
    assert check_onnx(path, Scaled(1.0), images) == 1


def test_logits_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(direct_onnx(Scaled(1.0), (3, 4, 4)).SerializeToString())
    with pytest.raises(UserError, match=r"gives \[1, 3\] for 1 images, and the network \[3\]"):
        check_onnx(path, Scaled(1.0, squeezes=True), torch.randn(5, 3, 4, 4))


def test_a_file_of_a_fixed_number_of_images_is_refused(tmp_path: Path) -> None:
    model = direct_onnx(Scaled(1.0), (3, 4, 4))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="can't be run on 5 images") as error:
        check_onnx(tmp_path / "model.onnx", Scaled(1.0), torch.randn(5, 3, 4, 4))
    assert "\n" not in str(error.value)


def test_check_refuses_a_damaged_file_in_one_line(
    network: Any, exported: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(exported.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"model\.onnx can't be opened") as error:
        check_onnx(damaged, network, torch.zeros(1, 1, 16, 16))
    assert "\n" not in str(error.value)


def test_export_says_when_it_cannot_write(
    network: Any, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(exported)
    monkeypatch.setattr("unas.graphs.onnx.to_onnx", lambda *_: model)
    with pytest.raises(UserError, match="can't be written"):
        export_onnx(network, (1, 16, 16), tmp_path / "missing" / "model.onnx", {})


def test_export_prints_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tiny = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    export_onnx(tiny, (1, 2, 2), tmp_path / "tiny.onnx", {})
    assert capfd.readouterr() == ("", "")
