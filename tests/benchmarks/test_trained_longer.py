"""What finals would have taken of trainings whose losses are known."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from trained_longer import taken


def test_the_fastest_learner_at_each_halving_is_taken() -> None:
    """Of eight the best four after an epoch stay, two after two, and the better one after four."""
    losses = [[9.0] * 4 for _ in range(9)]
    for epoch, order in enumerate(([3, 2, 1, 0], [2, 3, 0], [0, 2, 3], [3, 0])):
        for place, training in enumerate(order):
            losses[training][epoch] = float(place)
    losses[8] = [0.5, 8.0, 0.0, 0.0]  # would win, but for the second epoch
    trainings = [
        {"epoch_losses": each, "test_accuracy": float(number)} for number, each in enumerate(losses)
    ]
    assert list(taken(trainings[:8], 1)) == [3.0]
    assert len(list(taken(trainings, 1))) == 9  # each eight of nine
    # Without 3, 2 and 0 are left, and 0 has less loss in the end.
    assert list(taken(trainings, 1))[5] == 0.0
