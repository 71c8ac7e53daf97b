"""What a search does over several steps: every estimator finds what is better, warm-up, weights of
the terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from planted import CHOICE, CONFIG, B, batch, build
from unas import estimators
from unas.common.errors import UserError
from unas.estimators import Estimator, draw_hard
from unas.estimators.rebar import Rebar
from unas.objectives import Term
from unas.objectives.cross_entropy import CrossEntropy
from unas.searching.config import SearchConfig

ESTIMATORS = [pytest.param(estimators.get(name), id=name) for name in estimators.names()]
ESTIMATORS += [pytest.param(lambda: Rebar(learn_eta=True), id="rebar, learned eta")]


@pytest.mark.parametrize("build_estimator", ESTIMATORS)
def test_every_estimator_finds_the_better_option(build_estimator: Callable[[], Estimator]) -> None:
    search = build(replace(CONFIG, estimator=build_estimator()))
    for number in range(20):
        search.warm_up(*batch(number)[:2])
    assert set(search.policy.probabilities()[CHOICE].values()) == {1 / 3}
    for number in range(60):
        terms = search(*batch(100 + number))
    assert set(terms) == {"cross_entropy", "gap", "train_loss", "entropy"}
    assert search.policy.mode() == {CHOICE: "good"}
    assert search.policy.probabilities()[CHOICE]["good"] > 0.6


@pytest.mark.parametrize("weights_on", ["relaxed", "hard"])
@pytest.mark.parametrize("num_architectures", [1, 2, 4])
@pytest.mark.parametrize("name", estimators.names())
def test_every_estimator_runs_with_every_number_of_architectures(
    name: str, num_architectures: int, weights_on: Any
) -> None:
    if name == "reinforce_loo" and num_architectures == 1:
        return
    config = replace(CONFIG, architectures_per_batch=num_architectures, weights_on=weights_on)
    search = build(replace(config, estimator=estimators.get(name)()))
    assert all(torch.tensor(value).isfinite() for value in search(*batch(0)).values())


def test_exact_does_not_train_the_weights_on_what_it_enumerates() -> None:
    config = replace(
        CONFIG, estimator=estimators.get("exact")(), architectures_per_batch=1, weights_on="hard"
    )
    search, drawn = build(config), []
    with torch.no_grad():
        search.policy.logits[CHOICE].copy_(torch.tensor([-30.0, -30.0, 30.0]))
    search.supernet.register_forward_pre_hook(
        lambda _, arguments: drawn.append(arguments[1].picks[CHOICE])
    )
    search(*batch(0))
    assert drawn[-1] == [2]


def test_warm_up_trains_the_weights_and_leaves_the_policy() -> None:
    search = build()
    before = [p.detach().clone() for p in search.weights]
    logits = [p.detach().clone() for p in search.policy.parameters()]
    losses = [search.warm_up(*batch(0)[:2])["train_loss"] for _ in range(30)]
    assert losses[-1] < losses[0]
    assert all((p != q).any() for p, q in zip(before, search.weights, strict=True))
    assert all(p.equal(q) for p, q in zip(logits, search.policy.parameters(), strict=True))
    assert (search.steps, search.steps_since_warm_up) == (30, 0)


@dataclass(frozen=True)
class Asking(Estimator):
    """Asks for the cost of hard architectures and remembers the answer."""

    is_unbiased = True
    needs_cost_gradient = False

    def __call__(
        self, policy: Any, cost: Any, *, num_samples: int = 1, generator: Any = None
    ) -> Tensor:
        ANSWERS.append(cost(draw_hard(policy, num_samples, generator)).tolist())
        return policy.log_probabilities()[0].sum() * 0


ANSWERS: list[list[float]] = []


def test_cost_is_the_weighted_sum_with_weights_that_grow_from_the_first_policy_step() -> None:
    terms: dict[str, Term] = {
        "a": CrossEntropy(weight=2.0),
        "b": CrossEntropy(weight=3.0, warm_up_steps=3),
    }
    search = build(replace(CONFIG, objectives=terms, estimator=Asking(), weights_on="hard"))
    ANSWERS.clear()
    search.warm_up(*batch(0)[:2])
    for number in range(4):
        found = search(*batch(number))
        cost = sum(ANSWERS[-1]) / B
        assert found["a"] == found["b"]
        assert cost == pytest.approx((2 + min(number + 1, 3)) * found["a"], rel=1e-5)


def test_a_term_that_the_space_has_no_meaning_for_is_refused_before_the_search() -> None:
    with pytest.raises(UserError, match="objective Overlap means nothing in the module space"):
        build(SearchConfig(batch_size=B))
