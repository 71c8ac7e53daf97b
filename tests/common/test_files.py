import errno
import json
import math
import os
import re
import stat
from pathlib import Path

import pytest

from unas.common import documents, files
from unas.common.errors import UserError


def fill_the_disk_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next atomic write of `path` end on a device that is always full."""
    (path.parent / f".{path.name}.{os.getpid()}.tmp").symlink_to("/dev/full")
    monkeypatch.setattr(files, "_remove", lambda _: None)


def test_written_files_replace_the_old_ones_with_ordinary_permissions(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    files.write_text(path, "old")
    documents.write_json(path, {"name": "µ", "loss": [1.5, math.nan, (math.inf,)]})
    assert json.loads(path.read_bytes()) == {"name": "µ", "loss": [1.5, None, [None]]}
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["plain", "summary.json"]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), files.replacing(path) as temporary:
        raise KeyError(temporary.write_bytes(b"half of the n"))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.onnx"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_keeps_the_old_file_and_says_how_much_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.json"
    files.write_text(path, "old")
    fill_the_disk_at(path, monkeypatch)
    with pytest.raises(
        UserError, match=r"policy\.json: the disk is full: 3\.0 MiB needed, .+iB free"
    ):
        files.write_bytes(path, bytes(2 * 2**20), bytes(2**20))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["policy.json"]


def test_a_path_that_is_no_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"^\S+summary\.json can't be written: Not a directory; [^\n]+$"
    ):
        files.write_text(tmp_path / "file" / "summary.json", "")


def test_a_full_disk_is_one_line_where_the_directory_is_not_made_yet(tmp_path: Path) -> None:
    for number in (errno.ENOSPC, errno.EDQUOT):
        path = tmp_path / "no" / "such" / "model.onnx"
        line = str(files.write_error(path, OSError(number, ""), 2**20))
        assert re.fullmatch(
            r"\S+model\.onnx: the disk is full: 1\.0 MiB needed, .+iB free; [^\n]+", line
        )


def test_what_is_not_a_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("missing", "No such file"),
        (".", "not a plain file"),
        ("pipe", "not a plain file"),
    ):
        with pytest.raises(UserError, match=message):
            documents.read_json(tmp_path / name)
    (tmp_path / "big").write_text("1" * 1025)
    assert files.read_text(tmp_path / "big", 1025) == "1" * 1025
    with pytest.raises(UserError, match="larger than"):
        files.read_text(tmp_path / "big", 1024)
