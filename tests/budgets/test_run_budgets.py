"""Budgets from the command line to a verdict: searching, refusing, the exported file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unas
from small_run import GENOTYPES, counter, figures, of_median, small
from tiny import tiny_recipe
from unas.budgets.budget import Budget
from unas.cli import main
from unas.config.document import config_from_json
from unas.costs.blocks import random_genotypes
from unas.pipeline import Result, opening
from unas.pipeline.preflight import preflight


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
    with pytest.raises(unas.UserError, match=f"budget macs<=2k: the least possible is {least}"):
        preflight(small(budgets=("macs<=2k",)))
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


def test_the_options_of_a_budgets_term_are_flags(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unas.pipeline.preflight.preflight", lambda *_: {})
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
    finished: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished.directory, tmp_path / "run"))
    document = json.loads((run / "config.json").read_text())
    document["budgets"] = ["latency<=10s@eager"]
    (run / "config.json").write_text(json.dumps(document))
    work = opening.finished(run, None, None, ["tiny:TinyDigits"])
    assert work.costs.budgets.device == "cpu"
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
    work = opening.finished(run, None, None, ["tiny:TinyDigits"])
    assert work.costs.budgets.device == "cuda:0"
    summary = json.loads((run / "summary.json").read_text())
    assert [item["device"] for item in summary["latency"]] == ["cpu", "cuda:0"]
    assert summary["budgets"][0]["passed"]


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
