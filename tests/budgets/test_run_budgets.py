"""Budgets from the command line to a verdict: steering, choosing, refusing, the exported file."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unas
from fake_clock import BLUEPRINT, SPACE, FakeClock
from tiny import tiny_recipe
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Policy
from unas.budgets import quantities
from unas.budgets.budget import Budget, read_budgets
from unas.budgets.quantities import CountedQuantity
from unas.budgets.quantities.latency import LatencyQuantity
from unas.budgets.run_budgets import MARGIN, RunBudgets
from unas.budgets.steering import steered
from unas.cli import main
from unas.common.errors import Interrupted
from unas.compute.runtime import RuntimeConfig
from unas.config import Config
from unas.config.document import config_from_json, config_to_json
from unas.costs.blocks import random_genotypes
from unas.costs.gauges import Counter
from unas.estimators.base import RunningEstimator
from unas.estimators.reinforce import Reinforce
from unas.latency import Fingerprint, Latency
from unas.latency.backends.command import CommandBackend
from unas.latency.gauges import Stopwatch, quietest
from unas.objectives import PolicyTerm, RunningTerm, Setting
from unas.objectives import latency as latency_term
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.energy import EnergyTerm
from unas.objectives.macs import MacsTerm
from unas.pipeline import Result
from unas.pipeline.deployed import start_terms
from unas.pipeline.opening import finished
from unas.runs.directory import RunDirectory
from unas.searching.choosing import ChoosingConfig, choose
from unas.searching.step import SearchStep

GENOTYPES = random_genotypes(SPACE, 40, np.random.default_rng(1))


def small(**changes: Any) -> Config:
    """Return the tiny recipe on the model that can be enumerated."""
    config = tiny_recipe()
    objectives = {"cross_entropy": config.search.objectives["cross_entropy"]}
    search = replace(config.search, objectives=objectives, estimator=Reinforce())
    return replace(config, space=SPACE, network=SPACE.network_options(), search=search, **changes)


def counter(name: str) -> Counter:
    quantity = quantities.get(name)()
    assert isinstance(quantity, CountedQuantity)
    return Counter(BLUEPRINT, quantity.count)


def figures(quantity: str) -> list[float]:
    return [counter(quantity)(genotype).value for genotype in GENOTYPES]


def of_median(quantity: str, share: float) -> str:
    return f"{quantity}<={share * float(np.median(figures(quantity))):.0f}"


@pytest.mark.parametrize("seed", range(3))
def test_counted_budgets_are_never_exceeded(seed: int, tmp_path: Path) -> None:
    budgets = (of_median("macs", 0.6), of_median("params", 0.9), "memory<=4kB")
    result = unas.search(small(budgets=budgets, seed=seed), tmp_path / "run", quiet=True)
    for text, verdict in zip(budgets, result.summary["budgets"], strict=True):
        budget = Budget.parse(text)
        assert (
            verdict["value"] == counter(budget.quantity.name)(result.genotype).value <= budget.limit
        )
        assert (verdict["passed"], verdict["limit"], verdict["budget"]) == (
            True,
            budget.limit,
            str(budget),
        )
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"expected_macs", "expected_params", "expected_memory_bytes"} <= set(last)


@pytest.mark.slow
def test_a_run_ends_in_verdicts_on_the_exported_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tiny_recipe().space
    drawn = random_genotypes(space, 9, np.random.default_rng(0))
    networks = [unas.create_network(g, 10, 1, channels=4, layers=3) for g in drawn]
    macs = int(0.6 * np.median([unas.count_macs(net, (1, 8, 8)) for net in networks]))
    words = [
        "run",
        "tiny:tiny_recipe",
        "--out",
        str(tmp_path / "run"),
        "--quiet",
        "--budget",
        f"macs<={macs}",
    ]
    assert main([*words, "--budget", "params<=1M", "--budget", "latency<=10s"]) == 0
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split(":")[0] for line in lines] == [
        f"PASS {Budget.parse(f'macs<={macs}')}",
        "PASS params<=1M",
        "PASS latency<=10s@onnxruntime",
    ]
    assert "(95 %:" in lines[2]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["budgets"][0]["value"] == summary["macs"] <= macs
    assert (
        summary["budgets"][2]["low"]
        <= summary["budgets"][2]["value"]
        <= summary["budgets"][2]["high"]
    )
    config = config_from_json(
        (tmp_path / "run" / "config.json").read_text(), trusted=["tiny:TinyDigits"]
    )
    texts = (f"macs<={macs}", "params<=1M", "latency<=10s")
    assert config.budgets == tuple(Budget.parse(text) for text in texts)
    own_terms = {"cross_entropy", "gap", "overlap"}
    assert set(config.search.objectives) == own_terms
    assert set(config.steered_search().objectives) == own_terms | {"macs", "params", "latency"}


def test_an_impossible_budget_is_refused_before_the_search(tmp_path: Path) -> None:
    least = Budget.parse("macs<=2k").show(min(figures("macs")))
    with pytest.raises(
        unas.UserError, match=f"budget macs<=2k: the least possible is {least}, of the cheapest"
    ):
        unas.search(small(budgets=("macs<=2k",)), tmp_path / "run", quiet=True)
    with pytest.raises(unas.UserError, match="budget memory<=1kB: the least possible is"):
        unas.search(small(budgets=("memory<=1kB",)), tmp_path / "run", quiet=True)
    with pytest.raises(
        unas.UserError, match=r"budget latency<=1us@onnxruntime: the least possible is .*95 %: from"
    ):
        unas.search(small(budgets=("latency<=1us",)), tmp_path / "run", quiet=True)
    assert not list(tmp_path.iterdir())


def test_training_refuses_a_genotype_that_is_over(tmp_path: Path) -> None:
    path = tmp_path / "genotype.json"
    dear = GENOTYPES[int(np.argmax(figures("macs")))]
    path.write_text(dear.to_json())
    config = small(genotype=str(path), budgets=(of_median("macs", 0.6),))
    with pytest.raises(unas.UserError, match="the network of this genotype costs"):
        unas.train(config, tmp_path / "run", quiet=True)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "macs<=6X"], "unit 'X' does not exist"),
        (["--budget", "speed<=6"], "quantity 'speed' does not exist"),
        (["--budget", "latency<=6ms@tflite"], "backend 'tflite' does not exist"),
        (["--budget", "latency<=6ms@command"], "the command is missing; give one"),
        (["--budget", "macs<=6M", "--command", "x"], "no budget is @command"),
        (["--budget", "macs<=6M", "--budget", "macs<=7M"], "there are two for macs"),
        (["--objective", "macs"], 'give a budget, such as --budget "macs<=600M"'),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "digits", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_budget_that_is_not_met_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    budgets = [{"passed": True, "line": "PASS a"}, {"passed": False, "line": "FAIL b"}]
    found = Result(Path("runs/x"), unas.load_genotype("UNAS_CIFAR10"), {"budgets": budgets})
    monkeypatch.setattr(unas.pipeline, "run", lambda *_, **__: found)
    assert main(["run", "digits", "--out", "runs/x"]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == ["PASS a", "FAIL b"]


def aims(config: unas.Config, *budgets: str) -> dict[str, Any]:
    """Return the terms of a run with budgets, with its own of before."""
    config = replace(config, budgets=read_budgets(budgets))
    search = config.steered_search()
    assert replace(config, search=search).steered_search() == search
    return dict(search.objectives)


def test_a_term_that_aims_above_a_budget_is_lowered_to_it() -> None:
    config = unas.recipe("imagenet-mobile")
    own = config.search.objectives["latency"]
    assert isinstance(own, latency_term.LatencyTerm)
    assert aims(config, "latency<=5ms@eager")["latency"] == replace(own, target_ms=0.95 * 5)
    assert aims(config, "latency<=12ms@eager")["latency"] == own  # it aims lower already
    assert aims(config, "latency<=5ms@onnxruntime")["latency"] == own  # another latency
    terms = {
        "cross_entropy": CrossEntropy(),
        "macs": MacsTerm(limit=9e6, weight=3.0),
        "energy": EnergyTerm(limit=90.0),
    }
    config = small()
    config = replace(config, search=replace(config.search, objectives=terms))
    found = aims(config, "macs<=6M", "energy<=50mJ")
    assert found == {
        **terms,
        "macs": MacsTerm(limit=6e6, weight=3.0),
        "energy": EnergyTerm(limit=0.95 * 50),
    }


def test_budgets_survive_their_json_and_a_command_needs_trust() -> None:
    command = CommandBackend("clock {model}")
    on_phone = replace(Budget.parse("latency<=3ms"), backend=command)
    config = small(budgets=(on_phone, "macs<=1M"))
    term = config.steered_search().objectives["latency"]
    assert isinstance(term, latency_term.LatencyTerm)
    assert term.backend == command
    text, trusted = config_to_json(config), ["tiny:TinyDigits", "fake_clock:small_model"]
    assert json.loads(text)["budgets"][1] == "macs<=1M"
    assert config_from_json(text, trusted=[*trusted, "command"]) == config
    for name in (
        "command",
        "Command",
        "COMMAND",
    ):  # a file may write the name as the command line would take it
        with pytest.raises(unas.UserError, match="'command' is code from outside unas"):
            config_from_json(text.replace('"command"', f'"{name}"', 1), trusted=trusted)


def as_once(config: Config) -> Config:
    """Return the configuration that older versions wrote: with the terms of its budgets in it."""
    return replace(config, search=config.steered_search())


def test_a_run_whose_file_has_the_terms_of_its_budgets_goes_on(tmp_path: Path) -> None:
    config = small(budgets=(of_median("macs", 0.6), "latency<=10s"))
    unas.search(as_once(config), tmp_path / "run", quiet=True)
    document = json.loads((tmp_path / "run" / "config.json").read_text())
    assert {"macs", "latency"} < set(document["search"]["objectives"])
    document["budgets"][1] = "latency <= 10s"  # as it was typed
    (tmp_path / "run" / "config.json").write_text(json.dumps(document))
    for same in (config, as_once(config)):
        unas.search(same, tmp_path / "run", resume=True, quiet=True)
    tighter = replace(config, budgets=read_budgets([of_median("macs", 0.5), "latency<=10s"]))
    with pytest.raises(unas.UserError, match="is not this run's configuration"):
        unas.search(tighter, tmp_path / "run", resume=True, quiet=True)


def test_a_file_of_once_has_the_command_in_the_term() -> None:
    command = CommandBackend("clock {model}")
    budget = replace(Budget.parse("latency<=3ms"), backend=command)
    document = json.loads(config_to_json(as_once(small(budgets=(budget,)))))
    document["budgets"] = ["latency<=3ms@command"]
    trusted = ["tiny:TinyDigits", "fake_clock:small_model", "command"]
    config = config_from_json(json.dumps(document), trusted=trusted)
    assert config.budgets == (budget,)
    document["search"]["objectives"].pop("latency")
    with pytest.raises(unas.UserError, match="backend command: the command is missing"):
        config_from_json(json.dumps(document), trusted=trusted)


def test_the_options_of_a_budgets_term_are_flags(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "tiny:tiny_recipe", "--dry-run", "--budget", "macs<=1G"]
    assert main([*words, "--search.objectives.macs.weight", "3"]) == 0
    printed = capsys.readouterr().out
    document, _ = json.JSONDecoder().raw_decode(printed)
    assert document["search"]["objectives"]["macs"] == {
        "name": "macs",
        "weight": 3.0,
        "warm_up_steps": 0,
        "limit": 1e9,
    }


def test_an_export_judges_on_the_device_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budgets = ["--budget", "latency<=10s@eager", "--training.epochs", "1"]
    run = tmp_path / "run"
    assert main(["run", "tiny:tiny_recipe", "--out", str(run), "--quiet", *budgets]) == 0
    work = finished(run, None, None, ["tiny:TinyDigits"])
    assert work.costs.budgets.device == "cpu"
    document = json.loads((run / "config.json").read_text())
    document["runtime"]["device"] = "cuda:99"
    (run / "config.json").write_text(json.dumps(document))
    capsys.readouterr()
    assert main(["export", str(run), "--trust", "tiny:TinyDigits"]) == 0
    assert "device 'cuda:99'" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_an_export_judges_on_the_gpu_of_the_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["run", "tiny:tiny_recipe", "--out", str(run), "--quiet", "--device", "cuda"]
    assert main([*words, "--budget", "latency<=10s@eager"]) == 0
    assert main(["export", str(run), "--trust", "tiny:TinyDigits"]) == 0
    work = finished(run, None, None, ["tiny:TinyDigits"])
    assert work.costs.budgets.device == "cuda:0"
    summary = json.loads((run / "summary.json").read_text())
    assert [item["device"] for item in summary["latency"]] == ["cpu", "cuda:0"]
    assert summary["budgets"][0]["passed"]


def a_search(certain: Genotype | None = None) -> SearchStep:
    config = small()
    search = SearchStep(SPACE, config.search, 10, 1, RuntimeConfig(device="cpu").build(), seed=2)
    if certain is not None:
        with torch.no_grad():
            for name, logits in search.policy.logits.items():
                logits[SPACE.choices[name].index(certain.choices[name])] = 50
    return search


def a_budget(limit_ms: float, say: Callable[[str], None] = print) -> RunBudgets:
    budget = Budget(LatencyQuantity(), limit_ms, "ms", FakeClock())
    terms = start_terms(steered({}, [budget]), Setting(BLUEPRINT, Reinforce()))
    terms["latency"].prepare()
    return RunBudgets([budget], BLUEPRINT, terms=terms, say=say)


BATCHES = [(torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8))]


def clocked(genotype: Genotype) -> float:
    return Stopwatch(BLUEPRINT, FakeClock())(genotype).value


def test_candidates_that_break_a_measured_budget_are_dropped() -> None:
    search, config = a_search(), ChoosingConfig(candidates=18)
    free, _ = choose(search, config, BATCHES)
    limit = 0.99 * clocked(free.genotype)  # so it is the budget that decides
    best, compared = choose(search, config, BATCHES, a_budget(limit))
    within = [choice for choice in compared if clocked(choice.genotype) <= (1 - MARGIN) * limit]
    assert best == min(within, key=lambda choice: choice.validation_loss)
    assert best != free


def test_a_policy_that_is_sure_of_too_much_gives_something_nearer_to_the_cheapest() -> None:
    times = [clocked(genotype) for genotype in GENOTYPES]
    dear = GENOTYPES[int(np.argmax(times))]
    best, _ = choose(a_search(dear), ChoosingConfig(), BATCHES, a_budget(0.8 * max(times)))
    assert clocked(best.genotype) <= 0.8 * max(times)
    assert best.genotype != dear


def test_an_unreachable_budget_gives_the_cheapest_and_says_so() -> None:
    lines: list[str] = []
    budgets = a_budget(0.5 * min(clocked(genotype) for genotype in GENOTYPES), lines.append)
    best, _ = choose(a_search(), ChoosingConfig(), BATCHES, budgets)
    assert clocked(best.genotype) == min(clocked(genotype) for genotype in GENOTYPES)
    assert "no architecture was found that meets every budget" in lines[0]
    assert [verdict.passed for verdict in budgets.verdicts(best.genotype)] == [False]


def test_a_noisy_measurement_is_repeated_and_the_least_noisy_counts() -> None:
    fingerprint = Fingerprint("cpu", 1, 1, None, "cpu", "eager", "1", "1", 1, 1, 8, 8)
    noisy = [
        Latency(1.0, 0.5, 1.5 + i, 50, "cpu", "eager", 0.9, 1.1, fingerprint) for i in (2, 1, 3)
    ]
    calm = Latency(2.0, 1.95, 2.05, 50, "cpu", "eager", 1.9, 2.1, fingerprint)
    assert quietest(iter(noisy).__next__) == noisy[1]
    assert quietest(iter([noisy[0], calm]).__next__) == calm


def test_an_architecture_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Genotype] = []
    of = Stopwatch.__call__
    monkeypatch.setattr(Stopwatch, "__call__", lambda self, g: read.append(g) or of(self, g))
    budgets, genotype = a_budget(1e6), Genotype("module", Policy(SPACE.choices).mode())
    assert budgets.within(genotype)
    budgets.require_met(genotype)
    assert budgets.verdicts(genotype)[0].reading.value == clocked(genotype)
    assert read == [genotype, genotype]  # the second time by this test


def test_a_budget_is_read_once_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    parse = Budget.parse.__func__  # type: ignore[attr-defined]

    def counting(cls: type[Budget], text: str, *known: Any) -> Budget:
        read.append(text)
        budget: Budget = parse(cls, text, *known)
        return budget

    monkeypatch.setattr(Budget, "parse", classmethod(counting))
    words = ["run", "tiny:tiny_recipe", "--out", str(tmp_path / "run"), "--quiet"]
    assert main([*words, "--budget", "macs<=1G", "--budget", "latency<=10s"]) == 0
    assert read == ["macs<=1G", "latency<=10s"]


class OwnMacs(PolicyTerm):
    """A term about multiply-adds that has no table, such as a penalty of one's own."""

    quantity = "macs"

    def start(self, setting: Setting) -> RunningTerm:
        return OwnPenalty(setting.estimator.start(Layout(SPACE.choices, "module")))


class OwnPenalty(RunningTerm):
    def __init__(self, estimator: RunningEstimator) -> None:
        self.estimator = estimator

    def prepare(self) -> None:
        pass

    def loss(
        self,
        policy: Policy,
        step: int,  # noqa: ARG002
        generator: torch.Generator,  # noqa: ARG002
    ) -> torch.Tensor:
        return 0 * policy.entropy()

    def figures(self, policy: Policy) -> dict[str, float]:  # noqa: ARG002
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def test_a_term_of_ones_own_about_a_quantity_stands_beside_the_budgets_term(
    tmp_path: Path,
) -> None:
    config = small()
    objectives = {**config.search.objectives, "macs": OwnMacs()}
    config = replace(
        config,
        search=replace(config.search, objectives=objectives),
        budgets=read_budgets([of_median("macs", 0.6)]),
    )
    result = unas.search(config, tmp_path / "run", quiet=True)
    assert result.summary["budgets"][0]["passed"]
    assert "macs_budget" in config.steered_search().objectives


def test_a_search_with_a_clock_is_stopped_after_every_step_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small()
    term = latency_term.LatencyTerm(target_ms=5.0, backend=FakeClock(), mode="measured")
    objectives = {**config.search.objectives, "latency": term}
    config = replace(config, search=replace(config.search, objectives=objectives))
    whole = unas.search(config, tmp_path / "whole", quiet=True)
    log = RunDirectory.log

    def stopping_log(self: RunDirectory, *arguments: Any) -> None:
        log(self, *arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunDirectory, "log", stopping_log)
    stops = 0
    while True:
        try:
            resumed = unas.search(config, tmp_path / "run", resume=True, quiet=True)
            break
        except Interrupted:
            stops += 1
    assert stops >= 9
    for name in ("metrics.jsonl", "policy.json", "genotype.json"):
        assert (resumed.directory / name).read_bytes() == (whole.directory / name).read_bytes(), (
            name
        )
