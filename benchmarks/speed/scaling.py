"""How the time of a search step grows with its sizes, beside its arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

import unas
from speed.arithmetic import of_search_step
from speed.section import Section, Settings
from speed.turns import clocked, in_turn
from unas.estimators.reinforce import Reinforce

SEARCHES: Mapping[str, dict[str, Any]] = {
    "rebar": {},
    "hard, routed": {"estimator": Reinforce(), "weights_on": "hard"},
}


@dataclass(frozen=True)
class Size:
    """The size of a search step.

    Args:
        channels: C.
        layers: L.
        images: B.
        architectures: G, how many of them share the images.
        operations: how many of DARTS' operations each edge has.
    """

    channels: int
    layers: int
    images: int
    architectures: int
    operations: int = 7


@dataclass(frozen=True)
class Growth:
    """A step at several sizes that differ in one field.

    Args:
        search: of `SEARCHES`.
        axis: the field.
        values: of the field.
        seconds: medians.
        operations: of each size's arithmetic.
    """

    search: str
    axis: str
    values: list[int]
    seconds: list[float]
    operations: list[float]


def axes(settings: Settings) -> dict[str, list[int]]:
    """Return the values of each field; half the batch keeps the largest ones in minutes."""
    images = max(settings.batch // 2, 8)
    return {
        "channels": [settings.channels // 2, settings.channels, 2 * settings.channels],
        "layers": [max(settings.layers // 2, 3), settings.layers, 2 * settings.layers],
        "images": [images // 2, images, 2 * images],
        "architectures": [count for count in (1, 4, images // 2, images) if not images % count],
        "operations": [2, 4, 7],
    }


def scaling(settings: Settings) -> Section:
    """Time steps of growing size, draw them, and tell the first beside the last."""
    growths = []
    for search in SEARCHES:
        for axis, values in axes(settings).items():
            growths.append(_growth(settings, search, axis, sorted(set(values))))
    picture = settings.plots / "scaling.png"
    draw(growths, picture)
    rows = []
    for growth in growths:
        slower = growth.seconds[-1] / growth.seconds[0]
        more = growth.operations[-1] / growth.operations[0]
        span = f"{growth.values[0]} to {growth.values[-1]}"
        times = f"{growth.seconds[0]:.3f} to {growth.seconds[-1]:.3f} s"
        rows.append((growth.search, growth.axis, span, times, f"{slower:.2f}", f"{more:.2f}"))
    images = axes(settings)["images"][1]
    return Section(
        "Growth of a search step",
        f"From C {settings.channels}, L {settings.layers}, B {images}, 7 operations and one "
        "architecture an image, one of them at a time; medians of "
        f"{settings.pairs} rounds. Where time grows less than arithmetic, the small step wasted "
        "some.",
        ("search", "what grows", "from and to", "median step", "time ×", "arithmetic ×"),
        rows,
        {f"{growth.search}, {growth.axis}": vars(growth) for growth in growths},
        picture,
    )


def _growth(settings: Settings, search: str, axis: str, values: list[int]) -> Growth:
    images = axes(settings)["images"][1]
    base = Size(settings.channels, settings.layers, images, images)
    timed = {}
    operations = []
    for value in values:
        size = replace(base, **{axis: value})
        if axis == "images":
            size = replace(size, architectures=value)
        step = _step(size, search, settings.device)
        x, x_val = torch.randn(2, size.images, 3, 32, 32, device=settings.device)
        y, y_val = torch.randint(0, 10, (2, size.images), device=settings.device)
        operations.append(of_search_step(step, (x, y, x_val, y_val)).operations)
        run = partial(step, x, y, x_val, y_val)
        timed[f"{search}, {axis} {value}"] = clocked(run, settings.device)
    turns = in_turn(timed, settings.pairs)
    return Growth(search, axis, values, [turns.median(name) for name in timed], operations)


def _step(size: Size, search: str, device: torch.device) -> Any:
    recipe: Any = unas.recipe("cifar10")
    space = replace(
        recipe.space,
        channels=size.channels,
        layers=size.layers,
        operations=size.operations,
        bn="batch" if search == "rebar" else "routed",
    )
    changed = replace(
        recipe.search,
        batch_size=size.images,
        architectures_per_batch=size.architectures,
        **SEARCHES[search],
    )
    runtime = replace(recipe.runtime, precision="float32")
    config = replace(recipe, space=space, search=changed, runtime=runtime)
    return unas.search_step(config, device=str(device))


def draw(growths: list[Growth], path: Path) -> None:
    """Draw time and arithmetic against each size, both as multiples of the smallest."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(growth.axis for growth in growths))
    size = (3 * len(names), 3)
    figure, panels = plt.subplots(1, len(names), figsize=size, squeeze=False, sharey=True)
    colours = dict(zip(SEARCHES, ("C0", "C1"), strict=True))
    for growth in growths:
        panel = panels[0][names.index(growth.axis)]
        for values, style, what in (
            (growth.seconds, "o-", "time"),
            (growth.operations, "--", "arithmetic"),
        ):
            multiples = [value / values[0] for value in values]
            label = f"{growth.search}: {what}"
            panel.plot(growth.values, multiples, style, color=colours[growth.search], label=label)
        panel.set(xlabel=growth.axis, xscale="log", yscale="log")
        panel.set_xticks(growth.values, [str(value) for value in growth.values], minor=False)
        panel.minorticks_off()
    panels[0][0].set_ylabel("× the smallest")
    panels[0][-1].legend(fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
