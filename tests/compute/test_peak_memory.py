"""How much memory a block takes, beside what is known of it."""

from __future__ import annotations

import pytest
import torch

from unas.compute import peak_memory as module
from unas.compute.live_memory import LiveMemory
from unas.compute.peak_memory import peak_memory

CPU = torch.device("cpu")
MIB = 2**20


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


@pytest.mark.parametrize("is_of_process", [True, False])
def test_a_peak_is_of_its_block(is_of_process: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_of_process:  # a system that tells nothing of a process
        monkeypatch.setattr(module, "_CLEAR", module._CLEAR / "missing")
    before = torch.ones(300 * MIB // 4)
    with peak_memory(CPU) as peak_bytes:
        for _ in range(2):
            torch.ones(200 * MIB // 4)
        peak = peak_bytes()
    assert peak == pytest.approx(200 * MIB, rel=0.05)
    with peak_memory(CPU) as peak_bytes:
        torch.ones(100 * MIB // 4)
        peak = peak_bytes()
    assert peak == pytest.approx(100 * MIB, rel=0.05)
    assert before.numel()
