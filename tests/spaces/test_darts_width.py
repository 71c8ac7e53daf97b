"""The largest DARTS network below a limit of multiply-adds, against counting every width."""

import random
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import nn

from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.graphs.counting import Counting, count_by
from unas.graphs.size import count_macs, count_parameters
from unas.spaces import create_network
from unas.spaces.darts import DartsNetworkOptions, DartsSpace

SIDES = {"cifar": 32, "imagenet": 224}


def random_genotype(seed: int) -> Genotype:
    chooser = random.Random(seed)  # noqa: S311  no secrets here
    return Genotype("darts", {n: chooser.choice(o) for n, o in DartsSpace.all_choices().items()})


def options(max_macs: Any, **others: Any) -> DartsNetworkOptions:
    return DartsNetworkOptions(channels=None, max_macs=max_macs, **others)


@pytest.mark.parametrize(
    ("counting", "channels", "parameters", "products", "published"),
    [
        ("published", 46, 5_073_949, 548_602_256, 563_830_280),
        ("products", 48, 5_478_880, 595_184_256, 611_074_368),
    ],
)
def test_imagenet_network_of_either_rule_has_the_published_counts(
    counting: Counting, channels: int, parameters: int, products: int, published: int
) -> None:
    size = options(600_000_000, layers=14, stem="imagenet", auxiliary=True, counting=counting)
    genotype = load_genotype("UNAS_IMAGENET")
    decided = size.decided(genotype, 1000, 3)
    assert decided == replace(size, channels=channels, max_macs=None)
    with torch.device("meta"):
        network = create_network(genotype, 1000, **asdict(decided))
    assert count_parameters(network) == parameters
    assert count_by("products", network, (3, 224, 224)) == products
    assert count_by("published", network, (3, 224, 224)) == published
    assert size.decision(genotype, 1000, 3) == (
        f"C = {channels}, the largest below 600,000,000 multiply-adds "
        f"(counting: {counting}, an image of 224×224); "
        f"it has {products:,} (counting: products), {published:,} (counting: published)"
    )
    assert decided.decision(genotype, 1000, 3) is None


@pytest.mark.parametrize(
    ("stem", "layers", "channels"), [("cifar", 3, 8), ("cifar", 5, 14), ("imagenet", 4, 22)]
)
@pytest.mark.parametrize(("image_channels", "counting"), [(1, "products"), (3, "published")])
def test_limit_is_kept_and_the_next_width_breaks_it(
    stem: Any, layers: int, channels: int, image_channels: int, counting: Counting
) -> None:
    genotype = random_genotype(channels)
    sized = {"layers": layers, "stem": stem, "counting": counting}

    def macs(width: int) -> int:
        with torch.device("meta"):
            network = create_network(
                genotype, 11, image_channels, channels=width, layers=layers, stem=stem
            )
        return count_by(counting, network, (image_channels, SIDES[stem], SIDES[stem]))

    def largest(limit: int) -> int | None:
        return options(limit, **sized).decided(genotype, 11, image_channels).channels

    least, most = macs(channels), macs(channels + 2)
    assert largest(least + 1) == channels
    assert largest(most) == channels  # below the limit, not at it
    assert largest(most + 1) == channels + 2


def test_networks_of_a_limit_and_of_its_width_are_the_same() -> None:
    genotype, size = random_genotype(3), options(3_000_000, layers=3)
    built = []
    for given in (size, size.decided(genotype, 10, 3)):
        torch.manual_seed(0)
        built.append(create_network(genotype, 10, **asdict(given)))
    ours, theirs = (nn.utils.parameters_to_vector(network.parameters()) for network in built)
    assert torch.equal(ours, theirs)
    assert count_macs(built[0], (3, 32, 32)) < 3_000_000


def test_options_without_a_limit_are_decided_already() -> None:
    assert DartsNetworkOptions().decided(random_genotype(0), 10, 3) == DartsNetworkOptions()


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (
            lambda: DartsNetworkOptions(max_macs=10**9),
            "network.channels is 36 and network.max_macs 1000000000",
        ),
        (
            lambda: DartsNetworkOptions(channels=None),
            "network.channels is None and network.max_macs None",
        ),
        (lambda: options(0), "network.max_macs is 0"),
        (lambda: options(1.5), "network.max_macs is 1.5"),
        (
            lambda: options(10, counting="flops"),
            "network.counting is 'flops'; it must be products or published",
        ),
        (lambda: replace(options(10), layers=2), "network.layers is 2"),
        (
            lambda: options(1000, layers=3).decided(random_genotype(0), 10, 3),
            "network.max_macs is 1,000, but",
        ),
    ],
)
def test_wrong_limits_give_one_line(build: Callable[[], object], field: str) -> None:
    with pytest.raises(UserError) as error:
        build()
    assert field in str(error.value)
    assert "\n" not in str(error.value)
