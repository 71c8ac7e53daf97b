"""What benchmarks/fuzz.py takes for a finding."""

from __future__ import annotations

import contextlib
import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

import hostile
from unas.common.errors import UserError
from unas.runs.checkpoints import Checkpoints, read_checkpoint

FILE = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FILE.parent)  # as when it is run
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("caught", [OSError, Exception, BaseException])
def test_an_input_that_takes_too_long_is_found_whatever_is_caught_on_its_way(
    caught: type[BaseException], fuzz: ModuleType
) -> None:
    def read() -> int:
        try:
            fuzz._too_long()
        except caught as error:
            raise UserError("x can't be read") from error
        return 0

    draw = random.Random(0)  # noqa: S311
    finding = fuzz._finding("files", lambda _: fuzz._outcome("files", read, ["x"]), draw)
    assert finding is not None
    assert "more than" in finding
    assert fuzz._finding("files", lambda _: None, draw) is None  # the next one isn't blamed


@pytest.mark.parametrize(
    ("text", "is_finding"), [("a\tb\r\n", False), ("\x1b[2J", True), ("\u202e", True)]
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_moves_the_cursor_is_a_finding(
    text: str, is_finding: bool, stream: str, fuzz: ModuleType
) -> None:
    def command() -> int:
        getattr(sys, stream).write(text)
        return 0

    assert bool(fuzz._outcome("commands", command, [])) == is_finding


def test_changed_checkpoints_get_past_the_checksum(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path).save("search", 1, {"metrics_bytes": 0, "state": {}})
    content = path.read_bytes()
    read = 0
    for seed in range(40):
        path.write_bytes(hostile.changed_checkpoint(content, random.Random(seed)))  # noqa: S311
        with contextlib.suppress(UserError):
            read += read_checkpoint(path).path == path
    assert read >= 5


def test_odd_folders_are_read_or_refused_in_one_line(fuzz: ModuleType, tmp_path: Path) -> None:
    whole = 0
    for seed in range(80):
        draw = random.Random(seed)  # noqa: S311
        assert fuzz.folder_finding(tmp_path / "photographs", draw) is None
        with contextlib.suppress(UserError):
            fuzz.odd_folders.read_folder(tmp_path / "photographs")
            whole += 1
    assert 0 < whole < 80  # some of each
