"""Every black-box search: its budget, its determinism, and what its paper says of it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any, cast

import numpy as np
import pytest
import torch

from synthetic_table import synthetic_table
from unas.common.errors import UserError
from unas.lab import blackbox
from unas.lab.blackbox.evolution import Evolution, mutate
from unas.lab.blackbox.local_search import LocalSearch
from unas.lab.blackbox.surrogate_policy import SurrogatePolicy
from unas.lab.queries import MAX_REPEATS, BudgetSpentError, Queries
from unas.lab.table import ArchitectureTable

TABLE = synthetic_table([3, 2, 4, 3], pairs=0.3, triples=0.0, seed=3)  # 72 architectures
NAMES = blackbox.names()


def run(
    method: blackbox.BlackBoxMethod,
    table: ArchitectureTable,
    budget: int,
    seed: int = 0,
    *,
    minimize: bool = False,
) -> Queries:
    queries = Queries(table, table.costs("score", minimize=minimize).item, budget)
    with pytest.raises(BudgetSpentError):
        method.search(queries, seed)
    return queries


def incomplete(table: ArchitectureTable, keep: int) -> ArchitectureTable:
    kept = np.random.default_rng(0).permutation(len(table))[:keep]
    return ArchitectureTable(
        table.choices, table.rows[kept], {"score": table.metrics["score"][kept]}
    )


def test_a_repeated_question_counts_once() -> None:
    queries = Queries(TABLE, TABLE.costs("score", minimize=True).item, budget=3)
    assert queries(5) == queries(5) == TABLE.metrics["score"][5]
    queries(6)
    queries(5)
    queries(7)
    assert list(queries.answers) == [5, 6, 7]
    with pytest.raises(BudgetSpentError):
        queries(8)
    assert len(queries.answers) == 3


def test_a_method_that_only_repeats_itself_is_ended() -> None:
    queries = Queries(TABLE, TABLE.costs("score", minimize=True).item, budget=3)
    for _ in range(MAX_REPEATS + 1):
        queries(5)
    with pytest.raises(BudgetSpentError):
        queries(5)
    assert list(queries.answers) == [5]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", [1, 2, 30])
def test_no_method_exceeds_its_budget(name: str, budget: int) -> None:
    assert 1 <= len(run(blackbox.get(name)(), TABLE, budget).answers) <= budget


@pytest.mark.parametrize("name", NAMES)
def test_every_method_ends_on_a_table_smaller_than_its_budget(name: str) -> None:
    small = incomplete(TABLE, 6)
    assert len(run(blackbox.get(name)(), small, 100).answers) <= 6
    assert len(run(blackbox.get(name)(), incomplete(TABLE, 1), 100).answers) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_asks_the_same_and_another_seed_does_not(name: str) -> None:
    first, again, other = (
        list(run(blackbox.get(name)(), TABLE, 20, seed).answers) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", NAMES)
def test_no_method_touches_the_global_generators(name: str) -> None:
    before, numpy_before = torch.get_rng_state(), cast("Any", np.random.get_state())[1].copy()  # noqa: NPY002
    run(blackbox.get(name)(), TABLE, 15)
    assert torch.equal(torch.get_rng_state(), before)
    assert (cast("Any", np.random.get_state())[1] == numpy_before).all()  # noqa: NPY002


@pytest.mark.parametrize("name", NAMES)
def test_no_method_sees_what_it_did_not_ask_for(name: str) -> None:
    """Costs that weren't asked for may be anything: the questions stay the same."""
    costs = TABLE.costs("score", minimize=True)
    asked = list(run(blackbox.get(name)(), TABLE, 20, minimize=True).answers)
    changed = np.full_like(costs, -1e6)
    changed[asked] = costs[asked]
    queries = Queries(TABLE, changed.item, 20)
    with pytest.raises(BudgetSpentError):
        blackbox.get(name)().search(queries, 0)
    assert list(queries.answers) == asked


def test_random_search_asks_for_everything_once() -> None:
    asked = list(run(blackbox.get("random_search")(), TABLE, len(TABLE)).answers)
    assert sorted(asked) == list(range(len(TABLE)))


def test_mutation_changes_one_choice_to_any_other_option_alike() -> None:
    rng, parent = np.random.default_rng(0), 17
    children = Counter(mutate(TABLE, parent, rng) for _ in range(8000))
    sizes = [len(options) for options in TABLE.choices.values()]
    for child, count in children.items():
        (changed,) = np.flatnonzero(TABLE.rows[child] != TABLE.rows[parent])
        expected = 8000 / len(sizes) / (sizes[changed] - 1)
        assert abs(count - expected) < 5 * expected**0.5
    assert len(children) == sum(size - 1 for size in sizes)


class Scripted(Queries):
    """Notes every question, also the repeated ones."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.asked: list[Any] = []

    def __call__(self, position: int) -> float:
        cost = super().__call__(position)
        self.asked.append(position)
        return cost


@pytest.mark.parametrize(("population", "tournament"), [(4, 4), (6, 6)])
def test_evolution_mutates_the_best_of_the_living_and_the_oldest_dies(
    population: int, tournament: int
) -> None:
    costs = TABLE.costs("score", minimize=True)
    queries = Scripted(TABLE, costs.item, 40)
    with pytest.raises(BudgetSpentError):
        Evolution(population, tournament).search(queries, 0)
    asked = queries.asked
    # With S = P the parent is the best of the last P born, ageing's survivors, whatever was better
    # before them.
    forgot = False
    for t in range(population, len(asked)):
        parent = min(asked[t - population : t], key=lambda p: costs[p])
        assert asked[t] in TABLE.neighbours(parent)
        forgot |= costs[parent] > costs[asked[:t]].min()
    assert forgot


def test_a_tournament_of_one_is_not_selective() -> None:
    costs = TABLE.costs("score", minimize=True)
    queries = Scripted(TABLE, costs.item, 60)
    with pytest.raises(BudgetSpentError):
        Evolution(10, 1).search(queries, 0)
    best = [
        min(queries.asked[t - 10 : t], key=lambda p: costs[p])
        for t in range(10, len(queries.asked))
    ]
    children = zip(queries.asked[10:], best, strict=True)
    assert not all(child in TABLE.neighbours(parent) for child, parent in children)


@pytest.mark.parametrize(("population", "tournament"), [(3, 4), (3, 0)])
def test_an_impossible_tournament_is_refused(population: int, tournament: int) -> None:
    with pytest.raises(UserError, match="tournament is"):
        Evolution(population, tournament)


def test_local_search_climbs_to_the_top_where_there_is_one_hill() -> None:
    hill = synthetic_table([4, 4, 4, 4], pairs=0.0, triples=0.0, seed=1)
    costs = hill.costs("score", minimize=False)
    for seed in range(5):
        # At most 4 moves that matter, at most 12 neighbours tried for each.
        assert costs.argmin() in run(LocalSearch(), hill, 80, seed).answers


@pytest.mark.parametrize("minimize", [False, True])
def test_surrogate_policy_is_far_better_than_random_search(minimize: bool) -> None:
    table = synthetic_table([4] * 5, pairs=0.5, triples=0.1, seed=8)  # 1024 architectures
    costs = table.costs("score", minimize=minimize)
    ranks = {
        name: [
            (
                costs
                < min(
                    run(blackbox.get(name)(), table, 60, seed, minimize=minimize).answers.values()
                )
            ).sum()
            for seed in range(4)
        ]
        for name in ("random_search", "surrogate_policy")
    }
    assert np.mean(ranks["surrogate_policy"]) < 0.2 * np.mean(ranks["random_search"])


def test_surrogate_policy_works_where_most_architectures_are_not_listed() -> None:
    table = incomplete(synthetic_table([4] * 5, pairs=0.3, triples=0.0, seed=8), 100)
    assert len(run(SurrogatePolicy(), table, 40).answers) == 40


def test_a_synthetic_table_is_the_sum_of_its_effects() -> None:
    table = synthetic_table([2, 3], pairs=0.0, triples=0.0, seed=0)
    score = dict(zip(map(tuple, table.rows.tolist()), table.metrics["score"], strict=True))
    assert len(score) == 6
    for a, b in itertools.product(
        (0, 1), (1, 2)
    ):  # no interaction: differences are equal in every row
        assert score[a, b] - score[a, 0] == pytest.approx(score[0, b] - score[0, 0])
    rough = synthetic_table([2, 3], pairs=1.0, triples=0.0, seed=0).metrics["score"].reshape(2, 3)
    assert abs((rough[1] - rough[0]).std()) > 0.1
