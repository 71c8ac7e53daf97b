"""Two processes with half the batch each, against one with the whole batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import processes
import ranks
from unas.common.errors import UserError
from unas.compute.ranks import Ranks


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the two processes found, and what one alone finds."""
    directory = tmp_path_factory.mktemp("ranks")
    done = processes.torchrun("ranks", str(directory))
    assert done.returncode == 0, done.stderr
    return [*(torch.load(directory / f"{rank}.pt") for rank in range(2)), ranks.everything()]


def assert_close(a: Any, b: Any, where: str) -> None:
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11, msg=lambda text: f"{where}: {text}")


@pytest.mark.parametrize("name", [*ranks.SEARCHES, "training"])
def test_two_halves_are_one_whole(name: str, found: list[dict[str, Any]]) -> None:
    first, second, alone = (each[name] for each in found)
    for part in ("state", "figures"):
        assert_close(first[part], second[part], f"rank 1 {part}")
        assert_close(first[part], alone[part], f"one process {part}")


def bits(value: Any) -> Any:
    """Return a nested value with every tensor as its bytes."""
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    return value.detach().numpy().tobytes() if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize("name", [*ranks.SEARCHES, "training"])
def test_all_ranks_have_the_same_bits(name: str, found: list[dict[str, Any]]) -> None:
    """Policy, weights, optimisers and whatever the estimator remembers: baselines, learned η,
    control variate.
    """
    assert bits(found[0][name]["state"]) == bits(found[1][name]["state"])


@pytest.mark.parametrize("name", ["reinforce", "reinforce_loo, 2 draws", "rebar", "rebar, learned"])
def test_each_rank_has_architectures_of_its_own(name: str, found: list[dict[str, Any]]) -> None:
    samples = [each[name]["samples"] for each in found]
    for first, second, alone in zip(*samples, strict=True):
        assert not torch.equal(first, second)
        copies = len(alone) // ranks.G
        halves = [half.view(copies, ranks.G // 2, -1) for half in (first, second)]
        assert_close(torch.cat(halves, 1).flatten(0, 1), alone, name)


def test_a_weight_that_differs_in_its_last_bit_is_named(found: list[dict[str, Any]]) -> None:
    told, followed = (each["disagreement"] for each in found[:2])
    line = "the processes disagree after search step 10: supernet model.head.weight of rank 1 is not that of the others"
    assert told.startswith(f"UserError: {line}; ")
    assert followed.startswith(f"RankZeroError: {line}; ")  # which nobody prints twice


def test_statistics_of_batch_norm_are_those_that_are_saved(found: list[dict[str, Any]]) -> None:
    first, second = (each["statistics"] for each in found[:2])
    assert bits(first) == bits(second)
    assert first["1.running_mean"].abs().max() > 0


def test_a_text_that_is_not_the_same_everywhere_ends_all(found: list[dict[str, Any]]) -> None:
    line = "the text of rank 1 is not that of rank 0; start all processes with the same words"
    assert [each["same text"] for each in found[:2]] == [
        ["", f"UserError: {line}"],
        ["", f"RankZeroError: {line}"],
    ]


def test_messages(found: list[dict[str, Any]]) -> None:
    told = {"a": [1, None, "é"], "t": torch.arange(3), "rank": 0}
    for each, name in zip(found[:2], ("UserError", "RankZeroError"), strict=True):
        value, error, largest, total, mean = each["messages"]
        torch.testing.assert_close(value.pop("t"), told["t"])
        assert value == {"a": [1, None, "é"], "rank": 0}
        assert error == f"{name}: rank 0 says no"
        assert (largest, total, mean) == (2.0, (3.0, 2.0), {"a": 1.5})


def test_a_batch_that_does_not_share_out_is_refused() -> None:
    assert Ranks(1, 4).share(24, "search.batch_size") == 6
    with pytest.raises(
        UserError, match=r"search\.batch_size is 26, which 4 processes .*; make it 28"
    ):
        Ranks(1, 4).share(26, "search.batch_size")
