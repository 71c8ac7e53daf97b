"""The widest ProxylessNAS network below a limit of multiply-adds, against counting its neighbours."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch

from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.graphs.counting import Counting, count_by
from unas.spaces import create_network
from unas.spaces.proxylessnas import ProxylessNetworkOptions

GENOTYPE = load_genotype("PROXYLESS_GPU")


def options(max_macs: Any, **others: Any) -> ProxylessNetworkOptions:
    return ProxylessNetworkOptions(width=None, max_macs=max_macs, **others)


@pytest.mark.parametrize("counting", ["products", "published"])
def test_limit_is_kept_and_the_next_hundredth_breaks_it(counting: Counting) -> None:
    def macs(hundredths: int) -> int:
        with torch.device("meta"):
            network = create_network(GENOTYPE, 1000, width=hundredths / 100)
        return count_by(counting, network, (3, 224, 224))

    def largest(limit: int) -> float | None:
        return options(limit, counting=counting).decided(GENOTYPE, 1000, 3).width

    limit = macs(100)
    assert largest(limit) == 0.99  # below the limit, not at it
    assert largest(limit + 1) == 1.0
    assert macs(101) > limit + 1  # the next hundredth breaks it


def test_published_width_is_that_of_the_published_count() -> None:
    size = options(465_260_161)
    assert size.decided(GENOTYPE, 1000, 3) == replace(size, width=1.0, max_macs=None)
    text = size.decision(GENOTYPE, 1000, 3)
    assert text is not None
    assert text.startswith("width 1.0, the largest below 465,260,161 multiply-adds")
    assert "465,260,160 (counting: products)" in text
    with torch.device("meta"):
        network = create_network(GENOTYPE, 1000, **asdict(size))
    assert count_by("products", network, (3, 224, 224)) == 465_260_160


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_macs": 10**9}, "network.width is 1.0 and network.max_macs 1000000000"),
        ({"width": None}, "network.width is None and network.max_macs None"),
        ({"width": None, "max_macs": 0}, "network.max_macs is 0"),
        ({"counting": "flops"}, "network.counting is 'flops'; it must be products or published"),
        ({"width": 33.0}, "network.width is 33.0"),
    ],
)
def test_wrong_options_give_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ProxylessNetworkOptions(**values)


def test_a_limit_below_the_narrowest_network_is_refused() -> None:
    with pytest.raises(UserError, match=r"max_macs is 1, but the narrowest network, of width 0.01"):
        options(1).decided(GENOTYPE, 1000, 3)
