"""How much memory a block takes, beside what is known of it."""

from __future__ import annotations

import json

import pytest
import torch

from peaks_of_blocks import MIB, peaks
from processes import fresh
from unas.compute import peak_memory as module
from unas.compute.live_memory import LiveMemory


def test_live_memory_is_what_lives_at_one_time() -> None:
    with LiveMemory() as memory:
        first = torch.zeros(1000)
        for _ in range(10):
            second = first + 1
        third = second.view(10, 100) * 2
        del first, second
        fourth = third + 1
    assert fourth.numel() == 1000
    assert memory.peak_bytes == 3 * 4000


def test_a_peak_is_of_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    # A process of its own: what one that has done much frees may stay with it.
    done = fresh("peaks_of_blocks")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == pytest.approx([200 * MIB, 100 * MIB], rel=0.05)
    # A system that tells nothing of a process.
    monkeypatch.setattr(module, "_CLEAR", module._CLEAR / "missing")
    assert peaks() == pytest.approx([200 * MIB, 100 * MIB], rel=0.05)
