"""A network in a safetensors file: the same logits after reading, every kind of damage refused."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.runs.network import load_network, read_options, save_network
from unas.spaces import Blueprint
from unas.spaces.darts import DartsNetworkOptions, DartsSpace
from unas.spaces.darts.network import DartsNetwork

GENOTYPE = load_genotype("UNAS_CIFAR100")
SIZE = DartsNetworkOptions(channels=2, layers=3, auxiliary=True, drop_path=0.1)
BLUEPRINT = Blueprint(DartsSpace(), SIZE, 4, (1, 32, 32))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    built = BLUEPRINT.network(GENOTYPE).to(memory_format=torch.channels_last)
    built(torch.randn(4, 1, 32, 32))  # moves BatchNorm's statistics
    return built


def test_the_same_network_gives_the_same_bytes(network: nn.Module, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.safetensors" for n in range(8)]
    for path in paths:
        save_network(network, path, GENOTYPE, BLUEPRINT)
    assert len({path.read_bytes() for path in paths}) == 1
    with safetensors.safe_open(paths[0], "pt") as file:
        assert set(file.metadata()) == {
            "format",
            "version",
            "genotype",
            "options",
            "num_classes",
            "image_channels",
        }
    content = paths[0].read_bytes()
    assert int.from_bytes(content[:8], "little") % 8 == 0  # so the tensors are aligned


@pytest.fixture
def saved(network: nn.Module, tmp_path: Path) -> tuple[nn.Module, Path]:
    save_network(network, tmp_path / "model.safetensors", GENOTYPE, BLUEPRINT)
    return network, tmp_path / "model.safetensors"


def test_a_loaded_network_is_the_saved_one(saved: tuple[nn.Module, Path]) -> None:
    network, path = saved
    random_state = torch.get_rng_state()
    images = torch.randn(3, 1, 16, 16)
    torch.set_rng_state(random_state)
    for place in (path, path.parent, str(path)):
        loaded = load_network(place)
        assert not loaded.training
        assert all(
            torch.equal(value, network.state_dict()[name])
            for name, value in loaded.state_dict().items()
        )
        # Not equal to the last bit: the saved one is in channels last, which convolutions add up in
        # another order.
        torch.testing.assert_close(loaded(images), network.eval()(images))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert loaded.train()(torch.randn(2, 1, 32, 32))[1].shape == (2, 4)
    assert read_options(path) == dataclasses.asdict(SIZE)


def test_other_programs_read_the_file(saved: tuple[nn.Module, Path]) -> None:
    network, path = saved
    tensors = safetensors.torch.load_file(path)
    assert tensors.keys() == network.state_dict().keys()
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in tensors.items())


def test_a_space_from_elsewhere_is_handed_in(saved: tuple[nn.Module, Path], tmp_path: Path) -> None:
    network, _ = saved
    genotype = dataclasses.replace(GENOTYPE, space="elsewhere:Space")

    class Elsewhere(DartsSpace):
        def network(
            self, genotype: Genotype, num_classes: int, image_channels: int = 3, **options: Any
        ) -> DartsNetwork:
            plain = dataclasses.replace(genotype, space="darts")
            return super().network(plain, num_classes, image_channels, **options)

    path = tmp_path / "other.safetensors"
    save_network(network, path, genotype, BLUEPRINT)
    with pytest.raises(UserError, match="elsewhere:Space"):
        load_network(path)
    loaded: Any = load_network(path, Elsewhere())
    assert torch.equal(loaded.classifier.weight, network.get_parameter("classifier.weight"))


def rewrite(
    path: Path,
    change: Callable[[dict[str, torch.Tensor]], object] | None = None,
    **metadata: str | None,
) -> None:
    """Write the file again with other metadata (None: without it) or changed weights."""
    with safetensors.safe_open(path, "pt") as file:
        fields = {k: v for k, v in ((file.metadata() or {}) | metadata).items() if v is not None}
        tensors = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118
    if change is not None:
        change(tensors)
    safetensors.torch.save_file(tensors, path, fields)


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda path: path.unlink(), "doesn't exist"),
        (lambda path: path.write_bytes(b""), "no whole safetensors file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "no whole safetensors file"),
        (lambda path: path.write_bytes(b"\xff" * 100), "no whole safetensors file"),
        (
            lambda path: safetensors.torch.save_file({"a": torch.ones(1)}, path),
            "not a network; the document needs",
        ),
        (lambda path: rewrite(path, version="2"), 'version is "2"; this unas reads version 1'),
        (lambda path: rewrite(path, options=None), "'options' is missing"),
        (lambda path: rewrite(path, options="{"), "options"),
        (lambda path: rewrite(path, options="[]"), "options"),
        (lambda path: rewrite(path, options=json.dumps({"layers": 10**9})), "network.layers"),
        (lambda path: rewrite(path, options=json.dumps({"depth": 3})), "'depth'"),
        (lambda path: rewrite(path, options="{}"), "has shape"),
        (lambda path: rewrite(path, genotype="{}"), "not a genotype"),
        (lambda path: rewrite(path, num_classes="-3"), "num_classes"),
        (lambda path: rewrite(path, num_classes="9" * 5000), "num_classes"),
        (lambda path: rewrite(path, num_classes="900000"), "has shape"),
        (lambda path: rewrite(path, image_channels="³"), "image_channels"),
        (
            lambda path: rewrite(path, lambda w: w.pop("classifier.bias")),
            "'classifier.bias' is missing",
        ),
        (lambda path: rewrite(path, lambda w: w.update(more=torch.ones(1))), "'more' is not part"),
    ],
)
def test_damage_gives_one_line(
    saved: tuple[nn.Module, Path], damage: Callable[[Path], None], part: str
) -> None:
    _, path = saved
    damage(path)
    with pytest.raises(UserError) as error:
        load_network(path)
    assert part in str(error.value)
    assert "\n" not in str(error.value)
