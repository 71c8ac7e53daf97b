"""What the time of a search would have bought in random cells."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from unas.common.errors import UserError
from unas.lab.quality_time import Seconds, expected_best


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_expected_best_is_the_mean_over_all_choices(count: int) -> None:
    values = [0.3, 0.9, 0.1, 0.9, 0.5, 0.7]
    best = [max(chosen) for chosen in itertools.combinations(values, count)]
    assert expected_best(values, count) == pytest.approx(np.mean(best))


class Ticks:
    """A clock that goes on by 2 each time that it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 2.0
        return self.now


def test_seconds_are_kept_and_those_of_a_run_that_goes_on_are_not_known(tmp_path: Path) -> None:
    file = tmp_path / "seconds.json"
    seconds = Seconds(file, Ticks())
    with seconds.of(tmp_path / "train-random-0"):
        (tmp_path / "train-random-0").mkdir()
    (tmp_path / "train-random-1").mkdir()
    with seconds.of(tmp_path / "train-random-1"):
        pass
    again = Seconds(file)
    assert again.mean("train-random-") == 2.0
    assert again.mean("search-") is None


@pytest.mark.parametrize("text", ["[1]", '{"train-random-0": null}', '{"train-random-0": "long"}'])
def test_a_file_of_something_else_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "seconds.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"seconds\.json is not what `unas lab quality` writes"):
        Seconds(file)
