"""The latency of several images at once: as a budget, as a term of the search, of a run's file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

import unas
from fake_clock import BLUEPRINT
from small_run import GENOTYPES, small
from unas.budgets.budget import Budget, read_budgets
from unas.budgets.effort import Effort
from unas.budgets.onnx_file import OnnxFile
from unas.budgets.steering import steered
from unas.common.errors import UserError
from unas.config.document import config_from_json
from unas.estimators.reinforce import Reinforce
from unas.latency import measure
from unas.latency.backends import Backend
from unas.latency.backends.command import CommandBackend
from unas.objectives import Setting
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.latency import LatencyTerm, RunningLatency


@dataclass(frozen=True)
class ImageClock(Backend):
    """A millisecond for each image and each hundred parameters; of a file, for each image."""

    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    runs_files: ClassVar[bool] = True

    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,  # noqa: ARG002
        threads: int,  # noqa: ARG002
    ) -> Callable[[], float]:
        parameters = sum(parameter.numel() for parameter in network.parameters())
        return lambda: batch_shape[0] * parameters / 100

    def prepare_file(
        self,
        path: Path,  # noqa: ARG002
        batch_shape: tuple[int, int, int, int],
        device: torch.device,  # noqa: ARG002
        threads: int,  # noqa: ARG002
    ) -> Callable[[], float]:
        return lambda: float(batch_shape[0])


BUDGET = replace(Budget.parse("latency<=1s,batch=24"), backend=ImageClock())


@pytest.mark.parametrize(
    ("text", "batch", "shown"),
    [
        ("latency<=10ms@eager,batch=24", 24, "latency<=10ms@eager,batch=24"),
        ("latency <= 10ms @ eager , batch = 24", 24, "latency<=10ms@eager,batch=24"),
        ("latency<=10ms,batch=8", 8, "latency<=10ms@onnxruntime,batch=8"),
        ("latency<=10ms@eager,batch=1", 1, "latency<=10ms@eager"),
        ("latency<=10ms@eager", 1, "latency<=10ms@eager"),
    ],
)
def test_a_batch_is_read_and_written_back(text: str, batch: int, shown: str) -> None:
    budget = Budget.parse(text)
    assert budget.batch == batch
    assert str(budget) == shown
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("energy<=10mJ,batch=24", "batch is 24, but the quantity is that of one image"),
        ("macs<=6M,batch=2", "batch is 2, but the quantity is that of one image"),
        ("latency<=10ms@eager,batch=0", "batch is 0; it must be a whole number, 1 or more"),
        ("latency<=10ms@eager,batch=-3", "can't be read"),
        ("latency<=10ms@eager,batch=many", "can't be read"),
        ("latency<=10ms@eager,batch=", "can't be read"),
        ("latency<=10ms@command,batch=2", "but backend command makes its own batch"),
    ],
)
def test_a_wrong_batch_gives_one_line(text: str, part: str) -> None:
    with pytest.raises(UserError) as error:
        Budget.parse(text, {"command": CommandBackend("clock {model}")})
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_batches_of_two_sizes_are_two_budgets() -> None:
    texts = ["latency<=8ms", "latency<=9ms,batch=24"]
    assert len(read_budgets(texts)) == 2
    with pytest.raises(UserError, match="there are two for latency"):
        read_budgets([*texts, "latency<=10ms@onnxruntime,batch=24"])


def test_all_images_of_the_batch_are_clocked(tmp_path: Path) -> None:
    network = BLUEPRINT.network(GENOTYPES[0])
    of_one_image = sum(parameter.numel() for parameter in network.parameters()) / 100
    gauge = BUDGET.gauge(BLUEPRINT, "cpu", Effort())
    assert gauge(GENOTYPES[0]).value == pytest.approx(24 * of_one_image)
    file = OnnxFile(tmp_path / "model.onnx", BLUEPRINT.image_shape)
    assert BUDGET.of_file(file, "cpu", Effort()).value == 24


@pytest.mark.parametrize("backend", ["eager", "onnxruntime"])
def test_a_latency_says_of_how_many_images_it_is(backend: str) -> None:
    network = BLUEPRINT.network(GENOTYPES[0])
    latency = measure(network, (5, 1, 8, 8), backend, samples=6, max_seconds=0.1)
    assert latency.batch == 5
    assert measure(network, (1, 8, 8), backend, samples=6, max_seconds=0.1).batch == 1


def test_a_predicted_latency_is_that_of_the_batch() -> None:
    setting = Setting(BLUEPRINT, Reinforce())
    of_batch = RunningLatency(LatencyTerm(backend=ImageClock(), batch=24), setting)
    of_image = RunningLatency(LatencyTerm(backend=ImageClock()), setting)
    of_batch.prepare()
    of_image.prepare()
    assert of_batch.fingerprint.batch_size == 24
    for genotype in GENOTYPES[:5]:
        assert of_batch.known().of(genotype) == pytest.approx(
            24 * of_image.known().of(genotype), rel=1e-3
        )


def test_only_a_term_of_the_same_batch_is_lowered_to_a_budget() -> None:
    one, batch = LatencyTerm(backend=ImageClock()), LatencyTerm(backend=ImageClock(), batch=24)
    terms = steered({"cross_entropy": CrossEntropy(), "one": one}, [replace(BUDGET, limit=5.0)])
    assert terms["one"] == one
    assert terms["latency"] == replace(batch, target_ms=0.95 * 5, weight=10 / 5.0)
    terms = steered({"cross_entropy": CrossEntropy(), "many": batch}, [replace(BUDGET, limit=5.0)])
    assert terms == {"cross_entropy": CrossEntropy(), "many": replace(batch, target_ms=0.95 * 5)}


def test_a_term_refuses_a_batch_that_is_none_or_that_its_backend_ignores() -> None:
    with pytest.raises(UserError, match="batch is 0; it must be a whole number, 1 or more"):
        LatencyTerm(batch=0)
    with pytest.raises(UserError, match="batch is 2, but backend command makes its own"):
        LatencyTerm(batch=2, backend=CommandBackend("clock {model}"))


def test_a_run_is_judged_on_the_batch(tmp_path: Path) -> None:
    text = "latency<=10s@onnxruntime,batch=3"
    result = unas.run(small(budgets=(text,)), tmp_path / "run", quiet=True)
    (verdict,) = result.summary["budgets"]
    assert verdict["budget"] == text
    assert verdict["line"].startswith(f"PASS {text}: ")
    config = config_from_json(
        (tmp_path / "run" / "config.json").read_text(),
        trusted=["tiny:TinyDigits", "fake_clock:small_model"],
    )
    assert config.budgets == (Budget.parse(text),)
    assert text in (tmp_path / "run" / "report.html").read_text().replace("&lt;", "<")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["budgets"] == [text]
