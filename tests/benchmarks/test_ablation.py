"""Variants of a search that go on from what they have in common with the recipe's."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from small_run import small
from unas.common.errors import UserError
from unas.config import Config
from unas.estimators.reinforce import Reinforce
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.pipeline import search
from unas.runs.checkpoints import Checkpoint, Checkpoints, read_checkpoint

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from ablation import SEARCHED, WARM_UP, begin_from, saved_after_warm_up


def recipe() -> Config:
    made = small()
    made = replace(made, search=replace(made.search, warm_up_epochs=1, epochs=1))
    return saved_after_warm_up(made)


def newest(directory: Path) -> Checkpoint:
    return read_checkpoint(Checkpoints(directory / "checkpoints").paths()[-1])


def test_what_goes_on_from_the_warm_up_ends_as_if_it_had_done_it_itself(tmp_path: Path) -> None:
    config = recipe()
    whole = tmp_path / "whole"
    search(config, out=whole, quiet=True)
    begin_from(whole, WARM_UP, config, tmp_path)
    assert newest(tmp_path / "search-0").step < newest(whole).step
    search(config, out=tmp_path / "search-0", resume=True, quiet=True)
    ends = [
        newest(directory).state["state"]["search"] for directory in (whole, tmp_path / "search-0")
    ]
    for part in ("policy", "supernet"):
        torch.testing.assert_close(ends[0][part], ends[1][part], rtol=0, atol=0)


def test_another_estimator_begins_untaught(tmp_path: Path) -> None:
    config = recipe()
    untaught = ReinforceLeaveOneOut(draws=2)  # has no state, which `Reinforce` couldn't load
    whole = replace(config, search=replace(config.search, estimator=untaught))
    search(whole, out=tmp_path / "whole", quiet=True)
    changed = replace(config, search=replace(config.search, estimator=Reinforce()))
    begin_from(tmp_path / "whole", WARM_UP, changed, tmp_path)
    search(changed, out=tmp_path / "search-0", resume=True, quiet=True)
    assert newest(tmp_path / "search-0").step == newest(tmp_path / "whole").step


def test_another_choosing_takes_the_search_as_it_is(tmp_path: Path) -> None:
    config = recipe()
    search(config, out=tmp_path / "whole", quiet=True)
    changed = replace(config, choosing=replace(config.choosing, candidates=5))
    begin_from(tmp_path / "whole", SEARCHED, changed, tmp_path)
    metrics = tmp_path / "search-0" / "metrics.jsonl"
    search(changed, out=tmp_path / "search-0", resume=True, quiet=True)
    assert metrics.read_text() == ""
    compared = json.loads((tmp_path / "search-0" / "candidates.json").read_text())
    assert changed != config
    assert len(compared["candidates"]) > 3  # of the recipe


def test_a_search_without_the_checkpoint_of_its_warm_up_is_refused(tmp_path: Path) -> None:
    config = recipe()
    search(replace(config, checkpoint=small().checkpoint), out=tmp_path / "whole", quiet=True)
    with pytest.raises(UserError, match="no finished search with the checkpoint of its warm-up"):
        begin_from(tmp_path / "whole", WARM_UP, config, tmp_path)
