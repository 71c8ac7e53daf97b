from __future__ import annotations

import pytest
import torch

from unas.common.errors import UserError
from unas.estimators import Estimator, RunningEstimator, get
from unas.estimators._moving_average import MovingAverage
from unas.estimators.reinforce import Reinforce
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.lab.problems import PROBLEMS

VALUES = [4.0, -1.0, 2.5, 7.0, 0.25]


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_moving_average_equals_its_closed_form(decay: float) -> None:
    average = MovingAverage()
    assert average.value == 0
    for t in range(1, len(VALUES) + 1):
        average = average.after(VALUES[t - 1], decay)
        weights = [decay ** (t - 1 - i) for i in range(t)]
        expected = sum(w * x for w, x in zip(weights, VALUES, strict=False)) / sum(weights)
        assert average.value == pytest.approx(expected)


def test_baseline_is_the_average_of_earlier_calls_only() -> None:
    problem = PROBLEMS[0]
    policy = problem.policy()
    estimator = Reinforce().start(policy.layout)
    generator = torch.Generator()

    def call(offset: float, seed: int) -> torch.Tensor:
        policy.zero_grad()
        estimator(
            policy,
            lambda sample: problem.cost(sample) + offset,
            generator=generator.manual_seed(seed),
        ).backward()
        return policy.logits["choice0"].grad.clone()

    # One architecture: the gradient is (c − b)·(z − p), so b can be read off it.
    p = policy.log_probabilities()[0][0].exp().detach()
    costs: list[float] = []
    baselines: list[float] = []
    for t, offset in enumerate(VALUES):
        found = call(offset, seed=t)
        picked = int(found[1] * (offset + 0.25 - _average(costs)) > 0)
        costs.append(offset + (picked - 0.45) ** 2)
        baselines.append(costs[-1] - float(found[1]) / (picked - float(p[1])))
    expected = [_average(costs[:t]) for t in range(len(costs))]
    assert baselines == pytest.approx(expected, abs=1e-4)


def _average(costs: list[float]) -> float:
    weights = [0.9 ** (len(costs) - i) for i in range(len(costs))]
    return sum(w * c for w, c in zip(weights, costs, strict=True)) / sum(weights) if costs else 0.0


def test_continues_from_its_state() -> None:
    problem = PROBLEMS[1]
    layout = problem.policy().layout

    def loss(estimator: Estimator | RunningEstimator, seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        return estimator(problem.policy(), problem.cost, generator=generator).item()

    whole, resumed = Reinforce().start(layout), Reinforce().start(layout)
    for seed in range(3):
        loss(whole, seed)
    resumed.load_state_dict(whole.state_dict())
    for seed in range(3, 6):
        last = loss(whole, seed)
        assert loss(resumed, seed) == last
    assert loss(Reinforce(), seed=5) != last


def test_an_estimator_remembers_nothing_itself() -> None:
    estimator, problem = Reinforce(decay=0.5), PROBLEMS[0]
    running = estimator.start(problem.policy().layout)
    running(problem.policy(), problem.cost)
    assert running.state != MovingAverage()
    assert estimator.start(problem.policy().layout).state == MovingAverage()
    assert vars(estimator) == {"decay": 0.5}


def test_leave_one_out_equals_its_definition() -> None:
    problem, num_samples = PROBLEMS[1], 5
    policy = problem.policy(torch.float64)
    seen = []
    loss = get("reinforce_loo")()(
        policy,
        lambda s: seen.append(s) or problem.cost(s),
        num_samples=num_samples,
        generator=torch.Generator(),
    )
    (sample,) = seen
    costs, log_p = problem.cost(sample), policy.log_prob(sample).detach()
    expected = sum(
        (costs[g] - sum(costs[h] for h in range(num_samples) if h != g) / (num_samples - 1))
        * log_p[g]
        for g in range(num_samples)
    )
    assert loss.item() == pytest.approx(float(expected) / num_samples)


def test_leave_one_out_needs_others() -> None:
    with pytest.raises(UserError, match="set draws to 2 or more"):
        get("reinforce_loo")()(PROBLEMS[0].policy(), PROBLEMS[0].cost, num_samples=1)
    with pytest.raises(UserError, match="draws is 0"):
        ReinforceLeaveOneOut(draws=0)


def test_draws_on_the_same_images_are_compared_among_themselves() -> None:
    problem, num_samples, draws = PROBLEMS[1], 3, 4
    policy = problem.policy(torch.float64)
    hardness = torch.tensor([5.0, -3.0, 40.0]).repeat(draws)  # of the images; it must cancel
    seen = []
    loss = ReinforceLeaveOneOut(draws=draws)(
        policy,
        lambda s: seen.append(s) or problem.cost(s) + hardness,
        num_samples=num_samples,
        generator=torch.Generator(),
    )
    (sample,) = seen
    costs, log_p = problem.cost(sample), policy.log_prob(sample).detach()
    expected = 0.0
    for r in range(draws):
        for g in range(num_samples):
            others = [costs[q * num_samples + g] for q in range(draws) if q != r]
            expected += float(
                (costs[r * num_samples + g] - sum(others) / len(others))
                * log_p[r * num_samples + g]
            )
    assert loss.item() == pytest.approx(expected / (num_samples * draws))


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_refuses_an_impossible_decay(decay: float) -> None:
    with pytest.raises(UserError, match="decay is"):
        Reinforce(decay=decay)
