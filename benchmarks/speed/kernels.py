"""How many operators a search step sends to a GPU: one by one, and where edges run together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import patch

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import unas
from speed.searching import PLAIN, configs, load_yardstick
from speed.section import Section, Settings
from unas.compute.live_memory import LiveMemory
from unas.nn.depthwise import DepthwiseConv
from unas.spaces.darts import supernet

IMAGES = 4  # of a batch: the count doesn't depend on it
RELAXED = ('`rebar`, `bn="batch"`', "`gumbel_softmax`")
NOT_STARTED = ("empty", "_view", "detach", "alias")  # what sends nothing to a device


class Operators(TorchDispatchMode):
    """Counts operators, but for those that only look at memory in another way."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        arguments: tuple[Any, ...] = (),
        keywords: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operator and count it."""
        name = str(function)
        if not (function.is_view or any(part in name for part in NOT_STARTED)):
            self.count[name] += 1
        return function(*arguments, **(keywords or {}))


def kernels(settings: Settings) -> Section:
    """Count the operators of whole steps, on the CPU."""
    yardstick = load_yardstick(settings.yardstick)
    batch: Sequence[Tensor] = yardstick.batch(IMAGES, "cpu")
    plain = yardstick.build(settings.channels, settings.layers, "cpu")
    with LiveMemory() as memory, Operators() as operators:
        plain(*batch)
    counts: dict[str, Mapping[str, int]] = {PLAIN: operators.count}
    peaks = {PLAIN: memory.peak_bytes}
    for name in RELAXED:
        for together in (False, True):
            step = unas.search_step(configs(settings)[name], device="cpu")
            with (
                patch.object(supernet, "pays_on", lambda _, on=together: on),
                patch.object(DepthwiseConv, "_uses_ours", lambda *_: False),
            ):
                step(*batch)  # the optimisers' averages are there from now on
                with LiveMemory() as memory, Operators() as operators:
                    step(*batch)
            how = "edges together, as on a GPU" if together else "operations one by one"
            counts[f"{name}, {how}"] = operators.count
            peaks[f"{name}, {how}"] = memory.peak_bytes
    rows: list[tuple[str, ...]] = []
    most = sum(counts[PLAIN].values())
    for name, count in counts.items():
        total = sum(count.values())
        convolutions = sum(number for op, number in count.items() if "convolution" in op)
        peak = f"{peaks[name] / 2**20:.0f} MiB"
        rows.append((name, f"{total:,}", f"{most / total:.1f}", f"{convolutions:,}", peak))
        print(f"  {name}: {total:,}", flush=True)
    return Section(
        "What a search step sends to a GPU",
        f"Operators of a whole step, C {settings.channels}, L {settings.layers}, counted on a CPU "
        "without the kernels of its own; each is a kernel or a few. The peak is of the tensors "
        f"that a step on {IMAGES} images makes, in float32.",
        ("", "operators", "times fewer", "of them convolutions and their gradients", "peak"),
        rows,
        {"operators": {name: dict(count) for name, count in counts.items()}, "peak_bytes": peaks},
    )
