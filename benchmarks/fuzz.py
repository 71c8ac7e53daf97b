"""Fuzz what reads files and flags: changed valid inputs, for so many minutes.

    python benchmarks/fuzz.py [--minutes 10] [--seed 0] [--memory 6]

Anything but a result or one line is a finding, and so is code that ran, or memory beyond the limit
(in GiB). The last lines are a table of the inputs. The same seed gives the same inputs, in another
order of their kinds.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import logging
import os
import platform
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import onnx
import torch

import hostile
import odd_folders
import operator_models
import unas
from tiny import tiny_recipe
from unas.cli import main as command
from unas.cli.commands import COMMANDS
from unas.cli.configuring import configured
from unas.cli.flags import flags_of
from unas.cli.options import Composition, RunOptions
from unas.cli.words import take
from unas.common.errors import UserError
from unas.compute.hardware import cpu_name

TRUST = ("--trust", "tiny:TinyDigits")
RECIPES = ("digits", "cifar10", "imagenet-mobile", "folder", f"{hostile.EVIL}:run", "", "../x")
LONGEST = 180  # seconds for one input
PATIENCE = 15  # seconds until a run is asked to stop
HELP = ("--help", "-h")
A_FAULT = 70  # the exit code of a fault of unas
NAMES_CODE = (
    "run",
    "search",
    "train",
    "sweep",
    "latency fit",
    "lab quality",
    "lab ranking",
    "lab table",
    "lab estimators",
)
# Whether the input took longer: set even where the error below is caught on its way.
is_late = threading.Event()


class TooLongError(BaseException):
    """An input takes too long; no `except Exception` of what is fuzzed may take it for its own."""


def flags_finding(draw: random.Random) -> str | None:
    """Read random words as the flags of `unas run`, `search` or `train`; nothing is run."""
    words = [draw.choice(RECIPES)]
    for _ in range(draw.randrange(5)):
        flag = draw.choice(FLAGS)
        value = str(draw.choice(hostile.HOSTILE))[: draw.choice((5, 100, 20_000))]
        words += draw.choice(
            ([flag, value], [f"{flag}={value}"], [flag], [value], [flag.replace("-", "_"), value])
        )
    words = [word for word in words if word not in HELP and not word.startswith(f"{hostile.EVIL}:")]
    return _outcome(
        "flags", lambda: _configured(draw.choice(("run", "search", "train")), words), words
    )


def _configured(name: str, words: list[str]) -> object:
    options, words = take(RunOptions(), words)
    return configured(COMMANDS[name], words, options)


def words_finding(draw: random.Random) -> str | None:
    """Do a command that only reads, with random words: no recipe is named, which is code."""
    readers = [name for name in COMMANDS if name not in NAMES_CODE]
    name = draw.choice([*readers, "latency", "lab", "", "\x00", "--version"])
    known = ["UNAS_CIFAR10", "--json", "--svg", "check", "--budget", "macs<=1M"]
    words = [str(draw.choice([*hostile.HOSTILE, *known]))[:999]]
    words += [str(draw.choice(hostile.HOSTILE))[:99] for _ in range(draw.randrange(3))]
    words = [*(name.split() or [name]), *words]
    return _outcome("commands", lambda: command(words), words)


def run_finding(whole: Path, directory: Path, draw: random.Random) -> str | None:
    """Change one file of a finished run and do what reads it."""
    run = directory / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(whole, run)
    files = sorted(path for path in run.rglob("*") if path.is_file())
    path = draw.choice(files)
    kind = draw.choice(
        ("change", "change", "change", "change", "pipe", "link", "folder", "missing", "empty")
    )
    content = path.read_bytes()
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(draw.choice((Path("/dev/zero"), path, Path("/etc/passwd"), directory)))
    elif kind == "folder":
        path.mkdir()
    elif kind in {"change", "empty"}:
        path.write_bytes(b"" if kind == "empty" else _changed(path, content, draw))
    words = draw.choice(
        (
            ["show", str(run)],
            ["report", str(run)],
            ["evaluate", str(run), *TRUST],
            ["export", str(run), *TRUST],
            ["run", "--resume", "--quiet", "--out", str(run), *TRUST],
        )
    )
    # A changed configuration may ask for a million epochs: somebody loses patience and stops the
    # run.
    patience = threading.Timer(PATIENCE, os.kill, (os.getpid(), signal.SIGTERM))
    patience.start()
    try:
        return _outcome("run directories", lambda: command(words), [kind, str(path), *words])
    finally:
        patience.cancel()


def operators_finding(models: list[onnx.ModelProto], draw: random.Random) -> str | None:
    """Check a file with one of the operators of onnx's own node tests, as it is or changed."""
    path = Path("operator.onnx")
    content = draw.choice(models).SerializeToString()
    path.write_bytes(content if draw.random() < 0.5 else hostile.mutated(content, draw))
    words = ["latency", "check", str(path)]
    for quantity in draw.sample(("macs", "params", "memory"), draw.randint(1, 3)):
        words += ["--budget", f"{quantity}<={draw.choice(('1k', '1M', '1G'))}"]
    return _outcome("onnx operators", lambda: command(words), words)


def folder_finding(root: Path, draw: random.Random) -> str | None:
    """Read a folder of images that somebody has filled with whatever a file system takes."""
    odd_folders.fill(root, draw)
    return _outcome(
        "folders", lambda: odd_folders.read_folder(root), sorted(map(repr, root.rglob("*")))[:9]
    )


def _changed(path: Path, content: bytes, draw: random.Random) -> bytes:
    """Return a changed content; a checkpoint gets a fitting checksum half of the time."""
    if path.suffix == ".ckpt" and draw.random() < 0.5:
        return hostile.changed_checkpoint(content, draw)
    return hostile.mutated(content, draw)


def _outcome(name: str, action: Callable[[], object], words: list[str]) -> str | None:
    """Return what went wrong, or None."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = action()
    except UserError as error:
        several = f"{name}: several lines: {str(error)[:200]!r} of {words}"
        return several if len(str(error).splitlines()) > 1 else None
    except SystemExit as error:
        return None if not error.code else f"{name}: exit code {error.code} of {words}"
    except (Exception, TooLongError) as error:
        return f"{name}: {type(error).__name__}: {str(error)[:200]} of {str(words)[:300]}"
    fault = _fault(code, out.getvalue(), err.getvalue())
    return f"{name}: {fault} of {str(words)[:300]}" if fault else None


def _fault(code: object, out: str, err: str) -> str | None:
    """Return what is wrong with how a command ended and what it printed, or None."""
    if code == A_FAULT:
        return f"exit code {code}: {err[-300:]}"
    if hostile.EVIL in sys.modules:
        return "code was run"
    moving = {character for character in out + err if not character.isprintable()} - set("\n\t\r")
    if moving:
        return f"{sorted(moving)} printed"
    lines = err.strip().splitlines() or [""]
    if code == 2 and not lines[-1].startswith("error: "):
        return f"no line of error but {lines[-1][-200:]!r}"
    return None


def _too_long(*_: object) -> None:
    is_late.set()
    raise TooLongError(f"more than {LONGEST} s")


def _finding(
    name: str, target: Callable[[random.Random], str | None], draw: random.Random
) -> str | None:
    """Return what went wrong with one input, or None."""
    is_late.clear()
    late = f"{name}: more than {LONGEST} s"
    try:
        signal.alarm(LONGEST)
        finding = target(draw)
    except TooLongError:
        return late
    finally:
        signal.alarm(0)
    return late if finding is None and is_late.is_set() else finding


FLAGS = ["--", "-x", "--search", "--seed="]
for options in (RunOptions(), Composition(), unas.recipe("digits")):
    FLAGS += [flag.name for flag in flags_of(options)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=float, default=6)
    parser.add_argument("--only", nargs="+", default=[])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    directory = Path(tempfile.mkdtemp(prefix="unas-fuzz-"))
    os.chdir(directory)
    hostile.plant(directory / "evil")
    whole = directory / "whole"
    unas.run(tiny_recipe(), whole, quiet=True)
    targets: dict[str, Callable[[random.Random], str | None]] = {
        reader.name: lambda draw, reader=reader: hostile.finding(  # type: ignore[misc]
            reader,
            hostile.mutated(draw.choice(reader.seeds), draw),
            directory / "files" / reader.name,
        )
        for reader in hostile.readers(directory)
    }
    targets |= {"flags": flags_finding, "commands": words_finding}
    models = operator_models.operator_models()
    targets["onnx operators"] = lambda draw: operators_finding(models, draw)
    targets["folders"] = lambda draw: folder_finding(directory / "photographs", draw)
    targets["run directories"] = lambda draw: run_finding(whole, directory, draw)
    targets = {
        name: target
        for name, target in targets.items()
        if not arguments.only or name in arguments.only
    }
    limit = int(arguments.memory * 2**30)
    logging.disable()  # each image that can't be read is named in the log, which is right and much
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    counts, findings = collections.Counter[str](), collections.Counter[str]()
    seconds = dict.fromkeys(targets, 0.0)
    signal.signal(signal.SIGALRM, _too_long)
    signal.signal(signal.SIGTERM, lambda *_: None)  # while nothing runs that could be stopped
    number, until = 0, time.monotonic() + 60 * arguments.minutes
    while time.monotonic() < until:
        name = min(targets, key=seconds.__getitem__)  # every kind gets the same time
        began = time.monotonic()
        draw = random.Random(f"{arguments.seed} {number}")  # noqa: S311
        finding = _finding(name, targets[name], draw)
        seconds[name] += time.monotonic() - began
        counts[name] += 1
        if finding:
            findings[finding] += 1
            if findings[finding] == 1:
                print(f"input {number}: {finding}", flush=True)
        number += 1
    where = f"{platform.platform()}, {cpu_name()}, Python {platform.python_version()}"
    print(f"{where}, seed {arguments.seed}")
    print("| read | inputs | minutes |\n|---|---|---|")
    for name in targets:
        print(f"| {name} | {counts[name]} | {seconds[name] / 60:.1f} |")
    print(f"{counts.total()} inputs, {findings.total()} findings; at most {_peak():.1f} GiB")
    sys.exit(bool(findings))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
