import errno
import hashlib
import io
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from unas.common import files
from unas.common.errors import UserError
from unas.runs import checkpoints as module
from unas.runs.checkpoints import Checkpoints
from unas.runs.session import CheckpointClock


@pytest.fixture
def store(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def save(store: Checkpoints, step: int) -> Path:
    return store.save("search", step, {"step": torch.tensor(step)})


def newest_step(store: Checkpoints) -> int | None:
    found = store.load_newest()
    return None if found is None else int(found.state["step"])


def test_a_training_state_comes_back_and_trains_on_identically(store: Checkpoints) -> None:
    def make() -> tuple[Any, Any, Any]:
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
        optimizer = torch.optim.Adam(net.parameters())
        return net, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)

    def train(
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler,
        steps: range,
    ) -> None:
        for step in steps:
            optimizer.zero_grad()
            data = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
            net(data).pow(3).mean().backward()
            optimizer.step()
            scheduler.step()

    whole = make()
    train(*whole, range(6))
    half = make()
    train(*half, range(3))
    names = ("net", "optimizer", "scheduler")
    store.save(
        "train", 3, {name: part.state_dict() for name, part in zip(names, half, strict=True)}
    )
    loaded = store.load_newest()
    assert (loaded.phase, loaded.step) == ("train", 3)
    rest = make()
    for name, part in zip(names, rest, strict=True):
        part.load_state_dict(loaded.state[name])
    train(*rest, range(3, 6))
    for name, value in whole[0].state_dict().items():
        assert torch.equal(rest[0].state_dict()[name], value)


def test_the_newest_two_are_kept_whatever_the_clock_says(store: Checkpoints) -> None:
    for step in (1, 2, 30, 4):
        os.utime(save(store, step), (10**9 - step, 10**9 - step))
    assert [path.name for path in store.paths()] == [
        "000003-search-30.ckpt",
        "000004-search-4.ckpt",
    ]
    assert newest_step(store) == 4


def test_nothing_saved_is_none(store: Checkpoints) -> None:
    assert store.load_newest() is None


def damaged_versions(content: bytes) -> Iterator[bytes]:
    yield from (content[: len(content) * tenth // 10] for tenth in range(10))
    for position in [*range(104), *range(104, len(content), len(content) // 40), len(content) - 1]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        yield bytes(flipped)
    yield content + b"\0"


def test_every_damage_is_noticed_named_and_the_one_before_used(
    store: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    save(store, 1)
    newest = save(store, 2)
    content = newest.read_bytes()
    for damaged in damaged_versions(content):
        newest.write_bytes(damaged)
        caplog.clear()
        assert newest_step(store) == 1
        (record,) = caplog.records
        assert record.name == "unas.runs"
        assert record.levelno == logging.WARNING
        assert str(newest) in record.getMessage()
    newest.write_bytes(content)
    assert newest_step(Checkpoints(newest.parent)) == 2


def test_saving_after_damage_keeps_the_sound_one(store: Checkpoints) -> None:
    save(store, 1)
    save(store, 2).write_bytes(b"")
    assert newest_step(store) == 1
    save(store, 3)
    assert [path.name for path in store.paths()] == ["000001-search-1.ckpt", "000003-search-3.ckpt"]


def test_all_damaged_starts_at_the_beginning_and_says_so(
    store: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    save(store, 1).write_bytes(b"")
    assert store.load_newest() is None
    assert "starting at the beginning" in caplog.text


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_a_disk_that_does_not_answer_is_no_damage(
    store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run would start over, and its next save would remove what was good."""
    for step in (1, 2):
        save(store, step)

    def unreadable(_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", unreadable)
        with pytest.raises(
            UserError, match=r"2\.ckpt can't be read: Input/output error; go on with --resume when"
        ):
            store.load_newest()
    assert newest_step(store) == 2
    save(store, 3)
    assert len(store.paths()) == 2


def test_memory_that_is_short_is_no_damage(
    store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, 1)

    def short(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", short)
        with pytest.raises(MemoryError):
            store.load_newest()
    assert newest_step(store) == 1


def test_code_in_a_checkpoint_is_not_run(store: Checkpoints, tmp_path: Path) -> None:
    path = save(store, 1)
    buffer = io.BytesIO()
    torch.save(
        {"phase": "search", "step": 1, "state": {"x": Malicious(tmp_path / "proof")}}, buffer
    )
    payload = buffer.getvalue()
    header = (
        f"unas checkpoint 1 {hashlib.sha256(payload).hexdigest()} {len(payload):020d}\n".encode()
    )
    path.write_bytes(header + payload)
    with pytest.raises(UserError, match="not a checkpoint that unas wrote"):
        module.read_checkpoint(path)
    assert not (tmp_path / "proof").exists()


def test_a_state_that_could_not_be_loaded_is_refused_before_it_is_saved(store: Checkpoints) -> None:
    with pytest.raises(TypeError, match=r"state\['a'\]\[1\] is a set"):
        store.save("search", 1, {"a": [1, {2}]})
    assert store.paths() == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_keeps_the_earlier_ones(
    store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [save(store, 1), save(store, 2)]
    kept[0].with_name(f".000003-search-3.ckpt.{os.getpid()}.tmp").symlink_to("/dev/full")
    monkeypatch.setattr(module, "remove_leftovers", lambda _: None)
    monkeypatch.setattr(files, "_remove", lambda _: None)
    with pytest.raises(
        UserError, match=r"000003-search-3\.ckpt: the disk is full: .+ needed, .+ free; .*--resume"
    ):
        save(store, 3)
    assert store.paths() == kept
    assert newest_step(store) == 2


@pytest.mark.parametrize(
    ("killed_in", "expected"), [("fsync", 1), ("replace", 1), ("sync_directory", 2)]
)
def test_kill_in_the_middle_of_a_save(tmp_path: Path, killed_in: str, expected: int) -> None:
    script = f"""
        import os, signal, torch
        from pathlib import Path
        from unas.common import files
        from unas.runs.checkpoints import Checkpoints

        store = Checkpoints(Path("checkpoints"))
        store.save("search", 1, {{"step": torch.tensor(1)}})
        place = files if {killed_in!r} == "sync_directory" else files.os
        setattr(place, {killed_in!r}, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        store.save("search", 2, {{"step": torch.tensor(2)}})
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, check=False
    )
    assert done.returncode == -signal.SIGKILL
    store = Checkpoints(tmp_path / "checkpoints")
    assert newest_step(store) == expected
    save(store, 3)
    assert newest_step(store) == 3
    assert all(name.endswith(".ckpt") for name in os.listdir(tmp_path / "checkpoints"))


def test_clock_is_due_by_time_or_by_steps() -> None:
    now = [100.0]
    clock = CheckpointClock(60.0, every_steps=50, clock=lambda: now[0])
    assert not clock.due(49)
    assert clock.due(50)
    clock.saved(50)
    now[0] += 59.0
    assert not clock.due(99)
    now[0] += 1.0
    assert clock.due(51)
    clock.saved(51)
    assert not clock.due(51)
    assert not CheckpointClock(60.0, clock=lambda: now[0]).due(10**9)
