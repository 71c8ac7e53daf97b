"""The space of NAS-Bench-Macro: eight layers of three kinds (Su et al. 2021, arXiv 2103.11922)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

from torch import nn

from unas.architecture.genotype import Genotype
from unas.common.errors import UserError
from unas.nn.choice import OpChoice
from unas.nn.mbconv import MBConv
from unas.nn.mixed import BatchNormRows
from unas.spaces._checks import check_bn, check_width
from unas.spaces.base import NetworkOptions, SearchSpace
from unas.spaces.module import ModuleSpace

OPTIONS = ("identity", "mbconv_3x3_e3", "mbconv_5x5_e6")
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
MAX_WIDTH = 8


class _Layer(NamedTuple):
    channels_in: int
    channels_out: int
    stride: int


# Three stages of 2, 3 and 3 layers; the first of each halves the images and changes the width.
_LAYERS = (
    _Layer(32, 64, 2),
    _Layer(64, 64, 1),
    _Layer(64, 128, 2),
    _Layer(128, 128, 1),
    _Layer(128, 128, 1),
    _Layer(128, 256, 2),
    _Layer(256, 256, 1),
    _Layer(256, 256, 1),
)


@dataclass(frozen=True)
class NasBenchMacroNetworkOptions(NetworkOptions):
    """How large the network of a NAS-Bench-Macro genotype is.

    Args:
        width: what every number of channels is multiplied with; the benchmark's is 1.

    Raises:
        UserError: a field is out of its range.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        check_width("network", self.width, MAX_WIDTH)


@dataclass(frozen=True)
class NasBenchMacroSpace(SearchSpace):
    """Eight layers in a row: nothing, or MBConv of kernel 3 and expansion 3, or of 5 and 6.

    Nothing is a 1×1 convolution where a layer changes the width.

    Args:
        width: what every number of the supernet's channels is multiplied with.
        bn: what a hard sample's BatchNorm takes its statistics over; see `OpChoice`.

    Raises:
        UserError: a field is out of its range.
    """

    network_options: ClassVar[type[NetworkOptions]] = NasBenchMacroNetworkOptions

    width: float = 1.0
    bn: BatchNormRows = "batch"

    def __post_init__(self) -> None:
        check_width("space", self.width, MAX_WIDTH)
        check_bn(self.bn)

    @classmethod
    def all_choices(cls) -> dict[str, tuple[str, ...]]:
        """Return the options of each layer."""
        return {f"layer{number}": OPTIONS for number in range(1, len(_LAYERS) + 1)}

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The options of each layer, by its name."""
        return self.all_choices()

    def supernet(self, num_classes: int, image_channels: int = 3) -> nn.Module:
        """See `SearchSpace`."""
        model = partial(_model, width=self.width, bn=self.bn)
        return ModuleSpace(model).supernet(num_classes, image_channels)

    def network(
        self, genotype: Genotype, num_classes: int, image_channels: int = 3, **options: Any
    ) -> nn.Module:
        """See `SearchSpace`; the options are the fields of `NasBenchMacroNetworkOptions`."""
        self.check(genotype)
        size = NasBenchMacroNetworkOptions.from_keywords(options)
        space = ModuleSpace(partial(_model, width=size.width))
        decided = Genotype(space.registry_name, genotype.choices)
        return space.network(decided, num_classes, image_channels)


def from_digits(digits: str) -> Genotype:
    """Return the architecture that the benchmark writes as eight digits 0, 1 or 2.

    Raises:
        UserError: they are not.
    """
    names = tuple(NasBenchMacroSpace.all_choices())
    if len(digits) != len(names) or set(digits) - set("012"):
        raise UserError(f"architecture {digits!r} must be {len(names)} digits 0, 1 or 2")
    choices = {name: OPTIONS[int(digit)] for name, digit in zip(names, digits, strict=True)}
    return Genotype("nasbench_macro", choices)


def _model(
    num_classes: int, image_channels: int, *, width: float, bn: BatchNormRows = "batch"
) -> nn.Module:
    """Return the benchmark's network with a choice in each layer."""

    def scaled(channels: int) -> int:
        return max(1, round(channels * width))

    stem, head = scaled(STEM_CHANNELS), scaled(HEAD_CHANNELS)
    layers: list[nn.Module] = [_conv_norm(image_channels, stem, 3), nn.ReLU6(inplace=True)]
    for number, layer in enumerate(_LAYERS, 1):
        channels_in, channels_out = scaled(layer.channels_in), scaled(layer.channels_out)
        options = {
            name: _operation(name, channels_in, channels_out, layer.stride) for name in OPTIONS
        }
        layers.append(OpChoice(options, name=f"layer{number}", bn=bn))
    layers += [
        _conv_norm(channels_out, head, 1),
        nn.ReLU6(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(head, num_classes),
    ]
    return nn.Sequential(*layers)


def _operation(name: str, channels_in: int, channels_out: int, stride: int) -> nn.Module:
    if name == "identity":
        if stride == 1 and channels_in == channels_out:
            return nn.Identity()
        return _conv_norm(channels_in, channels_out, 1, stride)
    kernel, expansion = (3, 3) if name == "mbconv_3x3_e3" else (5, 6)
    return MBConv(channels_in, channels_out, kernel, expansion, stride, searching=False)


def _conv_norm(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    )
