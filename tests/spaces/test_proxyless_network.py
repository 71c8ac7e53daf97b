"""The ProxylessNAS networks against the published counts, sums by hand, and a forward written with
functions only.
"""

import random
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from plain_proxyless import LAYERS
from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.graphs.size import count_macs, count_parameters
from unas.spaces import create_network, get
from unas.spaces.proxylessnas import ProxylessNetworkOptions, ProxylessSpace

MBCONVS = tuple(f"mbconv_{k}x{k}_e{e}" for k in (3, 5, 7) for e in (3, 6))


def random_genotype(seed: int) -> Genotype:
    chooser = random.Random(seed)  # noqa: S311  no secrets here
    return Genotype(
        "proxylessnas", {n: chooser.choice(o) for n, o in ProxylessSpace().choices.items()}
    )


def small(seed: int = 0, classes: int = 7, width: float = 0.15) -> nn.Module:
    torch.manual_seed(seed)
    return create_network(random_genotype(seed), classes, width=width)


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [("UNAS", 5_965_528, 428_018_592), ("PROXYLESS_GPU", 7_119_848, 465_260_160)],
)
def test_published_counts(name: str, parameters: int, macs: int) -> None:
    with torch.device("meta"):
        network = create_network(load_genotype(name), 1000)
    assert count_parameters(network) == parameters
    assert count_macs(network, (3, 224, 224)) == macs


def by_hand(
    genotype: Genotype, classes: int, side: int, scale: Callable[[int], int]
) -> tuple[int, int]:
    """Return (parameters, multiply-adds) of a network: sums over its layers, with no network built."""

    def normalised(weights: int, channels: int, pixels: int) -> tuple[int, int]:
        return weights + 2 * channels, weights * pixels

    def block(
        before: int, after: int, kernel: int, expansion: int, sides: tuple[int, int]
    ) -> Iterator[tuple[int, int]]:
        wide, (first, last) = before * expansion, (side * side for side in sides)
        if expansion > 1:
            yield normalised(before * wide, wide, first)
        yield normalised(kernel * kernel * wide, wide, last)
        yield normalised(wide * after, after, last)

    side = (side + 1) // 2
    parts = [
        normalised(27 * scale(40), scale(40), side**2),
        *block(scale(40), scale(24), 3, 1, (side, side)),
    ]
    for (before, after, stride), option in zip(LAYERS, genotype.choices.values(), strict=True):
        smaller = (side + stride - 1) // stride
        if option != "skip":
            parts += block(
                scale(before), scale(after), int(option[7]), int(option[-1]), (side, smaller)
            )
        side = smaller
    parts.append(normalised(scale(432) * scale(1728), scale(1728), side**2))
    parts.append((scale(1728) * classes + classes, scale(1728) * classes))
    parameters, macs = map(sum, zip(*parts, strict=True))
    return parameters, macs


@pytest.mark.parametrize("width", [1.0, 0.35, 1.4])
@pytest.mark.parametrize("seed", [1, 2])
def test_counts_equal_sums_by_hand(seed: int, width: float) -> None:
    genotype = random_genotype(seed)
    with torch.device("meta"):
        network = create_network(genotype, 10, width=width)
    found = count_parameters(network), count_macs(network, (3, 160, 160))
    assert found == by_hand(genotype, 10, 160, lambda channels: int(channels * width + 0.5))


def test_width_scales_every_number_of_channels_and_rounds() -> None:
    with torch.device("meta"):
        network = create_network(load_genotype("PROXYLESS_GPU"), 10, width=0.1)
    outputs = [
        m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups == 1
    ]
    projected = [
        m.project[0].out_channels for m in network.layers if not isinstance(m, nn.Identity)
    ]
    assert outputs[:2] == [4, 2]  # 40 and 24
    assert projected == [3, 6, 6, 11, 11, 13, 13, 13, 26, 26, 26, 26, 43]
    assert outputs[-1] == 173
    with torch.device("meta"):
        least = create_network(random_genotype(0), 10, width=1e-6)
    assert all(m.out_channels in {1, 3, 6} for m in least.modules() if isinstance(m, nn.Conv2d))


class PlainNetwork:
    """The network in evaluation mode, as a function of the weights by their names."""

    def __init__(self, genotype: Genotype, network: nn.Module) -> None:
        self.options = genotype.choices
        self.state = dict(network.state_dict())
        self.used: set[str] = set()

    def take(self, name: str) -> torch.Tensor:
        self.used.add(name)
        return self.state[name]

    def conv(self, x: torch.Tensor, name: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
        weight = self.take(f"{name}.weight")
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)

    def bn(self, x: torch.Tensor, name: str) -> torch.Tensor:
        fields = [
            self.take(f"{name}.{f}") for f in ("running_mean", "running_var", "weight", "bias")
        ]
        mean, variance, gain, shift = (f[:, None, None] for f in fields)
        return (x - mean) / (variance + 1e-3).sqrt() * gain + shift

    def block(
        self, x: torch.Tensor, name: str, kernel: int, expansion: int, stride: int
    ) -> torch.Tensor:
        y = x
        if expansion > 1:
            y = self.bn(self.conv(y, f"{name}.expand.0"), f"{name}.expand.1").clamp(0, 6)
        assert y.shape[1] == expansion * x.shape[1]
        assert self.take(f"{name}.filter.0.weight").shape[-1] == kernel
        y = self.bn(self.conv(y, f"{name}.filter.0", stride, y.shape[1]), f"{name}.filter.1").clamp(
            0, 6
        )
        y = self.bn(self.conv(y, f"{name}.project.0"), f"{name}.project.1")
        return x + y if stride == 1 and x.shape[1] == y.shape[1] else y

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn(self.conv(x, "stem.0.0", 2), "stem.0.1").clamp(0, 6)
        x = self.block(x, "stem.1", 3, 1, 1)
        for number in range(1, 22):
            option = self.options[f"layer{number}"]
            if option != "skip":
                stride = 2 if number in {1, 5, 9, 17} else 1
                x = self.block(x, f"layers.{number - 1}", int(option[7]), int(option[-1]), stride)
        x = self.bn(self.conv(x, "head.features.0"), "head.features.1").clamp(0, 6)
        return F.linear(
            x.mean((2, 3)), self.take("head.classifier.weight"), self.take("head.classifier.bias")
        )


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("side", [32, 50])
def test_forward_equals_a_plain_one(seed: int, side: int) -> None:
    network = small(seed).double().eval()
    for value in network.state_dict().values():
        if value.ndim == 1 and value.is_floating_point():
            value.copy_(torch.rand(value.shape) + 0.5)
    plain = PlainNetwork(random_genotype(seed), network)
    images = torch.randn(3, 3, side, side, dtype=torch.float64)
    expected = plain(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(network(images), expected, rtol=1e-9, atol=1e-9)
    assert {name for name in network.state_dict() if "num_batches" not in name} == plain.used


def test_inputs_stay_as_they_were() -> None:
    network, images = small().train(), torch.randn(2, 3, 64, 64)
    before = images.clone()
    network(images).sum().backward()
    assert torch.equal(images, before)


@pytest.mark.slow
def test_space_has_the_papers_choices() -> None:
    space = ProxylessSpace(width=0.5)
    assert list(space.choices) == [f"layer{number}" for number in range(1, 22)]
    for number, options in enumerate(space.choices.values(), 1):
        assert options == (MBCONVS if number in {1, 5, 9, 13, 17, 21} else ("skip", *MBCONVS))
    assert space.choices == ProxylessSpace.all_choices()
    assert get("proxylessnas") is ProxylessSpace


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: ProxylessSpace(width=0), "space.width is 0"),
        (lambda: ProxylessSpace(width=float("nan")), "space.width is nan"),
        (lambda: ProxylessSpace(bn="group"), "space.bn is 'group'"),  # type: ignore[arg-type]
        (lambda: ProxylessNetworkOptions(width=-1.0), "network.width is -1.0"),
        (lambda: ProxylessNetworkOptions(width=1e9), "network.width is 1000000000.0"),
        (lambda: create_network(random_genotype(0), 10, widht=1.0), "did you mean width"),
        (lambda: ProxylessSpace().network(Genotype("darts", {}), 10), "genotype.space is 'darts'"),
        (
            lambda: create_network(
                Genotype("proxylessnas", {**random_genotype(0).choices, "layer1": "skip"})
            ),
            "choices['layer1'] is 'skip'",
        ),
    ],
)
def test_wrong_options_give_one_line(build: Callable[[], object], field: str) -> None:
    with pytest.raises(UserError) as error:
        build()
    assert field in str(error.value)
    assert "\n" not in str(error.value)
