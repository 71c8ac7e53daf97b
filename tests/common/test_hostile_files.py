"""Files from somebody who means ill: no code runs, no traceback, one line."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hostile
from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.lab.table_files import read_table
from unas.latency.predictor_files import load_predictor
from unas.runs.metrics import read_metrics
from unas.runs.network import load_network

NAMES = (
    "genotype",
    "config",
    "predictor",
    "CSV table",
    "JSON table",
    "metrics",
    "checkpoint",
    "network",
    "image",
)
FAST = ("genotype", "config", "predictor", "CSV table", "JSON table", "metrics")


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, hostile.Reader]]:
    directory = tmp_path_factory.mktemp("hostile")
    hostile.plant(directory / "evil")
    yield {reader.name: reader for reader in hostile.readers(directory)}
    sys.path.remove(str(directory / "evil"))


@pytest.mark.parametrize("name", NAMES)
def test_the_unchanged_files_are_read(
    name: str, readers: dict[str, hostile.Reader], tmp_path: Path
) -> None:
    for seed in readers[name].seeds:
        path = tmp_path / readers[name].file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(seed)
        refusal = None
        try:
            readers[name].read(path)
        except UserError as error:
            refusal = str(error)
        assert refusal is None


@pytest.mark.parametrize("name", NAMES)
def test_changed_files_are_read_or_refused_in_one_line(
    name: str, readers: dict[str, hostile.Reader], tmp_path: Path
) -> None:
    @settings(
        max_examples=30 if name in FAST else 8,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def check(draw: random.Random) -> None:
        reader = readers[name]
        found = hostile.finding(reader, hostile.mutated(draw.choice(reader.seeds), draw), tmp_path)
        assert found is None

    check()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["genotype", "config", "predictor", "JSON table"])
def test_any_json_is_read_or_refused_in_one_line(
    name: str, readers: dict[str, hostile.Reader], tmp_path: Path
) -> None:
    import json

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(JSON)
    def check(document: object) -> None:
        assert hostile.finding(readers[name], json.dumps(document).encode(), tmp_path) is None

    check()


@pytest.mark.parametrize(
    "reader",
    [load_genotype, load_predictor, read_table, load_network, lambda p: list(read_metrics(p))],
)
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "circle", "nothing", "NUL", "long"])
def test_what_is_no_plain_file_is_refused_at_once(
    reader: object, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / {"NUL": "a\0b", "long": "x" * 5000}.get(kind, "file.json")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "circle":
        path.symlink_to(path)
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        reader(path)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 5
