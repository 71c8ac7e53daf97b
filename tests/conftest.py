from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch

import unas
from tiny import tiny_recipe


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test come first, so that no worker is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Thousands of tiny operations: a second thread only waits, and on a busy machine the first
    waits for it. Programs that tests start are told the same.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="module")
def shapes_checked_in_units(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whole runs don't check shapes at each call: tests of what they are made of do, and it takes
    a fifth of a search's time.
    """
    room = request.path.relative_to(Path(__file__).parent).parts[0]
    is_whole = room in {"budgets", "cli", "lab", "pipeline", "recipes", "report"}
    jaxtyping.config.update("jaxtyping_disable", is_whole)
    yield
    jaxtyping.config.update("jaxtyping_disable", value=False)


@pytest.fixture(scope="session")
def finished(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> unas.Result:  # noqa: ARG001  the order
    """A tiny run that was never stopped; for reading only."""
    directory: Path = tmp_path_factory.mktemp("finished") / "run"
    return unas.run(tiny_recipe(), directory, quiet=True)
