"""A search step beside those of NNI, which run in a process and an environment of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import torch

import unas
from speed.searching import configs, load_yardstick
from speed.section import Section, Settings
from speed.turns import Timed, clocked, in_turn

PACKAGES = ("nni==3.0", "torch==2.13", "setuptools<80", "pytorch_lightning<2")
STRATEGIES = ("DARTS", "GumbelDARTS")
SCRIPT = Path(__file__).parents[1] / "nni_step.py"
OURS = ('`rebar`, `bn="batch"`', "`gumbel_softmax`")


class NoPeerError(Exception):
    """NNI can't be had here."""


@contextmanager
def nni(strategy: str, settings: Settings) -> Iterator[Timed]:
    """Start NNI, and give what runs one of its steps and returns the seconds it took."""
    if shutil.which("uv") is None:
        raise NoPeerError("there is no uv to install it with")
    words = ["uv", "run", "--isolated", "--no-project"]
    for package in PACKAGES:
        words += ["--with", package]
    words += ["python", str(SCRIPT), strategy, "--threads", str(torch.get_num_threads())]
    for option in ("channels", "layers", "batch"):
        words += [f"--{option}", str(getattr(settings, option))]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield partial(_one_step, process)
    finally:
        process.communicate()  # closes its input, which ends it


def _one_step(process: subprocess.Popen[str]) -> float:
    if process.stdin is None or process.stdout is None:
        raise NoPeerError("its process has no pipes")
    try:
        process.stdin.write("\n")
        process.stdin.flush()
    except BrokenPipeError as error:
        raise NoPeerError("it does not start") from error
    for line in process.stdout:
        word, _, seconds = line.partition(" ")
        if word == "seconds":
            return float(seconds)
    raise NoPeerError("it does not start")


def peers(settings: Settings) -> Section:
    """Time our steps beside NNI's, in turn; without NNI there are no rows."""
    rows: list[tuple[str, ...]] = []
    figures: dict[str, object] = {}
    if settings.device.type != "cpu":
        print("  left out: timed on CPUs alone", file=sys.stderr)
        return _section(settings, rows, figures)
    batch = load_yardstick(settings.yardstick).batch(settings.batch, "cpu")
    timed: dict[str, Timed] = {}
    for name in OURS:
        step = unas.search_step(configs(settings)[name], device="cpu")
        timed[name] = clocked(partial(step, *batch), settings.device)
    try:
        with ExitStack() as running:
            for strategy in STRATEGIES:
                timed[f"NNI {strategy}"] = running.enter_context(nni(strategy, settings))
            turns = in_turn(timed, settings.pairs)
    except NoPeerError as error:
        print(f"  left out, NNI can't be had: {error}", file=sys.stderr)
        return _section(settings, rows, figures)
    for name in timed:
        ratios = [turns.cells(name, f"NNI {strategy}")[1] for strategy in STRATEGIES]
        rows.append((name, f"{turns.median(name):.3f} s", *ratios))
    figures["seconds"] = turns.seconds
    return _section(settings, rows, figures)


def _section(
    settings: Settings, rows: list[tuple[str, ...]], figures: dict[str, object]
) -> Section:
    return Section(
        "Search step beside NNI's",
        f"C {settings.channels}, L {settings.layers}, B {settings.batch}, float32; NNI 3.0 with "
        "PyTorch 2.13, its DARTS space (two dilated convolutions and no 7×7) under its strategies, "
        "in turn with ours, each in its process; how many times as fast, medians of "
        f"{settings.pairs} rounds.",
        ("", "median step", *(f"beside NNI {strategy}" for strategy in STRATEGIES)),
        rows,
        figures,
    )
