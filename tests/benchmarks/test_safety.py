"""The benchmark of what guards cost: without them, steps on good numbers do the same."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from planted import batch, build

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from safety import unguarded


def test_steps_without_guards_do_the_same() -> None:
    guarded, plain = build(), build()
    with unguarded(plain):
        for number in range(2):
            said = guarded(*batch(number)), plain(*batch(number))
            torch.testing.assert_close(said[1], said[0])
    for weight, other in zip(plain.weights, guarded.weights, strict=True):
        torch.testing.assert_close(weight, other)
