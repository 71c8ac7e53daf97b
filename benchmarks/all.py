"""Time everything that docs/benchmarks.md has a table of, in turn in one process.

    python benchmarks/all.py YARDSTICK [--only step ...] [--pairs 7] [--json FILE]
        [--markdown docs/benchmarks.md]

YARDSTICK is the file of a plain search step. Each round is printed, medians are quoted; a section
goes into the document in the place of the one before.
"""

from __future__ import annotations

import argparse
import datetime
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from speed import (
    accuracy,
    curve,
    depthwise,
    host,
    kernels,
    memory,
    peers,
    scaling,
    searching,
    training,
    user_model,
)
from speed.section import Section, Settings, put_into
from unas.common.documents import write_json
from unas.compute.hardware import cpu_name, device_name

SECTIONS: dict[str, Callable[[Settings], Section]] = {
    "step": searching.step,
    "curve": curve.curve,
    "model": user_model.model,
    "training": training.training,
    "accuracy": accuracy.accuracy,
    "host": host.host,
    "kernels": kernels.kernels,
    "memory": memory.memory,
    "scaling": scaling.scaling,
    "depthwise": depthwise.depthwise,
    "nni": peers.peers,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("yardstick", type=Path, help="the file of a plain search step")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--pairs", type=int, default=7, help="rounds (default: 7)")
    parser.add_argument("--channels", type=int, default=16, help="C (default: 16)")
    parser.add_argument("--layers", type=int, default=8, help="L (default: 8)")
    parser.add_argument(
        "--batch", type=int, default=32, help="B, a multiple of 4, of a search step (default: 32)"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="also write all times to this file")
    parser.add_argument("--markdown", type=Path, help="also put the tables into this file")
    parser.add_argument("--plots", type=Path, default=Path("docs/images"), help="their folder")
    arguments = parser.parse_args()
    if arguments.pairs < 1:
        parser.error(f"--pairs is {arguments.pairs}; give 1 or more")
    settings = Settings(
        arguments.yardstick,
        arguments.pairs,
        arguments.channels,
        arguments.layers,
        arguments.batch,
        torch.device(arguments.device),
        arguments.plots,
    )
    machine = machine_of(settings.device)
    figures: dict[str, Any] = {"machine": machine}
    print(machine)
    for name in arguments.only:
        print(f"{name}:", flush=True)
        section = SECTIONS[name](settings)
        figures[name] = section.figures
        document = arguments.markdown or Path("docs/benchmarks.md")
        text = section.markdown(machine, command(name, arguments, parser), document)
        print(text, flush=True)
        if arguments.markdown:
            put_into(document, name, text)
        if arguments.json:
            write_json(arguments.json, figures)


def machine_of(device: torch.device) -> str:
    """Return what the figures were measured with, and when."""
    where = device_name(device)
    if device.type == "cpu":
        where = f"{cpu_name()}, {torch.get_num_threads()} threads"
    versions = f"Python {platform.python_version()}, PyTorch {torch.__version__}"
    return f"{where}; {versions}; {datetime.date.today()}."


def command(name: str, arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> list[str]:
    """Return the words that measure one section again."""
    words = ["benchmarks/all.py", "YARDSTICK", "--only", name]
    for option in ("pairs", "channels", "layers", "batch", "device"):
        value = getattr(arguments, option)
        if value != parser.get_default(option):
            words += [f"--{option}", str(value)]
    return words


if __name__ == "__main__":
    main()
