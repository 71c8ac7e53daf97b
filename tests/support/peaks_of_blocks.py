"""What is measured of two blocks of 200 and 100 MiB, as JSON: `python -m peaks_of_blocks`."""

from __future__ import annotations

import json

import torch

from unas.compute.peak_memory import peak_memory

CPU = torch.device("cpu")
MIB = 2**20


def peaks() -> list[int]:
    """Return the peaks of two blocks in bytes, beside 300 MiB that were there before."""
    before = torch.ones(300 * MIB // 4)
    with peak_memory(CPU) as peak_bytes:
        for _ in range(2):
            torch.ones(200 * MIB // 4)
        first = peak_bytes()
    with peak_memory(CPU) as peak_bytes:
        torch.ones(100 * MIB // 4)
        second = peak_bytes()
    del before
    return [first, second]


if __name__ == "__main__":
    print(json.dumps(peaks()))
