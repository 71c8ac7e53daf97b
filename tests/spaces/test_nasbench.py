"""The spaces of published tables, against the figures of those tables."""

from __future__ import annotations

import pytest
import torch

from unas.architecture.genotype import Genotype
from unas.common.errors import UserError
from unas.graphs.size import count_macs, count_parameters
from unas.spaces.nasbench201 import NasBench201Space, edge_names, to_text
from unas.spaces.nasbench_macro import NasBenchMacroSpace, from_digits

# NAS-Bench-Macro's own parameters and multiply-adds. The cost of a network is the sum of its
# layers',
# and these rows hold every option of every layer.
MACRO = {
    "00000000": (387_882, 7_713_280),
    "11111111": (1_588_874, 53_246_464),
    "22222222": (2_932_586, 105_660_928),
    "20112222": (2_711_082, 78_098_944),
    "02101120": (1_534_186, 51_018_240),
    "21220002": (1_564_330, 61_125_120),
    "10110022": (2_193_994, 49_340_928),
    "22020211": (1_781_226, 68_731_392),
    "21111110": (1_198_698, 52_570_624),
    "00021202": (1_826_474, 50_455_040),
    "21202212": (2_252_458, 76_747_264),
    "00221022": (2_450_218, 63_959_552),
    "20021122": (2_515_178, 68_823_552),
    "11201200": (888_138, 44_122_624),
    "21222000": (951_978, 61_739_520),
    "22122101": (1_463_082, 75_475_456),
    "00222221": (2_422_442, 73_683_456),
    "00021121": (2_065_450, 51_886_592),
    "00001210": (1_179_562, 29_848_064),
    "01021121": (2_092_650, 58_620_416),
    "12000012": (1_691_914, 46_768_640),
    "00112121": (2_096_618, 56_191_488),
    "10102112": (2_001_482, 54_094_336),
    "21211002": (1_552_298, 60_338_688),
}


@pytest.mark.parametrize("digits", MACRO)
def test_macro_networks_are_as_large_as_the_table_says(digits: str) -> None:
    network = NasBenchMacroSpace().network(from_digits(digits), 10)
    assert (count_parameters(network), count_macs(network, (3, 32, 32))) == MACRO[digits]


def test_macro_rows_hold_every_option_of_every_layer() -> None:
    for layer in range(8):
        assert {digits[layer] for digits in MACRO} == set("012")


@pytest.mark.parametrize("digits", ["0123", "00000003", "0000000a", ""])
def test_macro_digits_are_checked(digits: str) -> None:
    with pytest.raises(UserError, match="must be 8 digits 0, 1 or 2"):
        from_digits(digits)


def genotype_201(**edges: str) -> Genotype:
    return Genotype("nasbench201", dict.fromkeys(edge_names(), "none") | edges)


def test_201_network_of_3x3_convolutions_is_as_large_as_published() -> None:
    genotype = Genotype("nasbench201", dict.fromkeys(edge_names(), "nor_conv_3x3"))
    network = NasBench201Space().network(genotype, 10)
    # 1.531546 M parameters and 220.11968 M multiply-adds (Dong & Yang 2020, and its data).
    assert (count_parameters(network), count_macs(network, (3, 32, 32))) == (1_531_546, 220_119_680)


def test_201_networks_take_odd_sizes() -> None:
    genotype = Genotype("nasbench201", dict.fromkeys(edge_names(), "skip_connect"))
    network = NasBench201Space().network(genotype, 10, channels=4, cells=1)
    assert network(torch.randn(2, 3, 25, 30)).shape == (2, 10)


def test_201_operations_cost_what_they_are() -> None:
    space, empty = NasBench201Space(), genotype_201()
    least = count_macs(space.network(empty, 10), (3, 32, 32))
    for operation, kernel_area in {"none": 0, "skip_connect": 0, "avg_pool_3x3": 0}.items():
        network = space.network(genotype_201(edge_0_3=operation), 10)
        assert count_macs(network, (3, 32, 32)) - least == kernel_area
    # Five cells a stage: C² · H · W is the same in all three.
    for operation, kernel_area in {"nor_conv_1x1": 1, "nor_conv_3x3": 9}.items():
        network = space.network(genotype_201(edge_1_2=operation), 10)
        one_stage = 5 * kernel_area * 16 * 16 * 32 * 32
        assert count_macs(network, (3, 32, 32)) - least == 3 * one_stage


def test_201_text_is_the_benchmarks() -> None:
    genotype = genotype_201(
        edge_0_1="nor_conv_3x3",
        edge_0_2="skip_connect",
        edge_1_2="avg_pool_3x3",
        edge_0_3="nor_conv_1x1",
        edge_2_3="skip_connect",
    )
    assert to_text(genotype) == (
        "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|nor_conv_1x1~0|none~1|skip_connect~2|"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cells": 0}, "space.cells is 0"),
        ({"channels": "x"}, "space.channels is 'x'"),
        ({"bn": "own"}, "space.bn is 'own'; it must be batch or routed"),
    ],
)
def test_201_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        NasBench201Space(**options)  # type: ignore[arg-type]
