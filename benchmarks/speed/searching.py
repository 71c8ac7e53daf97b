"""A search step beside the plain one of the yardstick."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

import unas
from speed.arithmetic import ROOFLINE, Arithmetic, measure, of_search_step
from speed.section import Section, Settings
from speed.turns import Timed, clocked, in_turn
from unas.common.errors import UserError
from unas.config import Config
from unas.estimators.gumbel_softmax import GumbelSoftmax
from unas.estimators.reinforce import Reinforce
from unas.searching.step import SearchStep

PLAIN = "the plain step"


def load_yardstick(path: Path) -> Any:
    """Import the yardstick from its file."""
    spec = importlib.util.spec_from_file_location("yardstick", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def configs(settings: Settings) -> dict[str, Config]:
    """Return the searches whose steps are timed, by name; all see the yardstick's supernet."""
    recipe: Any = unas.recipe("cifar10")
    space = replace(recipe.space, channels=settings.channels, layers=settings.layers)
    plain = replace(recipe, space=space, runtime=replace(recipe.runtime, precision="float32"))
    routed = replace(plain, space=replace(space, bn="routed"))
    bfloat16 = replace(plain, runtime=replace(plain.runtime, precision="bfloat16"))
    recomputed = replace(plain, runtime=replace(plain.runtime, recompute="always"))
    gumbel = replace(plain.search, estimator=GumbelSoftmax())
    hard = replace(plain.search, estimator=Reinforce(), weights_on="hard")
    shared = replace(hard, batch_size=settings.batch, architectures_per_batch=4)
    return {
        '`rebar`, `bn="batch"`': plain,
        '`rebar`, `bn="routed"`': routed,
        '`rebar`, `bn="batch"`, cells computed again': recomputed,
        '`rebar`, `bn="batch"`, bfloat16': bfloat16,
        "`gumbel_softmax`": replace(plain, search=gumbel),
        "`reinforce`, hard weights, routed, one architecture an image": replace(
            routed, search=hard
        ),
        "`reinforce`, hard weights, routed, 4 a batch": replace(routed, search=shared),
    }


def step(settings: Settings) -> Section:
    """Time steps of the search beside the plain one."""
    yardstick = load_yardstick(settings.yardstick)
    device = str(settings.device)
    batch: Sequence[Tensor] = yardstick.batch(settings.batch, device)
    plain = yardstick.build(settings.channels, settings.layers, device)
    timed: dict[str, Timed] = {PLAIN: clocked(partial(plain, *batch), settings.device)}
    amounts: dict[str, Arithmetic] = {}
    refusals: dict[str, str] = {}
    for name, config in configs(settings).items():
        try:
            ours: SearchStep = unas.search_step(config, device=device)
        except UserError as refusal:
            refusals[name] = str(refusal)
            print(f"  {name}: {refusal}", flush=True)
            continue
        amounts[name] = of_search_step(ours, batch)
        timed[name] = clocked(partial(ours, *batch), settings.device)
    machine = measure(settings.device)
    turns = in_turn(timed, settings.pairs)
    rows: list[tuple[str, ...]] = []
    for name in timed:
        roofline = ("", "", "")
        if name in amounts:
            roofline = machine.cells(amounts[name], turns.median(name))
        rows.append((name, *turns.cells(name, PLAIN), *roofline))
    for name, line in refusals.items():
        rows.append((f"{name}: {line}", *[""] * 6))
    sizes = f"C {settings.channels}, L {settings.layers}, B {settings.batch}"
    return Section(
        "Search step against a plain one",
        f"In turn in one process, {sizes}, float32 and one architecture an image unless said; "
        f"medians of {settings.pairs} pairs. {machine.describe()}",
        ("", "median step", "ratio", "least to largest", *ROOFLINE),
        rows,
        {
            "seconds": turns.seconds,
            "refused": refusals,
            "operations": {name: amount.operations for name, amount in amounts.items()},
            "bytes": {name: amount.num_bytes for name, amount in amounts.items()},
            "peak_operations_a_second": machine.operations,
            "peak_bytes_a_second": machine.num_bytes,
        },
    )
