import json
import math
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unas.common import files
from unas.common.errors import UserError


def fill_the_disk_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next atomic write of `path` end on a device that is always full."""
    (path.parent / f".{path.name}.{os.getpid()}.tmp").symlink_to("/dev/full")
    monkeypatch.setattr(files, "_remove", lambda _: None)


def test_written_files_replace_the_old_ones_with_ordinary_permissions(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    files.write_text(path, "old")
    files.write_json(path, {"name": "µ", "loss": [1.5, math.nan, (math.inf,)]})
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"loss": [1, 2', "truncated"),
        (b"", "empty"),
        (b'{"loss": oops}', "is not JSON .* line 1, column 10"),
        (b'{"loss": NaN}', "NaN is not JSON"),
        (b"\xff\xfe\x00", "not text"),
        (b"[" * 200_000, "is not JSON"),
        (b"9" * 10_000, "is not JSON"),
    ],
)
def test_damaged_json_names_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "genotype.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"genotype\.json .*{message}") as caught:
        files.read_json(path)
    assert "\n" not in str(caught.value)


def test_what_is_not_a_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("missing", "No such file"),
        (".", "not a plain file"),
        ("pipe", "not a plain file"),
    ):
        with pytest.raises(UserError, match=message):
            files.read_json(tmp_path / name)
    (tmp_path / "big").write_text("1" * 1025)
    assert files.read_text(tmp_path / "big", 1025) == "1" * 1025
    with pytest.raises(UserError, match="larger than"):
        files.read_text(tmp_path / "big", 1024)


@given(st.one_of(st.binary(), st.text(alphabet='{}[]",:0123456789.eE-+truefalsnI \\')))
def test_no_input_gives_anything_but_json_or_one_line(text: str) -> None:
    try:
        value = files.parse_json(text, "config.json")
    except UserError as error:
        assert str(error).startswith("config.json")  # noqa: PT017
    else:
        assert json.loads(files.to_json(value)) == value
