"""Costs of the deployed network as terms of the search, against enumeration."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from fake_clock import BLUEPRINT, SPACE, FakeClock
from unas import estimators, objectives
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Policy, Sample
from unas.common.errors import UserError
from unas.compute.runtime import RuntimeConfig
from unas.costs.gauges import Counter
from unas.costs.reading import Reading
from unas.estimators import Estimator
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce import Reinforce
from unas.graphs.memory import peak_memory
from unas.graphs.size import count_macs, count_parameters
from unas.latency.gauges import EnergyMeter, Stopwatch
from unas.objectives import PolicyTerm, RunningCost, Setting
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.energy import EnergyTerm
from unas.objectives.latency import LatencyTerm, RunningLatency
from unas.objectives.macs import MacsTerm
from unas.runs.checkpoints import require_plain
from unas.searching.config import AdamConfig, SearchConfig
from unas.searching.step import SearchStep
from unas.spaces import Blueprint, SearchSpace
from unas.spaces.darts import DartsNetworkOptions, DartsSpace
from unas.spaces.proxylessnas import ProxylessSpace

ALL = [
    Genotype("module", dict(zip(SPACE.choices, row, strict=True)))
    for row in itertools.product(*SPACE.choices.values())
]
COUNTS = {"macs": count_macs, "params": lambda net, _: count_parameters(net), "memory": peak_memory}


def term(quantity: str, **options: Any) -> Any:
    """Return the term of a quantity with these options."""
    return cast("Any", objectives.get(quantity))(**options)


def policy() -> Policy:
    found, generator = Policy(SPACE.choices), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for logits in found.logits.values():
            logits.copy_(torch.randn(logits.shape, generator=generator))
    return found


def probabilities(policy: Policy) -> Tensor:
    """Return p of every architecture, from the plain numbers of each choice."""
    groups, where = policy.log_probabilities(), policy.layout.position
    log_p = {
        n: dict(zip(o, groups[where[n][0]][where[n][1]], strict=True))
        for n, o in policy.choices.items()
    }
    return torch.stack(
        [torch.stack([log_p[n][o] for n, o in g.choices.items()]).sum() for g in ALL]
    ).exp()


REBAR = Rebar()


def start(
    term: PolicyTerm, estimator: Estimator = REBAR, blueprint: Blueprint = BLUEPRINT
) -> RunningCost:
    running = term.start(Setting(blueprint, estimator))
    assert isinstance(running, RunningCost)
    running.prepare()
    return running


def gradient(loss: Tensor, of: Policy) -> Tensor:
    found = torch.autograd.grad(
        loss, list(of.parameters()), allow_unused=True, materialize_grads=True
    )
    return torch.cat([each.double() for each in found])


@pytest.mark.parametrize("quantity", ["macs", "params"])
def test_expectation_is_that_of_enumeration(quantity: str) -> None:
    p = probabilities(policy()).detach()
    costs = torch.tensor(
        [COUNTS[quantity](BLUEPRINT.network(g), (1, 8, 8)) for g in ALL], dtype=torch.float64
    )
    running = start(term(quantity, limit=1.0))
    assert running.is_exact
    mean, variance = (moment.detach() for moment in running.known().moments(policy()))
    assert float(mean) == pytest.approx(float(p @ costs), rel=1e-12)
    assert float(variance) == pytest.approx(float(p @ (costs - p @ costs) ** 2), rel=1e-9)
    assert [running.known().of(g) for g in ALL] == costs.tolist()
    assert (
        running.known()(Sample.from_genotypes(Layout(SPACE.choices, "module"), ALL)).tolist()
        == costs.tolist()
    )
    assert running.known().of(running.known().least()) == costs.min()


@pytest.mark.parametrize("quantity", ["macs", "params"])
def test_loss_and_its_gradient_are_exact(quantity: str) -> None:
    costs = torch.tensor(
        [COUNTS[quantity](BLUEPRINT.network(g), (1, 8, 8)) for g in ALL], dtype=torch.float64
    )
    limit, drawn = float(costs.median()), policy()
    p = probabilities(drawn)
    mean = p @ costs
    expected = 3 * ((mean + ((p @ costs**2) - mean**2).sqrt()) / limit - 1).clamp_min(0)
    loss = start(term(quantity, limit=limit, weight=3.0)).loss(drawn, 0, torch.Generator())
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6) != 0
    assert gradient(loss, drawn).tolist() == pytest.approx(
        gradient(expected, drawn).tolist(), rel=1e-4, abs=1e-9
    )
    far = start(term(quantity, limit=10 * limit)).loss(drawn, 0, torch.Generator())
    assert float(far.detach()) == 0 == float(gradient(far, drawn).abs().sum())


SPACES = [
    (
        DartsSpace(channels=2, layers=3, operations=2),
        DartsNetworkOptions(channels=4, layers=3),
        (1, 8, 8),
    ),
    pytest.param(
        ProxylessSpace(), ProxylessSpace.network_options(), (3, 32, 32), marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize(("space", "options", "shape"), SPACES)
def test_counts_of_real_spaces_are_sums(
    space: SearchSpace, options: Any, shape: tuple[int, int, int]
) -> None:
    blueprint = Blueprint(space, options, 10, shape)
    running = start(MacsTerm(limit=1.0), blueprint=blueprint)
    assert running.is_exact
    last = Genotype(
        space.registry_name, {name: options[-1] for name, options in space.choices.items()}
    )
    assert running.known().of(last) == count_macs(blueprint.network(last), shape)


@pytest.mark.parametrize(
    "make", [Reinforce, Rebar, estimators.get("relax"), estimators.get("reinforce_loo")]
)
@pytest.mark.parametrize("mode", ["measured", "predicted"])
def test_latency_gradient_is_unbiased(make: Callable[[], Estimator], mode: Any) -> None:
    drawn, clock = policy(), Stopwatch(BLUEPRINT, FakeClock())
    estimator = replace(make(), draws=2) if "draws" in make.__dataclass_fields__ else make()  # type: ignore[attr-defined, call-arg]
    running = start(
        LatencyTerm(target_ms=6.0, weight=2.0, backend=FakeClock(), mode=mode), estimator
    )
    times = [clock(g).value if mode == "measured" else running.known().of(g) for g in ALL]
    assert min(times) < 6 < max(times)
    expected = gradient(
        probabilities(drawn) @ (2 * (torch.tensor(times).double() - 6).clamp_min(0)), drawn
    )
    generator = torch.Generator().manual_seed(1)
    found = torch.stack([gradient(running.loss(drawn, 0, generator), drawn) for _ in range(600)])
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - expected).abs() <= 4 * error + 1e-6).all()
    assert expected.abs().max() > 10 * error.min()


def test_memory_is_no_sum_and_is_counted() -> None:
    running = start(term("memory", limit=1.0))
    assert not running.is_exact
    sample = Sample.from_genotypes(Layout(SPACE.choices, "module"), ALL[:5])
    expected = [peak_memory(BLUEPRINT.network(g), (1, 8, 8)) for g in ALL[:5]]
    assert (
        running.read(sample).tolist()
        == expected
        == [Counter(BLUEPRINT, peak_memory)(g).value for g in ALL[:5]]
    )


def test_weight_grows_over_the_first_steps() -> None:
    running = start(MacsTerm(limit=1.0, weight=1.0, warm_up_steps=4))
    losses = [float(running.loss(policy(), step, torch.Generator()).detach()) for step in range(5)]
    assert [loss / losses[-1] for loss in losses] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_an_architecture_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    running = start(LatencyTerm(backend=FakeClock(), mode="measured"), Reinforce())
    counted: list[Genotype] = []
    of = Stopwatch.__call__
    monkeypatch.setattr(Stopwatch, "__call__", lambda self, g: counted.append(g) or of(self, g))
    for step in range(100):
        running.loss(policy(), step, torch.Generator().manual_seed(step))
    assert 5 < len(set(counted)) == len(counted) <= len(ALL)


def search(term: LatencyTerm, estimator: Estimator) -> SearchStep:
    config = SearchConfig(
        batch_size=8,
        estimator=estimator,
        objectives={"cross_entropy": CrossEntropy(), "latency": term},
        weights=AdamConfig(1e-2, 1e-3, 0.0),
        policy=AdamConfig(1e-1, 1e-2, 0.0),
    )
    running = {"latency": term.start(Setting(BLUEPRINT, estimator))}
    return SearchStep(
        SPACE, config, 10, 1, RuntimeConfig(device="cpu").build(), policy_terms=running
    )


@pytest.mark.parametrize("estimator", [Reinforce(), Rebar()], ids=["reinforce", "rebar"])
def test_goes_on_from_a_checkpoint_as_if_never_stopped(
    estimator: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, term = (
        torch.Generator().manual_seed(0),
        LatencyTerm(target_ms=5.0, backend=FakeClock(), mode="measured"),
    )
    batches = [
        tuple(
            t
            for _ in range(2)
            for t in (
                torch.randn(8, 1, 8, 8, generator=generator),
                torch.randint(10, (8,), generator=generator),
            )
        )
        for _ in range(5)
    ]
    whole = search(term, estimator)
    for batch in batches[:2]:
        whole(*batch)
    require_plain(whole.state_dict(), "state")
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    resumed = search(term, estimator)
    monkeypatch.setattr(RunningLatency, "make_table", lambda _: pytest.fail("it was fitted again"))
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for batch in batches[2:]:
        assert resumed(*batch) == whole(*batch)
    states = [step.state_dict()["policy_terms"]["latency"] for step in (whole, resumed)]
    assert states[0]["measured"] == states[1]["measured"] != {}
    assert all(
        p.equal(q)
        for p, q in zip(resumed.policy.parameters(), whole.policy.parameters(), strict=True)
    )


def test_what_was_measured_elsewhere_is_forgotten() -> None:
    running = start(LatencyTerm(backend=FakeClock(), mode="measured"), Reinforce())
    running.loss(policy(), 0, torch.Generator().manual_seed(0))
    state, lines = running.state_dict(), list[str]()
    state["fingerprint"]["processor"] = "another one"
    term = LatencyTerm(backend=FakeClock(), mode="measured")
    other = term.start(Setting(BLUEPRINT, Reinforce(), say=lines.append))
    other.load_state_dict(state)
    assert state["measured"]
    assert other.measured == {}
    assert other.table is None
    assert "another one" in lines[0]


def test_energy_that_was_measured_elsewhere_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def pretend(_: EnergyMeter, genotype: Genotype) -> Reading:
        millijoules = float(count_parameters(BLUEPRINT.network(genotype)))
        return Reading(millijoules, millijoules, millijoules)

    monkeypatch.setattr(EnergyMeter, "__call__", pretend)
    state, lines = start(EnergyTerm(limit=1.0), Reinforce()).state_dict(), list[str]()
    require_plain(state, "state")
    setting = Setting(BLUEPRINT, Reinforce(), say=lines.append)
    here = EnergyTerm(limit=1.0).start(setting)
    here.load_state_dict(state)
    assert here.table is not None
    assert lines == []
    state["fingerprint"]["processor"] = "another one"
    elsewhere = EnergyTerm(limit=1.0).start(setting)
    elsewhere.load_state_dict(state)
    assert elsewhere.table is None
    assert "energy: measured again, since processor is another one there" in lines[0]


def test_refusals() -> None:
    with pytest.raises(UserError, match="mode is measured, but a relaxed architecture can't be"):
        LatencyTerm(mode="measured").start(Setting(BLUEPRINT, estimators.get("gumbel_softmax")()))
    with pytest.raises(UserError, match="mode is 'guessed'"):
        LatencyTerm(mode="guessed")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="limit is 0"):
        MacsTerm(limit=0)
    config = SearchConfig(objectives={"cross_entropy": CrossEntropy(), "macs": MacsTerm(limit=1.0)})
    with pytest.raises(UserError, match="objective macs is about the deployed network"):
        SearchStep(SPACE, config, 10, 1, RuntimeConfig(device="cpu").build())
    with pytest.raises(UserError, match="has no term about images"):
        SearchConfig(objectives={"macs": MacsTerm(limit=1.0)})
