"""The page: whole, harmless, accessible, and with the figures that the run's files have."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from pathlib import Path

import pytest

import unas
from made_run import (
    GENOTYPE,
    STAGES,
    TRAINING_STEPS,
    VERDICTS,
    Element,
    cells,
    checked,
    drawn,
    figure,
    image,
    made_run,
    of_class,
    policy,
    summary,
    words,
    write_lines,
)
from unas.architecture.published import load_genotype
from unas.drawing import cell_lines
from unas.report import write_report


def tiles(root: Element) -> dict[str, str]:
    return {words(each[0]): words(each[1]) for each in next(of_class(root, "tiles"))}


def section(root: Element, title: str) -> Element:
    (found,) = [each for each in root.iter("section") if each[0].text == title]
    return found


def headings(root: Element) -> list[int]:
    return [int(each.tag[1]) for each in root.iter() if re.fullmatch("h[1-6]", each.tag)]


def test_a_budget_with_a_way_to_measure_it_is_shown_as_its_text(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", "search")
    config = json.loads((run / "config.json").read_text())
    backend = {"name": "command", "command": "clock {model}", "timeout_seconds": 60.0}
    config["budgets"][0] = {"budget": "latency<=3ms@command", "backend": backend}
    (run / "config.json").write_text(json.dumps(config))
    root = drawn(run)
    asked = "latency ≤ 3ms@command and params ≤ 150k"
    assert asked in words(next(of_class(root, "asked")))
    assert "latency ≤ 3ms@command, params ≤ 150k" in words(next(of_class(root, "verdict")))


def test_a_finished_run_has_the_figures_of_its_summary(finished: unas.Result) -> None:
    root = checked((finished.directory / "report.html").read_text(encoding="utf-8"))
    found = json.loads((finished.directory / "summary.json").read_text())
    shown = tiles(root)
    assert shown["Test accuracy"].startswith(f"{100 * found['test_accuracy']:.2f} %")
    assert shown["Parameters"].startswith(f"{found['parameters']:,}")
    assert f"{found['macs']:,} for one image" in shown["Multiply-adds"]
    latency = found["latency"][0]
    expected = (
        f"{latency['median_ms']:.4g} ms p10 to p90 {latency['p10']:.4g} to {latency['p90']:.4g} ms"
    )
    assert shown["Latency"].replace("msp10", "ms p10").startswith(expected)
    for name, line in cell_lines(load_genotype(finished.directory)):
        assert [f"{name} cell", line.replace("  ", "")] in cells(root, "The same in words")
    assert words(next(of_class(root, "asked"))).startswith(
        "Search a network of the darts space for tiny:TinyDigits"
    )


def test_the_questions_are_answered_in_order(tmp_path: Path) -> None:
    root = drawn(made_run(tmp_path / "run"))
    titles = [each.text for each in root.iter("h2")]
    assert titles == ["Verdict", "Architecture", "Search", "Training", "What was run"]
    assert words(root.findall(".//h1")[0]) == "digits: run"


def test_budgets_have_value_interval_limit_and_verdict(tmp_path: Path) -> None:
    root = drawn(made_run(tmp_path / "run"))
    assert (
        words(next(of_class(root, "verdict"))) == "✗ FAIL: 1 of 2 budgets not met (params ≤ 150k)"
    )
    first, second = cells(root, "Budgets")
    assert first[:5] == [
        "latency ≤ 0.2ms@onnxruntime",
        "✓ PASS",
        "0.105 ms",
        "0.1 ms to 0.11 ms",
        "≤ 0.2 ms",
    ]
    assert second[:5] == ["params ≤ 150k", "✗ FAIL", "166,500", "counted: exact", "≤ 150,000"]
    root = drawn(made_run(tmp_path / "met", budgets=VERDICTS[:1]))
    assert words(next(of_class(root, "verdict"))) == "✓ PASS: the budget is met"


def test_what_was_run_can_be_repeated(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", seed=7)
    root = drawn(run)
    (command,) = root.iter("code")
    assert command.text == "unas run digits"
    machine = dict(cells(root, "Command"))
    assert machine["versions"] == "python 3.11.7, torch 2.15.0"
    assert machine["machine"] == "AMD EPYC, 2 cores, 8.0 GiB memory"
    assert (machine["git revision"], machine["resumed"]) == ("0123abcd", "never")
    fields = dict(cells(root, "config.json"))
    assert (fields["seed"], fields["search.objectives.gap.weight"]) == ("7", "0.5")
    assert dict(cells(root, "How the training ended"))["updates skipped, not finite"] == "3"


def test_a_run_from_python_says_so(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(
        json.dumps({**manifest, "command": ["mine.py"], "resumed": [manifest] * 30})
    )
    root = drawn(run)
    assert not list(root.iter("code"))
    assert "started from Python (mine.py)" in words(section(root, "What was run"))
    assert dict(cells(root, "Command"))["resumed"].startswith("30 × (2026-11-24")


@pytest.mark.parametrize(
    ("stage", "says"),
    {
        "started": "started, nothing logged",
        "search": "in the search, at step 23, 4 of 12 epochs done",
        "found": "architecture found, not trained",
        "training": f"in training, at step {TRAINING_STEPS}",
        "trained": "trained, not tested",
        "tested": "trained and tested, not exported",
    }.items(),
)
def test_an_unfinished_run_says_how_far_it_is(stage: str, says: str, tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", stage)
    root = drawn(run)
    verdict = words(section(root, "Verdict"))
    assert f"The run is not finished ({says}); unas run --resume --out {run} goes on." in verdict
    lines = {words(each) for each in of_class(root, "missing")}
    is_missing = {
        "None is chosen yet.": ("started", "search"),
        "No step of the search is logged yet.": ("started",),
        "The network is not trained yet: no step is logged.": ("started", "found"),
        "The network is not trained yet: the search is not finished.": ("search",),
    }
    assert {line for line, stages in is_missing.items() if stage in stages} <= lines
    assert not [
        line for line, stages in is_missing.items() if stage not in stages and line in lines
    ]
    expected = (
        "No verdict yet on"
        if stage in {"started", "search"}
        else "as the untrained network was measured"
    )
    assert expected in words(next(of_class(root, "verdict")))


@pytest.mark.parametrize("stage", STAGES)
def test_every_drawing_is_named_and_has_something_in_it(stage: str, tmp_path: Path) -> None:
    root = drawn(made_run(tmp_path / "run", stage))
    assert root.get("lang") == "en"
    for each in root.iter("svg"):
        assert each[0].tag == "title"
        assert each[0].text
        assert [shape for shape in each.iter() if shape.tag in {"path", "circle"}]
    assert all(each.get("alt") for each in root.iter("img"))
    for table in root.iter("table"):
        assert table[0].tag == "caption"
        assert all(cell.get("scope") in {"row", "col"} for cell in table.iter("th"))
    levels = headings(root)
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_only_style_is_the_one_that_the_policy_names(tmp_path: Path) -> None:
    root = drawn(made_run(tmp_path / "run"))
    (style,) = root.iter("style")
    (policy_of_page,) = [m.get("content", "") for m in root.iter("meta") if m.get("http-equiv")]
    digest = base64.b64encode(hashlib.sha256((style.text or "").encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy_of_page
    assert policy_of_page.startswith("default-src 'none';")
    assert "url(" not in (style.text or "")
    assert "@import" not in (style.text or "")


def test_the_drawing_is_that_of_the_genotype(tmp_path: Path) -> None:
    (source,) = drawn(made_run(tmp_path / "run")).iter("img")
    document = image(source)
    edges = [
        each
        for each in document.iter("{http://www.w3.org/2000/svg}path")
        if each.get("class") == "edge"
    ]
    assert len(edges) == sum("/op" in name for name in GENOTYPE.choices)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    assert write_report([run]) == run / "report.html"
    first = (run / "report.html").read_bytes()
    write_report([run])
    assert (run / "report.html").read_bytes() == first


def test_a_given_architecture_was_not_searched(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "genotype": "UNAS_CIFAR10"}))
    write_lines(run, [{"phase": "training", "step": 1, "loss": 2.0}])
    (run / "policy.json").unlink()
    root = drawn(run)
    assert "the architecture was given (UNAS_CIFAR10)" in words(section(root, "Search"))
    assert words(next(of_class(root, "asked"))).startswith(
        "Train the given architecture UNAS_CIFAR10 for digits"
    )


def test_alarms_are_told_also_before_the_search_has_ended(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", "search")
    entries = policy(4)
    entries[2]["alarms"] = {"sure": "the policy is sure too early"}
    (run / "policy.json").write_text(json.dumps(entries))
    assert (
        words(next(of_class(drawn(run), "alarms"))) == "sure: epoch 3: the policy is sure too early"
    )
    run = made_run(tmp_path / "found", "found", alarms={"unmoved": "epoch 9: nothing learned"})
    assert words(next(of_class(drawn(run), "alarms"))) == "unmoved: epoch 9: nothing learned"


def test_several_runs_are_compared(tmp_path: Path) -> None:
    runs = [
        made_run(tmp_path / f"run{seed}", seed=seed, test_accuracy=0.9 + seed / 100)
        for seed in range(3)
    ]
    runs.append(made_run(tmp_path / "later", "search", seed=3))
    root = drawn(*runs)
    rows = cells(root, "The runs")
    for n in range(3):
        assert rows[n][:4] == [f"{n + 1} · run{n}", "digits", f"{n}", f"{90 + n}.00 %"]
    assert rows[0][4:7] == ["117,914", "1.258 M", "0.1053 ms 0.1039 to 0.1242"]
    assert rows[0][7] == "✓ PASS latency ≤ 0.2ms@onnxruntime✗ FAIL params ≤ 150k"
    assert rows[3][3].startswith("in the search, at step 23")
    details = [each for each in root.iter("details") if each.get("class") == "run"]
    assert [each.get("id") for each in details] == ["run-1", "run-2", "run-3", "run-4"]
    assert [each.get("href") for each in root.iter("a")] == ["#run-1", "#run-2", "#run-3", "#run-4"]
    levels = headings(root)
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_latencies_of_different_machines_are_not_plotted_together(tmp_path: Path) -> None:
    other = summary()["latency"][0]
    other = {**other, "fingerprint": {**other["fingerprint"], "threads": 2}}
    runs = [
        made_run(tmp_path / "a", budgets=[]),
        made_run(tmp_path / "b", budgets=[], latency=[other]),
    ]
    titles = [words(each) for each in drawn(*runs).iter("figcaption")]
    assert "Accuracy against size" in titles
    assert "Accuracy against latency" not in titles


def test_limits_are_drawn_where_all_runs_share_them(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / "a"), made_run(tmp_path / "b", budgets=VERDICTS[:1])]
    root = drawn(*runs)
    assert (
        len(list(of_class(figure(root, "Accuracy against latency"), "limit"))) == 2
    )  # legend and line
    assert not list(of_class(figure(root, "Accuracy against size"), "limit"))
