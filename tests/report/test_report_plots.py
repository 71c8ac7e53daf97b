"""What plots show is where the figures are: pixels are read back with the ruler of the axes."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axis_of import axis, points
from made_run import (
    EPOCHS,
    GENOTYPE,
    LATENCY,
    STEPS_AN_EPOCH,
    VERDICTS,
    WARM_UP,
    candidates,
    cells,
    drawn,
    figure,
    made_run,
    of_class,
    policy,
    search_metrics,
    training_metrics,
    words,
    write_lines,
)
from unas.report.axes import log_scale, scale, tick_size
from unas.report.heat_strip import runs, strips_of
from unas.report.markup import number
from unas.report.policy_data import Epoch
from unas.report.series import MAX_BINS, Series

ToValue = Callable[[float], float]


def stands(to_value: ToValue, pixel: float, value: float) -> bool:
    """Return whether a pixel is that of a value; coordinates are rounded to a tenth."""
    ends = to_value(pixel - 0.1), to_value(pixel + 0.1)
    return min(ends) <= value <= max(ends)


def test_a_curve_goes_through_the_figures_that_were_logged(tmp_path: Path) -> None:
    drawing = figure(drawn(made_run(tmp_path / "run")), "Training loss of the supernet")
    to_step, to_loss = axis(drawing, "x"), axis(drawing, "y")
    expected = [(line["step"], line["train_loss"]) for line in search_metrics()]
    found = points(drawing, "curve")
    assert len(found) == len(expected)
    for (x, y), (step, loss) in zip(found, expected, strict=True):
        assert stands(to_step, x, step)
        assert stands(to_loss, y, loss)


def test_terms_of_the_cost_are_drawn_together_and_can_be_told_apart(tmp_path: Path) -> None:
    drawing = figure(drawn(made_run(tmp_path / "run")), "Terms of the policy's cost")
    names = [words(each) for each in drawing.iter("text")]
    assert {"cross entropy", "gap", "overlap"} <= set(names)
    for style, name in (("c1", "gap"), ("c2", "overlap")):
        (curve,) = [each for each in of_class(drawing, style) if each.tag == "path"]
        first_y = float(curve.get("d", "")[1:].partition("L")[0].split()[1])
        value = {"gap": 0.3, "overlap": 1.5}[name]
        assert stands(axis(drawing, "y"), first_y, value)


def test_an_expected_cost_is_held_against_its_limit(tmp_path: Path) -> None:
    drawing = figure(drawn(made_run(tmp_path / "run")), "Expected parameters")
    line = [each for each in of_class(drawing, "guide") if each.tag == "line"][-1]
    to_value = axis(drawing, "y")
    assert line.get("y1") == line.get("y2")
    assert stands(to_value, float(line.get("y1", "nan")), 150000)
    assert "limit, 150,000" in words(drawing)


def test_before_the_verdict_an_expected_cost_is_held_against_its_target(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", "search")
    config = json.loads((run / "config.json").read_text())
    config["search"]["objectives"]["params"] = {"name": "params", "weight": 10.0, "limit": 140000.0}
    (run / "config.json").write_text(json.dumps(config))
    assert "target, 140,000" in words(figure(drawn(run), "Expected parameters"))


def test_the_entropy_is_below_that_of_the_uniform_policy(tmp_path: Path) -> None:
    drawing = figure(drawn(made_run(tmp_path / "run")), "Entropy")
    most = sum(math.log(2 + node) for node in range(2)) * 4 + 8 * math.log(4)
    line = [each for each in of_class(drawing, "guide") if each.tag == "line"][-1]
    assert stands(axis(drawing, "y"), float(line.get("y1", "nan")), most)


def test_pointing_at_a_curve_shows_its_figures(tmp_path: Path) -> None:
    drawing = figure(drawn(made_run(tmp_path / "run")), "Training loss of the supernet")
    titles = [words(each) for each in of_class(drawing, "hover")]
    assert len(titles) == (WARM_UP + EPOCHS) * STEPS_AN_EPOCH
    assert titles[4] == "step 5: training loss 0.5"


@pytest.mark.parametrize("verdict", VERDICTS)
def test_an_interval_stands_at_its_value_beside_its_limit(
    verdict: dict[str, Any], tmp_path: Path
) -> None:
    root = drawn(made_run(tmp_path / "run", budgets=[verdict]))
    (drawing,) = [each for each in root.iter("svg") if each.get("class") == "interval"]
    to_value = axis(drawing, "x")
    (dot,) = of_class(drawing, "value")
    bar, low, high = of_class(drawing, "whisker")
    (limit,) = of_class(drawing, "limit")
    (allowed,) = of_class(drawing, "allowed")
    assert stands(to_value, float(dot.get("cx", "nan")), verdict["value"])
    assert stands(to_value, float(limit.get("x1", "nan")), verdict["limit"])
    for line, name in ((low, "low"), (high, "high")):
        assert line.get("x1") == line.get("x2")
        assert stands(to_value, float(line.get("x1", "nan")), verdict[name])
    assert (bar.get("x1"), bar.get("x2")) == (low.get("x1"), high.get("x1"))
    assert stands(to_value, float(allowed.get("x", "nan")), 0)
    style = "pass" if verdict["passed"] else "fail"
    assert dot.get("class") == f"value {style}"


def test_candidates_stand_at_their_difference_with_its_interval(tmp_path: Path) -> None:
    root = drawn(made_run(tmp_path / "run"))
    drawing = figure(root, "Candidates in the supernet")
    to_difference = axis(drawing, "x")
    names = [words(each) for each in of_class(drawing, "quiet")]
    assert names == ["at random", "chosen", "mode", "at random"]
    entries = [entry for entry in candidates()["candidates"] if entry["images"] == 500]
    entries.sort(key=lambda entry: entry["difference"])
    groups = list(drawing.iter("g"))
    for group, entry, style in zip(
        groups, entries, ("control", "pass", "candidate", "control"), strict=True
    ):
        (dot,) = of_class(group, "value")
        assert dot.get("class") == f"value {style}"
        assert stands(to_difference, float(dot.get("cx", "nan")), entry["difference"])
        _, low, high = of_class(group, "whisker")
        for end, sign in ((low, -1), (high, 1)):
            value = entry["difference"] + sign * 1.96 * entry["difference_error"]
            assert stands(to_difference, float(end.get("x1", "nan")), value)
    (says,) = [words(each) for each in root.iter("figure") if "Candidates" in words(each)[:20]]
    assert (
        "The search has not separated architectures; of 2 drawn at random the best candidate beats 1 and the policy's mode 1."
        in says
    )
    assert "1 architecture left after fewer images" in says


def test_of_many_candidates_the_best_draws_are_shown_and_all_others(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    document = candidates()
    draw = document["candidates"][2]
    document["candidates"] += [{**draw, "images": 500, "difference": 1.0 + n} for n in range(100)]
    document["candidates"].append({**document["candidates"][-1], "source": "random"})
    (run / "candidates.json").write_text(json.dumps(document))
    root = drawn(run)
    names = [words(each) for each in of_class(figure(root, "Candidates in"), "quiet")]
    assert names == ["at random", "chosen", "mode", "at random", *["drawn"] * 19, "at random"]
    assert "82 architectures left after fewer images, or had more loss" in words(root)


def test_finalists_are_a_table_the_best_first(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    document = candidates()
    names = ("first", "second", "third", "second", "other")
    for entry, name in zip(document["candidates"], names, strict=True):
        entry["choices"] = {"a": name}
    (run / "candidates.json").write_text(json.dumps(document))
    trainings = [
        {
            "steps": steps,
            "training_loss": loss,
            "validation_accuracy": top1,
            "validation_loss": other_loss,
            "choices": {"a": name},
        }
        for steps, name, loss, top1, other_loss in (
            (20, "first", 1.5, None, None),
            (20, "second", 1.25, None, None),
            (20, "third", None, None, None),
            (40, "second", 1.0, 0.625, None),
            (40, "first", 1.125, 0.5, 1.5),
        )
    ]
    document = {"format": "unas.finalists", "version": 3, "rungs": [], "trainings": trainings}
    (run / "finalists.json").write_text(json.dumps(document))
    assert cells(drawn(run), "Finalists, trained from scratch") == [
        ["mode", "0.510", "1.500", "1.125", "50.00 %"],
        ["drawn, chosen", "0.500", "1.250", "1.000", "62.50 %"],  # it gives NaN
        ["drawn", "0.900", "not finite", "", ""],
    ]
    # Of an earlier version: each training was one of its own.
    (run / "finalists.json").write_text(json.dumps({**document, "version": 2}))
    assert "Finalists, trained" not in words(drawn(run))


def test_a_run_without_its_candidates_is_drawn_without_them(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    (run / "candidates.json").unlink()
    assert "Candidates in the supernet" not in words(drawn(run))


def test_runs_stand_at_their_accuracy_and_cost(tmp_path: Path) -> None:
    sizes = {"a": (0.91, 100_000), "b": (0.955, 180_000), "c": (0.93, 140_000)}
    made = [
        made_run(tmp_path / n, test_accuracy=a, parameters=size) for n, (a, size) in sizes.items()
    ]
    drawing = figure(drawn(*made), "Accuracy against size")
    to_size, to_accuracy = axis(drawing, "x"), axis(drawing, "y")
    places = {}
    for group in drawing.iter("g"):
        (circle,), (number_of,) = group.iter("circle"), group.iter("text")
        places[words(number_of)] = (float(circle.get("cx", "nan")), float(circle.get("cy", "nan")))
    for position, (accuracy, size) in enumerate(sizes.values(), 1):
        x, y = places[str(position)]
        assert stands(to_size, x, size)
        assert stands(to_accuracy, y, 100 * accuracy)


def test_a_shared_limit_is_drawn_with_the_latencies_that_were_judged_by_it(tmp_path: Path) -> None:
    noisy = [{**LATENCY[0], "median_ms": 0.9}]
    made = [made_run(tmp_path / "a", latency=noisy), made_run(tmp_path / "b")]
    drawing = figure(drawn(*made), "Accuracy against latency")
    assert [words(each) for each in drawing.iter("title")][1:] == [
        f"{name}: 98.89 %, 0.105 ms" for name in ("b", "a")
    ]
    limit = list(of_class(drawing, "limit"))[-1]
    assert stands(axis(drawing, "x"), float(limit.get("x1", "nan")), 0.2)
    made = [made_run(tmp_path / "c", latency=noisy, budgets=[]), made_run(tmp_path / "d")]
    titles = [
        words(each) for each in figure(drawn(*made), "Accuracy against latency").iter("title")
    ]
    assert titles[1:] == ["d: 98.89 %, 0.1053 ms", "c: 98.89 %, 0.9 ms"]


def test_strips_show_when_each_choice_was_decided(tmp_path: Path) -> None:
    root = drawn(made_run(tmp_path / "run"))
    drawing = figure(root, "normal choices")
    strips = [words(each) for each in of_class(drawing, "hover")]
    assert len(strips) == len([name for name in GENOTYPE.choices if name.startswith("normal")])
    # 0.1 + 0.1·epoch for the last of four options, the rest shared: most probable from epoch 2 (0.3
    # against 0.233) on.
    op = next(text for text in strips if text.startswith("normal/node0/op0"))
    assert "dil_conv_3x3 most probable from epoch 2 on; in the end dil_conv_3x3 0.90" in op
    # Of two options from epoch 5 on: 0.5 against 0.5 in epoch 4.
    source = next(text for text in strips if text.startswith("normal/node0/input0"))
    assert "1 most probable from epoch 5 on" in source
    ticks = [each for each in of_class(drawing, "decided") if each.tag == "line"][
        :-1
    ]  # the last is the key's
    assert len(ticks) == len(strips)


def test_a_choice_that_went_the_other_way_has_no_tick() -> None:
    history = [{"a": 0.6, "b": 0.4}, {"a": 0.7, "b": 0.3}, {"a": 0.4, "b": 0.6}]
    epochs = [Epoch(n, {"layer": probabilities}, {}) for n, probabilities in enumerate(history, 1)]
    (taken,) = strips_of(epochs, {"layer": "a"})
    assert (taken.option, taken.decided, list(taken.shares)) == ("a", None, [0.6, 0.7, 0.4])
    (mode,) = strips_of(epochs, {})
    assert (mode.option, mode.decided) == ("b", 2)


def test_runs_of_a_strip_cover_it_once() -> None:
    levels = np.random.default_rng(0).integers(3, size=100).tolist()
    found = runs(levels)
    assert [level for start, stop, level in found for _ in range(start, stop)] == levels
    assert all(a[2] != b[2] for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("count", [1, MAX_BINS, MAX_BINS + 1, 100_003])
def test_bins_hold_every_figure_once(count: int) -> None:
    values = np.random.default_rng(0).normal(size=count)
    series = Series()
    for step, value in enumerate(values.tolist(), 1):
        series.add(step, value)
    bins = series.bins()
    assert len(bins) <= MAX_BINS
    assert count < MAX_BINS or len(bins) >= MAX_BINS // 2
    assert [bins[0].first, bins[-1].last] == [1, count]
    assert all(before.last + 1 == after.first for before, after in itertools.pairwise(bins))
    for each in bins:
        inside = values[each.first - 1 : each.last]
        assert (each.count, each.low, each.high) == (len(inside), inside.min(), inside.max())
        assert each.mean == pytest.approx(inside.mean())


def test_a_long_run_is_a_small_file_that_shows_its_extremes(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    lines: list[dict[str, Any]] = []
    for step in range(1, 60_001):
        wave = math.sin(step)
        lines.append(
            {
                "phase": "search",
                "step": step,
                "train_loss": 2 + wave,
                "gap": wave,
                "entropy": 9.0 + wave,
            }
        )
    lines += [{"phase": "training", "step": step, "loss": 1 / step} for step in range(1, 40_001)]
    write_lines(run, lines)
    (run / "policy.json").write_text(json.dumps(policy(400)))
    root = drawn(run)
    assert (tmp_path / "drawn.html").stat().st_size < 600_000
    for path in [each for each in root.iter("path") if "heat" not in each.get("class", "")]:
        assert re.fullmatch(
            r"M[\d.]+ [\d.]+(L[\d.]+ [\d.]+)+", path.get("d", "")
        )  # nothing is cut off
    band = points(figure(root, "Training loss of the supernet"), "band")
    assert band[0][0] == band[-1][0]  # once there and once back
    assert len(band) == 2 * len(points(figure(root, "Training loss of the supernet"), "curve"))
    assert "(1 to 3)" in words(
        next(of_class(figure(root, "Training loss of the supernet"), "hover"))
    )


@pytest.mark.parametrize(
    "values",
    [
        [0.0],
        [5.0, 5.0],
        [-3.0, 4.0],
        [1e-12, 2e-12],
        [1e25, -1e25],
        [116650.0, 116651.0],
        [0.0, 5e-324],
    ],
)
def test_an_axis_holds_its_values_between_few_ticks(values: list[float]) -> None:
    for is_tight in (False, True):
        found = scale(values, 0.0, 100.0, is_tight=is_tight)
        assert found.low <= min(values) <= max(values) <= found.high
        assert found.low < found.high
        assert 1 <= len(found.ticks) <= 7
        assert all(-1e-6 <= found(tick) <= 100 + 1e-6 for tick in found.ticks)
        assert found(found.low) == 0.0
        assert found(found.high) == 100.0
    assert found.labels()


@pytest.mark.parametrize("values", [[0.01, 0.5], [3.0, 90.0], [1e-25, 1e25], [1.0, 1.0]])
def test_a_logarithmic_axis_shows_equal_ratios_as_equal_distances(values: list[float]) -> None:
    found = log_scale(values, 0.0, 100.0)
    assert found.low <= min(values) <= max(values) <= found.high
    assert 2 <= len(found.ticks) <= 7
    middle = math.sqrt(found.low) * math.sqrt(found.high)
    assert found(middle) == pytest.approx(50.0)


@pytest.mark.parametrize("span", [1e-9, 0.3, 1.0, 7.0, 9.99, 123456.0])
def test_ticks_are_round_and_not_too_many(span: float) -> None:
    size = tick_size(span, 5)
    assert span / size <= 4 + 1e-6
    digits = f"{size:.6e}".partition("e")[0]
    assert float(digits) in {1.0, 2.0, 5.0}


def test_no_coordinate_is_written_that_is_none() -> None:
    assert (number(1.04), number(-0.01), number(3.0)) == ("1", "0", "3")
    with pytest.raises(ValueError, match="nan"):
        number(math.nan)


def test_training_metrics_are_drawn(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    lines = [{**line, "accuracy": line["step"] / 100} for line in training_metrics()]
    write_lines(run, search_metrics() + lines)
    root = drawn(run)
    for title, name in (("Training loss ends", "loss"), ("Accuracy ends", "accuracy")):
        drawing = figure(root, title)
        found = points(drawing, "curve")
        assert all(
            stands(axis(drawing, "y"), y, line[name])
            for (_, y), line in zip(found, lines, strict=True)
        )
