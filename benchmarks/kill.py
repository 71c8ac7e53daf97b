"""Kill a small run at random instants, resume it each time, compare its end bit for bit.

    python benchmarks/kill.py [--kills 100] [--seed 0] [--out DIR]

Every life of a run is a process of its own, forked from one that has the imports done, so that a
kill costs what the run does and not five seconds of importing PyTorch. Several kills fall on one
run; when it comes to its end, the next one begins, until so many kills were made. The instants are
drawn with the seed; where in a run they fall depends on the machine too.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import onnx
import onnxruntime
import onnxscript
import sklearn.datasets
import tensorboard
import torch
import torch.onnx
import torch.utils.tensorboard

from tiny import SEARCH_STEPS, TRAINING_STEPS, tiny_recipe
from unas.cli import main as unas
from unas.cli import run as _imported  # noqa: F401  before the fork
from unas.compute.hardware import cpu_name
from unas.runs.checkpoints import Checkpoints
from unas.runs.metrics import read_metrics
from unas.runs.names import CHECKPOINTS, CONFIG, GENOTYPE, METRICS, ONNX, POLICY, SUMMARY, WEIGHTS

FILES = (CONFIG, METRICS, POLICY, GENOTYPE, WEIGHTS, ONNX)
PHASES = ("search", "choosing", "training", "testing and export")
TOTAL = {"search": SEARCH_STEPS, "training": TRAINING_STEPS}
IMPORTED = (
    onnx,
    onnxruntime,
    onnxscript,
    sklearn.datasets,
    tensorboard,
    torch.onnx,
    torch.utils.tensorboard,
)


@dataclass
class Tally:
    """What the kills did."""

    places: collections.Counter[str] = field(default_factory=collections.Counter)
    lost: list[int] = field(default_factory=list)
    resumed: int = 0
    failed: int = 0
    runs: int = 0
    different: list[str] = field(default_factory=list)


def start(directory: Path) -> int:
    """Begin or go on with the run in a process of its own; return its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        sys.stdout = open(directory.with_suffix(".out"), "a")  # noqa: SIM115  it lives as long as the process
        sys.stderr = sys.stdout
        torch.set_num_threads(1)
        code = unas(["run", "tiny:tiny_recipe", "--resume", "--quiet", "--out", str(directory)])
    except BaseException:  # nothing may leave the fork
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


def phase(directory: Path) -> int:
    """Return the number of the phase that a run is in, by the files that it has written."""
    try:
        names = sorted(
            name for name in os.listdir(directory / CHECKPOINTS) if name.endswith(".ckpt")
        )
    except OSError:
        names = []
    if not names:
        return 0
    _, name, step = names[-1].removesuffix(".ckpt").split("-")
    return (0 if name == "search" else 2) + (int(step) == TOTAL[name])


def wait(child: int, directory: Path, until: int, seconds: float) -> tuple[int | None, list[float]]:
    """Kill a process so many seconds after it has come to phase `until`.

    Returns:
        its exit code, None if it was killed, and when it came to each phase.
    """
    reached: list[float] = []
    while True:
        now = time.monotonic()
        reached += [now] * (phase(directory) + 1 - len(reached))
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), [*reached, now]
        if len(reached) > until and now - reached[until] >= seconds:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            return (None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)), reached
        time.sleep(0.002)


def lost_steps(directory: Path) -> int:
    """Return how many steps were logged after the newest checkpoint."""
    if not (directory / METRICS).is_file():
        return 0
    newest = Checkpoints(directory / CHECKPOINTS).load_newest()
    phase, step = (newest.phase, newest.step) if newest else ("search", 0)
    later = [
        line
        for line in read_metrics(directory / METRICS)
        if line["phase"] == phase and line["step"] > step
    ]
    other = [
        line
        for line in read_metrics(directory / METRICS)
        if phase == "search" and line["phase"] == "training"
    ]
    return len(later) + len(other)


def compare(directory: Path, whole: Path) -> list[str]:
    """Return the names of what differs from the run that was never killed."""
    different = [
        name for name in FILES if (directory / name).read_bytes() != (whole / name).read_bytes()
    ]
    summaries = [json.loads((path / SUMMARY).read_text()) for path in (directory, whole)]
    for summary in summaries:
        del summary["latency"]  # a clock
    different += [SUMMARY] if summaries[0] != summaries[1] else []
    return different + [str(path) for path in directory.rglob("*.tmp")]


def one_run(
    directory: Path, lasts: list[float], kills: int, draw: random.Random, tally: Tally
) -> None:
    """Kill and resume a run until it has come to its end; no more than `kills` times.

    A kill falls into the present phase twice as often as into the next one, and evenly within it.
    """
    while True:
        until = phase(directory) + (draw.random() < 1 / 3)
        seconds = draw.uniform(0, lasts[until]) if until < len(PHASES) else 0
        until = until if tally.places.total() < kills else len(PHASES)
        code, _ = wait(start(directory), directory, until, seconds)
        if code is None:
            tally.places[PHASES[phase(directory)]] += 1
            tally.lost.append(lost_steps(directory))
            continue
        if code:
            tally.failed += 1
            print(f"{directory}: exit code {code}", flush=True)
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    out = arguments.out or Path(tempfile.mkdtemp(prefix="unas-kill-"))
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    whole, draw, tally = out / "whole", random.Random(arguments.seed), Tally()  # noqa: S311
    code, reached = wait(start(whole), whole, len(PHASES), 0)
    if code:
        raise SystemExit(f"the run without kills failed: {whole.with_suffix('.out')}")
    lasts = [later - earlier for earlier, later in itertools.pairwise(reached)]
    print(f"{platform.platform()}, {cpu_name()}, torch {torch.__version__}, one thread")
    interval = tiny_recipe().checkpoint.every_steps
    shares = ", ".join(f"{name} {seconds:.1f}" for name, seconds in zip(PHASES, lasts, strict=True))
    print(
        f"a run without kills: {sum(lasts):.1f} s ({shares}); a checkpoint every {interval} steps",
        flush=True,
    )
    while tally.places.total() < arguments.kills:
        directory = out / f"run{tally.runs}"
        before = tally.places.total()
        one_run(directory, lasts, arguments.kills, draw, tally)
        tally.runs += 1
        tally.resumed += tally.places.total() - before
        tally.different += [f"{directory.name}/{name}" for name in compare(directory, whole)]
        print(f"run {tally.runs}: {tally.places.total() - before} kills", flush=True)
    minutes = (time.monotonic() - began) / 60
    where = ", ".join(f"{count} in {name}" for name, count in sorted(tally.places.items()))
    print(f"{tally.places.total()} kills ({where}) on {tally.runs} runs in {minutes:.1f} min")
    print(f"{tally.resumed - tally.failed} resumed, {tally.failed} failed")
    mean = sum(tally.lost) / len(tally.lost)
    print(f"steps done again after a kill: at most {max(tally.lost)}, mean {mean:.2f}")
    print(
        f"artefacts that differ from the run without kills: {', '.join(tally.different) or 'none'}"
    )
    sys.exit(bool(tally.different or tally.failed))


if __name__ == "__main__":
    main()
