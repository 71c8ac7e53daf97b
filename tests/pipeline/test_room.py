"""What a search does where a step of it doesn't fit into memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from own_models import config_of
from tiny import tiny_recipe
from unas.common.errors import UserError
from unas.compute.ranks import ONE_PROCESS, Ranks
from unas.compute.runtime import RuntimeConfig
from unas.config import Config
from unas.data import DataSize
from unas.estimators import Estimator
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce import Reinforce
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.nn.choice import InputChoice
from unas.pipeline import estimate, room, search
from unas.pipeline.estimate import Estimate, Size, most_memory_of_search
from unas.pipeline.opening import work_in
from unas.pipeline.phases import searching_runtime
from unas.pipeline.preflight import preflight
from unas.pipeline.room import with_room
from unas.pipeline.trial import try_out
from unas.runs.checkpoints import Checkpoints, read_checkpoint

DATA = DataSize(1000, 100, 10, (1, 8, 8))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let a step need 1,000 MiB, and 400 where parts are computed again."""
    needs = {False: 1000 * 2**20, True: 400 * 2**20}
    monkeypatch.setattr(room, "most_memory_of_search", lambda *_: 5000 * 2**20)
    monkeypatch.setattr(
        room, "of_search", lambda _c, _d, runtime: Estimate(1.0, needs[runtime.recomputes], "2")
    )
    monkeypatch.setattr(room, "MOST_A_PIXEL", 2**30)
    return monkeypatch


def chosen(machine: pytest.MonkeyPatch, free: int | None, config: Config | None = None) -> bool:
    usable = float("inf") if free is None else free * 2**20
    machine.setattr(room, "usable_memory", lambda _: usable)
    config = config or tiny_recipe()
    return with_room(config, DATA, config.runtime.build(), quiet=False).runtime.recomputes


@pytest.mark.parametrize("free", [6000, 1000, None])
def test_what_fits_is_left_as_it_is(
    machine: pytest.MonkeyPatch, free: int | None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not chosen(machine, free)
    assert "memory" not in capfd.readouterr().err


def test_what_does_not_fit_is_computed_again(
    machine: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert chosen(machine, 600)
    said = " ".join(capfd.readouterr().err.split())
    assert "needs 1000.0 MiB of memory, and may take 600.0 MiB" in said
    assert "computed again in the backward, which needs 400.0 MiB" in said
    assert "search.batch_size" not in said


def test_what_does_not_fit_even_so_says_what_to_lower(
    machine: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert chosen(machine, 300)
    assert "lower search.batch_size" in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize(("recompute", "expected"), [("always", True), ("never", False)])
def test_who_decides_is_obeyed(
    machine: pytest.MonkeyPatch,
    recompute: str,
    expected: bool,
) -> None:
    config = replace(tiny_recipe(), runtime=RuntimeConfig("cpu", recompute=recompute))  # type: ignore[arg-type]
    assert chosen(machine, 300, config) == expected


def test_what_one_of_several_processes_does_is_estimated() -> None:
    config = tiny_recipe()
    search = replace(config.search, estimator=Reinforce(), weights_on="hard", balanced=True)
    config = replace(config, search=search)
    four = replace(config.runtime.build(), ranks=Ranks(size=4))
    own = room._of_one_process(config, four).search
    assert (own.batch_size, own.architectures_per_batch) == (6, 1)


@pytest.mark.parametrize("estimator", [ReinforceLeaveOneOut(), Rebar(leave_one_out=True)])
def test_a_process_with_one_architecture_compares_none(estimator: Estimator) -> None:
    config = tiny_recipe()
    search = replace(config.search, estimator=estimator, architectures_per_batch=4)
    four = replace(config.runtime.build(), ranks=Ranks(size=4))
    own = room._of_one_process(replace(config, search=search), four)
    assert own.search.architectures_per_batch == 1
    alone = replace(four, ranks=ONE_PROCESS)
    assert most_memory_of_search(own, DATA, alone) > 0


def test_a_search_that_never_learns_is_estimated() -> None:
    """Its estimator would refuse the single architecture of a batch."""
    config = tiny_recipe()
    search = replace(
        config.search, estimator=ReinforceLeaveOneOut(), architectures_per_batch=1, epochs=0
    )
    found = estimate.of_search(replace(config, search=search), DATA, config.runtime.build())
    assert found.seconds > 0


def test_a_small_step_is_not_even_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "usable_memory", lambda _: 2.0**40)
    monkeypatch.setattr(room, "most_memory_of_search", None)
    config = tiny_recipe()
    assert not with_room(config, DATA, config.runtime.build(), quiet=False).runtime.recomputes


def test_a_search_that_recomputes_finds_the_same(tmp_path: Path) -> None:
    ends = []
    for recompute in ("never", "always"):
        config = replace(tiny_recipe(), runtime=RuntimeConfig("cpu", recompute=recompute))  # type: ignore[arg-type]
        search(config, out=tmp_path / recompute, quiet=True)
        (*_, newest) = Checkpoints(tmp_path / recompute / "checkpoints").paths()
        ends.append(read_checkpoint(newest).state["state"]["search"])
    torch.testing.assert_close(ends[1]["policy"], ends[0]["policy"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("recomputes", [True, False])
def test_a_search_goes_on_as_it_began(
    recomputes: bool,
    tmp_path: Path,
    machine: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    config = tiny_recipe()
    frees = (600.0 * 2**20, 2.0**40)
    before, now = frees if recomputes else frees[::-1]
    machine.setattr(room, "usable_memory", lambda _: before)
    search(config, out=tmp_path, quiet=True)
    (*_, newest) = Checkpoints(tmp_path / "checkpoints").paths()
    assert read_checkpoint(newest).state["state"]["search"]["recomputes"] == recomputes
    machine.setattr(room, "usable_memory", lambda _: now)
    with work_in(config, tmp_path, "search", resume=True, quiet=False) as work:
        assert searching_runtime(work).recomputes == recomputes
    assert "computed again" not in capfd.readouterr().err


def test_no_step_is_tried_that_may_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_recipe()
    runtime = config.runtime.build()
    tried: list[int] = []

    def take(make: object, size: Size, runtime: object) -> estimate._Tried:  # noqa: ARG001
        tried.append(size.images)
        return estimate._Tried(size, 0.01, size.images * 10.0)

    monkeypatch.setattr(estimate, "_tried", take)
    monkeypatch.setattr(estimate, "usable_memory", lambda _: 100.0)
    found = estimate.of_search(config, DATA, runtime)
    assert max(tried) <= 10
    assert found.memory_bytes == pytest.approx(10 * config.search.batch_size)


def test_a_dry_run_says_what_a_search_would_do(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(room, "usable_memory", lambda _: 600.0 * 2**20)
    assert "backward" in preflight(tiny_recipe())["search_recomputes"]


def test_a_typo_is_refused() -> None:
    with pytest.raises(UserError, match="recompute is 'sometimes'; it must be auto or always or n"):
        RuntimeConfig("cpu", recompute="sometimes").build()  # type: ignore[arg-type]


class OneInput(nn.Module):
    """A model that chooses among inputs alone."""

    def __init__(self, num_classes: int, image_channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_channels, 4, 3)
        self.choice = InputChoice(2)
        self.classifier = nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        outcome = self.stem(images)
        picked = self.choice([outcome, outcome.relu()])
        return self.classifier(picked.mean((2, 3)))  # type: ignore[no-any-return]


def test_a_model_in_which_nothing_can_be_computed_again(
    machine: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = config_of(OneInput)
    always = replace(config, runtime=RuntimeConfig("cpu", recompute="always"))
    with pytest.raises(
        UserError, match=r"nothing in OneInput can be computed again.*recompute auto"
    ):
        try_out(always, DATA, always.runtime.build())
    assert not chosen(machine, 600, config)
    said = " ".join(capfd.readouterr().err.split())
    assert "lower search.batch_size" in said
    assert "computed again" not in said
