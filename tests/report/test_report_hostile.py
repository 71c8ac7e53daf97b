"""Reports of run directories from somebody who means ill: everything is escaped, and bad files are
one clear line.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostile import Reader, finding, mutated
from made_run import (
    GENOTYPE,
    checked,
    drawn,
    image,
    made_run,
    policy,
    search_metrics,
    words,
    write_lines,
)
from unas.architecture.genotype import Genotype
from unas.common.errors import UserError
from unas.report import write_report

EVIL = "</title></style></svg><script>alert(1)</script><img src=x onerror='alert(2)'>\"'&amp;\x00\x1b[2J\u202e]]>"
JSON_FILES = (
    "config.json",
    "manifest.json",
    "summary.json",
    "policy.json",
    "candidates.json",
    "genotype.json",
)


def with_texts(value: Any) -> Any:
    """Return a JSON value with evil in every text and every name that means nothing to unas."""
    if isinstance(value, dict):
        return {name: with_texts(item) for name, item in value.items()}
    if isinstance(value, list):
        return [with_texts(item) for item in value]
    return f"{value}{EVIL}" if isinstance(value, str) and not value.startswith("unas.") else value


def hostile_run(directory: Path) -> Path:
    run = made_run(directory, alarms={EVIL: EVIL})
    for name in JSON_FILES:
        (run / name).write_text(json.dumps(with_texts(json.loads((run / name).read_text()))))
    epochs = policy()
    for epoch in epochs:
        epoch["probabilities"][f"{EVIL}/a"] = {EVIL: 0.5, f"{EVIL}2": 0.5}
        epoch["alarms"] = {EVIL: EVIL}
    (run / "policy.json").write_text(json.dumps(epochs))
    (run / "genotype.json").write_text(
        Genotype(f"x{EVIL}", {**GENOTYPE.choices, "normal/node0/op0": EVIL}).to_json()
    )
    write_lines(run, [{**line, EVIL: 0.5} for line in search_metrics()])
    return run


def test_everything_that_a_file_says_is_escaped(tmp_path: Path) -> None:
    run = hostile_run(tmp_path / "a<b>&\"'c")
    root = drawn(run, made_run(tmp_path / "other"))
    html = (run.parent / "drawn.html").read_text(encoding="utf-8")
    for part in ("<script", "<img src=x", "\x00", "\x1b", "\u202e"):
        assert part not in html
    assert words(root).count("alert(1)") > 40
    for each in root.iter("img"):
        assert "script" not in {part.tag.rpartition("}")[2] for part in image(each).iter()}


def test_a_chain_with_evil_names_is_drawn(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    (run / "genotype.json").write_text(
        Genotype("x", {EVIL: EVIL, "normal/node" + "9" * 4500 + "/op0": "y"}).to_json()
    )
    (found,) = drawn(run).iter("img")
    assert "alert(1)" in "".join(image(found).itertext())


def change(name: str, *path: str | int, to: Any) -> Callable[[Path], None]:
    """Return what sets one value of a JSON file."""

    def edit(run: Path) -> None:
        document = json.loads((run / name).read_text())
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = to
        (run / name).write_text(json.dumps(document))

    return edit


def text(name: str, content: str) -> Callable[[Path], None]:
    """Return what writes a file anew."""

    def edit(run: Path) -> None:
        (run / name).write_text(content)

    return edit


SUMMARY, POLICY, METRICS = "summary.json", "policy.json", "metrics.jsonl"
MISTAKES: dict[str, tuple[Callable[[Path], None], str]] = {
    "accuracy in words": (
        change(SUMMARY, "test_accuracy", to="high"),
        'test_accuracy is "high"; it must be a number',
    ),
    "accuracy of true": (
        change(SUMMARY, "test_accuracy", to=True),
        "test_accuracy is true; it must be a number",
    ),
    "a huge number": (change(SUMMARY, "parameters", to=10**400), "parameters is 1000"),
    "no verdict": (
        change(SUMMARY, "budgets", 0, "passed", to="yes"),
        'passed is "yes"; it must be true or false',
    ),
    "budgets that are none": (
        change(SUMMARY, "budgets", to={"a": 1}),
        "budgets is an object; it must be a list",
    ),
    "a budget that is none": (
        change(SUMMARY, "budgets", 0, to=3),
        "budgets[0] is 3; it must be an object",
    ),
    "latency of a list": (
        change(SUMMARY, "latency", 0, "median_ms", to=[1]),
        "median_ms is a list; it must be",
    ),
    "alarms in numbers": (
        change(SUMMARY, "alarms", to={"skips": 3}),
        "skips is 3; it must be text",
    ),
    "summary that is a list": (text(SUMMARY, "[]"), "summary.json is a list; it must be an object"),
    "half a summary": (
        text(SUMMARY, '{"a": '),
        "summary.json is empty or ends too soon; is it truncated?",
    ),
    "an infinity": (
        text(SUMMARY, '{"parameters": 1e999}'),
        "parameters is Infinity; it must be a number",
    ),
    "a number for a name": (
        change("config.json", "dataset", "name", to=3),
        "dataset: name is 3; it must be text",
    ),
    "another format": (
        change("config.json", "format", to="x"),
        "not a configuration; the document needs",
    ),
    "a command that is none": (
        change("manifest.json", "command", to="unas"),
        'command is "unas"; it must be a list',
    ),
    "policy of no list": (
        text(POLICY, "{}"),
        "policy.json is an object; it must be a list of epochs",
    ),
    "epoch 0": (
        change(POLICY, 0, "epoch", to=0),
        "[0]: epoch is 0; it must be a whole number of 1 or more",
    ),
    "a probability of 2": (
        change(POLICY, 0, "probabilities", "normal/node0/op0", "skip_connect", to=2),
        "is 2; a probability is from 0 to 1",
    ),
    "a candidate in words": (
        change("candidates.json", "candidates", 0, "difference", to="small"),
        'candidates[0]: difference is "small"; it must be a number',
    ),
    "a finalist in words": (
        text(
            "finalists.json",
            '{"format": "unas.finalists", "version": 3, "rungs": [], '
            '"trainings": [{"steps": 3, "training_loss": "low", "choices": {}}]}',
        ),
        'finalists.json: trainings[0]: training_loss is "low"; it must be a number',
    ),
    "candidates of another format": (
        change("candidates.json", "format", to=1),
        "candidates.json: not a list of candidates; the document needs",
    ),
    "genotype of another format": (
        change("genotype.json", "format", to=1),
        "genotype.json: not a genotype; the document needs",
    ),
    "no choices": (change("genotype.json", "choices", to={}), "space or choices is empty"),
    "a step that is none": (
        text(METRICS, '{"phase": "search", "step": "1"}\n'),
        'line 1: step is "1"; it must be',
    ),
    "a step below 0": (text(METRICS, '{"phase": "search", "step": -1}\n'), "line 1: step is -1"),
    "a figure in words": (
        text(
            METRICS, '{"phase": "search", "step": 1}\n{"phase": "search", "step": 2, "loss": "x"}\n'
        ),
        'metrics.jsonl line 2: "loss" is "x"; it must be a number or null',
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_bad_file_is_one_line_that_names_it(mistake: str, tmp_path: Path) -> None:
    edit, says = MISTAKES[mistake]
    run = made_run(tmp_path / "run")
    edit(run)
    with pytest.raises(UserError) as raised:
        write_report([run])
    message = str(raised.value)
    assert says in message
    assert message.startswith(str(run))
    assert len(message.splitlines()) == 1
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("name", [*JSON_FILES, "metrics.jsonl", "model.onnx", "report.html"])
def test_links_that_lead_out_of_a_run_are_refused(name: str, tmp_path: Path) -> None:
    run, outside = made_run(tmp_path / "run"), tmp_path / "thesis.txt"
    outside.write_text("{}")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(outside)
    with pytest.raises(UserError, match=f"{name} is a link that leads out of"):
        write_report([run])
    assert outside.read_text() == "{}"


def test_figures_that_are_not_finite_or_of_unknown_phases_are_left_out(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    good = [{"phase": "search", "step": step, "train_loss": 1.0} for step in range(1, 10)]
    odd: list[dict[str, Any]] = [
        {"phase": "search", "step": 10, "train_loss": None},
        {"phase": "search", "step": 11, "train_loss": 1e300},
        {"phase": ["x"], "step": 12, "train_loss": 5.0},
        {"phase": "dreaming", "step": 13, "train_loss": 5.0},
        {
            "phase": "search",
            "step": 2**52,
            "train_loss": 1.0,
            **{f"figure{n}": n for n in range(500)},
        },
    ]
    write_lines(run, good + odd)
    assert len(list(drawn(run).iter("svg"))) < 20


@pytest.mark.parametrize("name", [*JSON_FILES, "metrics.jsonl"])
def test_changed_files_are_drawn_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    seed = (run / name).read_bytes()

    def read(path: Path) -> None:
        write_report([path.parent])
        checked((path.parent / "report.html").read_text(encoding="utf-8"))

    draw = random.Random(name)  # noqa: S311 - not for secrets
    reader = Reader(f"report of {name}", (seed,), name, read)
    found = [finding(reader, mutated(seed, draw), run) for _ in range(25)]
    assert [each for each in found if each] == []
