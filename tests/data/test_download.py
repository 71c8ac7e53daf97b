"""Downloads, from a real server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from unas.common.errors import UserError
from unas.data._download import RemoteFile, fetch

CONTENT = bytes(range(256)) * 5000
PAGE = "https://example.org/data"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/absent.bin":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if self.path == "/broken.bin" else CONTENT)

    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def remote(url: str) -> RemoteFile:
    return RemoteFile(url, hashlib.md5(CONTENT).hexdigest(), PAGE)  # noqa: S324


def test_a_whole_file_arrives_in_silence(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "data.bin"
    fetch("mine", remote(f"{server}/data.bin"), path)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["data.bin"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "reason"), [("absent.bin", "404"), ("broken.bin", "md5")])
def test_a_failed_download_leaves_nothing_and_says_what_to_do(
    server: str, tmp_path: Path, name: str, reason: str
) -> None:
    path = tmp_path / name
    with pytest.raises(UserError) as caught:
        fetch("mine", remote(f"{server}/{name}"), path, ", and more")
    line = str(caught.value)
    assert line.startswith(f"mine: {path} is not there and can't be downloaded (")
    assert reason in line
    md5 = hashlib.md5(CONTENT).hexdigest()  # noqa: S324
    assert line.endswith(f"get {name} (md5 {md5}) from {PAGE} and put it at {path}, and more")
    assert not list(tmp_path.iterdir())


def test_another_file_than_the_published_one_is_not_kept(server: str, tmp_path: Path) -> None:
    wrong = RemoteFile(f"{server}/data.bin", "0" * 32, PAGE)
    came = hashlib.md5(CONTENT).hexdigest()  # noqa: S324  what the archive's page publishes
    with pytest.raises(UserError, match=f"what came has the md5 {came}"):
        fetch("mine", wrong, tmp_path / "data.bin")
    assert not list(tmp_path.iterdir())


def test_a_dead_server_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unas.data._download._TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/data.bin"
        with pytest.raises(UserError, match="timed out"):
            fetch("mine", remote(url), tmp_path / "data.bin")
