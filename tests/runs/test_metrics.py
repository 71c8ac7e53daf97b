import json
import math
import os
from pathlib import Path

import pytest

from unas.common.errors import UserError
from unas.runs.metrics import MetricsLog, read_metrics


def test_lines_are_strict_json_in_order(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.log("search", 1, {"loss": 0.1, "images": 64, "gap": math.nan})
    log.log("train", 1, {"loss": -math.inf})
    assert log.flush() == os.path.getsize(log.path)
    log.close()

    def refuse(name: str) -> None:
        raise AssertionError(name)

    lines = [json.loads(line, parse_constant=refuse) for line in log.path.read_text().splitlines()]
    assert lines == [
        {"phase": "search", "step": 1, "loss": 0.1, "images": 64, "gap": None},
        {"phase": "train", "step": 1, "loss": None},
    ]
    assert list(read_metrics(log.path)) == lines


def test_names_that_would_hide_the_step_are_refused(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match="phase or step"):
        log.log("search", 1, {"step": 2.0})
    log.close()


def test_half_a_last_line_is_left_out_when_reading_and_cut_when_resuming(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    log.log("search", 1, {"loss": 1.0})
    kept = log.flush()
    log.log("search", 2, {"loss": 2.0})
    log.close()
    path.write_bytes(path.read_bytes()[:-5])
    assert [line["step"] for line in read_metrics(path)] == [1]
    log = MetricsLog(path, kept)
    log.log("search", 2, {"loss": 2.0})
    log.close()
    assert [line["loss"] for line in read_metrics(path)] == [1.0, 2.0]


def test_a_file_shorter_than_its_checkpoint_knows_is_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("{}\n")
    with pytest.raises(UserError, match="has 3 bytes, its checkpoint knows of 10"):
        MetricsLog(path, 10)
    assert path.read_text() == "{}\n"


@pytest.mark.parametrize(
    "line", [b"oops\n", b"[1]\n", b'{"step": 1}\n', b"\xff\n", b"x" * (2**20 + 1) + b"\n"]
)
def test_damaged_lines_name_file_and_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"phase": "search", "step": 1}\n' + line)
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2"):
        list(read_metrics(path))


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        list(read_metrics(tmp_path / "metrics.jsonl"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.symlink_to("/dev/full")
    log = MetricsLog(path)
    with pytest.raises(UserError, match=r"metrics\.jsonl: the disk is full"):
        log.log("search", 1, {"loss": 1.0})
    log.close()
