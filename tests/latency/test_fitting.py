"""The parts of a fit: groups, design, regression, timing, against what we know or scipy finds."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats
from torch import nn

from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.costs.blocks import Terms, random_genotypes
from unas.graphs.size import count_macs, count_parameters
from unas.latency.design import choose_design
from unas.latency.fitting import spearman
from unas.latency.regression import fit_terms
from unas.latency.sizes import sizes_of
from unas.latency.timing import in_turn
from unas.spaces import create_network
from unas.spaces.darts import DartsSpace

SPACE = DartsSpace(operations=3)


@pytest.fixture(scope="module")
def terms() -> Terms:
    return Terms(SPACE, lambda genotype: SPACE.network(genotype, 10, 3, channels=4, layers=3))


def test_terms_of_the_same_modules_are_one_group(terms: Terms) -> None:
    by_block = terms.by_block(terms.groups)  # type: ignore[arg-type]
    groups = dict(zip(terms.blocks, by_block, strict=True))
    # Beside the first term: two operations in the normal cell; in the reduction two of stride 2 and
    # three of stride 1.
    assert terms.num_groups == 2 + 5
    normal = groups["normal/node3/input1", "normal/node3/op1"]
    assert (normal == normal[0]).all()  # a normal cell's operations don't care what they read
    reduction = groups["reduction/node3/input0", "reduction/node3/op0"]
    assert (reduction[:2] == reduction[0]).all()
    assert (reduction[2:] == reduction[2]).all()
    assert not (reduction[0] == reduction[2]).any()


def test_a_chosen_design_says_more_than_a_drawn_one(terms: Terms) -> None:
    generator = np.random.default_rng(0)

    def information(genotypes: Sequence[Genotype]) -> float:
        features = terms.matrix(genotypes) @ terms.group_matrix()
        features -= features.mean(0)
        return np.linalg.slogdet(np.eye(features.shape[1]) + features.T @ features)[1]

    drawn = [information(random_genotypes(SPACE, 30, generator)) for _ in range(5)]
    assert information(choose_design(terms, 30, generator)) > max(drawn) + 3


def test_regression_finds_what_least_squares_finds() -> None:
    generator = np.random.default_rng(0)
    terms = generator.integers(0, 2, size=(60, 5)).astype(float)
    costs = 100 + terms @ np.array([1.0, 2.0, 0.0, 5.0, -3.0])
    fit = fit_terms(terms, np.eye(5), np.zeros((5, 1)), costs)
    least_squares = np.linalg.lstsq(np.hstack([np.ones((60, 1)), terms]), costs, rcond=None)[0]
    assert fit.intercept == pytest.approx(least_squares[0], rel=1e-3)
    assert fit.terms == pytest.approx(least_squares[1:], abs=0.05)


def test_sizes_tell_about_groups_that_were_not_measured() -> None:
    generator = np.random.default_rng(0)
    sizes = np.array([[1.0], [2.0], [5.0], [8.0]])
    terms = generator.integers(0, 2, size=(30, 4)).astype(float)
    terms[:, 3] = 0
    fit = fit_terms(terms, np.eye(4), sizes, 100 + terms @ (3 * sizes[:, 0]))
    assert fit.terms == pytest.approx([3, 6, 15, 24], rel=0.05)


def test_a_few_disturbed_measurements_do_little_harm() -> None:
    generator = np.random.default_rng(0)
    terms, true = (
        generator.integers(0, 2, size=(60, 5)).astype(float),
        np.array([10.0, 20.0, 0.0, 30.0, 5.0]),
    )
    costs = (100 + terms @ true) * (1 + 0.005 * generator.standard_normal(60))
    costs[:6] *= 2.5
    least_squares = np.linalg.lstsq(np.hstack([np.ones((60, 1)), terms]), costs, rcond=None)[0][1:]
    ours = fit_terms(terms, np.eye(5), np.zeros((5, 1)), costs).terms
    assert np.abs(ours - true).max() < 1.5
    assert np.abs(least_squares - true).max() > 10


def test_sizes_are_those_of_the_counters() -> None:
    network = create_network(load_genotype("UNAS_CIFAR10"), channels=4, layers=3).eval()
    operators, written, weights, dense, depthwise = sizes_of(network, (3, 12, 12))
    # Convolutions alone: the classifier's 64·10 are not among them.
    assert dense + depthwise == count_macs(network, (3, 12, 12)) - 640
    inner = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert 0 < depthwise < dense
    buffers = sum(b.numel() for name, b in network.named_buffers() if "running" in name)
    assert weights == count_parameters(network) + buffers
    assert operators > len(inner)
    assert written > 0


def test_turns_compare_networks_on_a_busy_machine() -> None:
    true = np.array([1.0, 2.0, 4.0, 3.0])
    generator = np.random.default_rng(0)
    # Half of the runs are disturbed by up to five times, and one whole round is.
    disturbed = iter(
        1 + np.where(generator.random(4 * 5 * 4) < 0.5, generator.exponential(1.0, 80), 0.0)
    )

    def clock(index: int) -> Callable[[], float]:
        return lambda: true[index] * next(disturbed)

    times = in_turn([clock(index) for index in range(4)], 5, 3, 1, np.random.default_rng(1))
    assert times / times[0] == pytest.approx(true)
    assert times[0] >= 1


def test_the_level_is_that_of_medians() -> None:
    times = itertools.cycle([9.0, 1.0, 1.2, 1.5])  # the first warms up
    milliseconds = in_turn([lambda: next(times)], 3, 3, 1, np.random.default_rng(0))
    assert milliseconds == pytest.approx([1.2])


def test_rank_correlation_is_scipys() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        a, b = generator.integers(0, 6, 15).astype(float), generator.standard_normal(15).round(1)
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert math.isnan(spearman(np.ones(5), np.arange(5.0)))
