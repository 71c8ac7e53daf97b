"""Finals among architectures drawn uniformly: the best of them is trained, once."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from tiny import tiny_recipe
from unas.lab.quality_time import Seconds
from unas.searching.choosing import ChoosingConfig

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from uniform_finals import best_of_uniform


def test_the_best_in_the_finals_is_trained_once(tmp_path: Path) -> None:
    tiny = tiny_recipe()
    choosing = ChoosingConfig(candidates=2, finalists=3, finalist_share=4.0)
    config = replace(tiny, choosing=choosing)
    seconds = Seconds(tmp_path / "seconds.json")
    accuracy = best_of_uniform(config, tmp_path, seconds)
    finals, trained = tmp_path / "finals-0", tmp_path / "train-0"
    trainings = json.loads((finals / "finalists.json").read_text())["trainings"]
    last = [one for one in trainings if one["validation_accuracy"] is not None]
    best = min(last, key=lambda one: (-one["validation_accuracy"], one["validation_loss"]))
    assert (len(trainings), len(last)) == (5, 2)
    assert json.loads((trained / "genotype.json").read_text())["choices"] == best["choices"]
    summary = trained / "summary.json"
    assert accuracy == json.loads(summary.read_text())["test_accuracy"]
    before = summary.stat().st_mtime_ns
    assert best_of_uniform(config, tmp_path, seconds) == accuracy
    assert summary.stat().st_mtime_ns == before
