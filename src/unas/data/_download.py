"""Fetch one published file, whole and checked, or say in one line where a person can put it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from unas.common.errors import UserError, kind_and_line
from unas.common.text import printable

_log = logging.getLogger("unas.data")
_TIMEOUT_SECONDS = 15.0
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file that somebody publishes.

    Args:
        url: the file's address.
        md5: the file's published checksum, in hexadecimal.
        page: address of the page that a person would get the file from.
    """

    url: str
    md5: str
    page: str

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.url.rpartition("/")[2]


def fetch(dataset: str, remote: RemoteFile, path: Path, note: str = "") -> None:
    """Download `remote` to `path`: the whole file with its published checksum, or none.

    torchvision's own `download_url` waits without limit on a dead network, prints, and leaves half
    a file behind when it is interrupted.

    Args:
        dataset: the word that an error line begins with.
        remote: what is downloaded.
        path: where the file is to be; missing folders are made.
        note: the end of the error line, where there is more to say.

    Raises:
        UserError: there is no network, or what came has another checksum; the line says which file
            to put where.
    """
    # With the process's number in it, two runs that start together don't share it.
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _log.info("downloading %s to %s", remote.url, printable(str(path)))
        md5 = _stream_to(partial, remote.url)
        if md5 != remote.md5:
            raise OSError(f"what came has the md5 {md5}")
        partial.replace(path)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        raise UserError(
            f"{dataset}: {path} is not there and can't be downloaded "
            f"({kind_and_line(error)}); "
            f"get {remote.name} (md5 {remote.md5}) from {remote.page} and put it at {path}{note}"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _stream_to(path: Path, url: str) -> str:
    """Write what `url` answers to `path` and return its md5."""
    digest = hashlib.md5(usedforsecurity=False)  # the checksum that the publishers give
    headers = {"User-Agent": "unas"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  (the URLs are constants)
    with (
        urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer,  # noqa: S310
        path.open("wb") as file,
    ):
        while chunk := answer.read(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
