"""A run computes on the threads that it was told, and measures on all."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import unas
from tiny import tiny_recipe
from unas.common.errors import UserError
from unas.compute.runtime import RuntimeConfig
from unas.compute.threads import torch_threads
from unas.runs.names import SUMMARY

PYTORCHS = 2
THREADS = 1


def test_threads_of_a_run(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    recipe = replace(recipe, runtime=replace(recipe.runtime, threads=THREADS))
    seen: dict[bool, set[int]] = defaultdict(set)

    def look(module: nn.Module, _: Any) -> None:
        if type(module).__module__.startswith("unas."):  # torch.export has modules of its own
            seen[module.training].add(torch.get_num_threads())

    hook = nn.modules.module.register_module_forward_pre_hook(look)
    try:
        with torch_threads(PYTORCHS):
            unas.run(recipe, tmp_path / "run", quiet=True)
            assert torch.get_num_threads() == PYTORCHS
    finally:
        hook.remove()
    assert seen == {True: {THREADS}, False: {THREADS, PYTORCHS}}
    latencies = json.loads((tmp_path / "run" / SUMMARY).read_text())["latency"]
    assert [latency["fingerprint"]["threads"] for latency in latencies] == [PYTORCHS, PYTORCHS]


def test_numbers_of_threads_that_there_are_not() -> None:
    for threads in (-1, 1025):
        with pytest.raises(UserError, match=f"threads is {threads}; it must be 0 to 1024"):
            RuntimeConfig(threads=threads).build()
    assert "1 thread)" in RuntimeConfig("cpu", threads=1).build().describe()
