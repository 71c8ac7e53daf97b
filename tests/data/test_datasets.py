"""Every dataset of the registry, and the digits themselves."""

from __future__ import annotations

import dataclasses
import re
import socket
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import unas.data
from unas.common.errors import UserError


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise urllib.error.URLError(socket.gaierror(-2, "Name or service\nnot known"))

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", unas.data.names())
def test_without_network_a_dataset_loads_or_says_which_file_to_put_where(
    name: str, tmp_path: Path
) -> None:
    dataset = unas.data.get(name)
    assert dataclasses.is_dataclass(dataset)
    assert dataset() == dataset()
    root = tmp_path / "absent"
    try:
        data = dataset().load(root)
    except UserError as error:
        (line,) = str(error).splitlines()
        assert line.startswith(f"{name}: {root}")
        # A tree of files is not published as one file with a checksum.
        if name in {"folder", "imagenet"}:
            assert re.search(rf"put \S+ at {root}\S*/train/[A-Z]+/", line)
            return
        assert re.search(
            rf"get (\S+) \(md5 [0-9a-f]{{32}}\) from https://\S+ and put it at {root}\S*/\1", line
        )
        assert not [path for path in root.rglob("*") if path.is_file()]
    else:
        assert data.name == name


def test_names() -> None:
    assert unas.data.names() == (
        "cifar10",
        "cifar100",
        "digits",
        "fashion_mnist",
        "folder",
        "imagenet",
    )


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_a_root_that_is_a_file_is_one_line(name: str, tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_text("")
    with pytest.raises(UserError, match="can't be downloaded"):
        unas.data.get(name)().load(root)


def test_digits_are_scikit_learns(tmp_path: Path) -> None:
    data: Any = unas.data.get("digits")().load(tmp_path)
    assert (len(data.train), len(data.test), data.image_shape) == (1438, 359, (1, 8, 8))
    everything = torch.cat((data.train.images, data.test.images)).flatten(1).numpy()
    labels = torch.cat((data.train.labels, data.test.labels)).numpy()
    pixels, targets = load_digits(return_X_y=True)
    ours = np.column_stack((np.rint(everything * (16 / 255)), labels))
    theirs = np.column_stack((pixels, targets))
    assert np.array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])
    assert int(everything.max()) == 255


def test_digits_constants_are_the_measured_ones(tmp_path: Path) -> None:
    data: Any = unas.data.get("digits")().load(tmp_path)
    pixels = data.train.images.double() / 255
    assert data.mean == (round(pixels.mean().item(), 4),)
    assert data.std == (round(pixels.std(correction=0).item(), 4),)


def test_digits_do_not_depend_on_the_global_seed(tmp_path: Path) -> None:
    torch.manual_seed(1)
    one: Any = unas.data.get("digits")().load(tmp_path)
    torch.manual_seed(2)
    other: Any = unas.data.get("digits")().load(tmp_path)
    assert torch.equal(one.test.images, other.test.images)
