"""Ctrl-C and SIGTERM while a run chooses, tests and exports: it ends at once, and goes on from
there.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_resume import assert_same_artefacts

import unas
from tiny import SEARCH_STEPS, TRAINING_STEPS, tiny_recipe
from unas.common.errors import Interrupted
from unas.pipeline import batches, phases
from unas.pipeline import choosing as choosing_phase
from unas.runs.names import GENOTYPE, ONNX, SUMMARY
from unas.searching import choosing
from unas.searching.losses import Losses


def _in_small_batches(patch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def choose(*arguments: Any) -> Any:
        patch.setattr(batches, "EVALUATION_BATCH", 8)
        return choosing.choose(*arguments)

    return choose


def test_a_run_stops_in_the_middle_of_choosing_testing_and_exporting(
    finished: unas.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped_in(owner: Any, name: str, number: int) -> str:
        function, calls = getattr(owner, name), []

        def stopping(*arguments: Any, **named: Any) -> Any:
            calls.append(name)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGTERM)
            return function(*arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, stopping)
            with pytest.raises(Interrupted) as caught:
                unas.run(tiny_recipe(), run, resume=True, quiet=True)
        assert len(calls) == number  # not one more
        assert caught.value.signal_number == signal.SIGTERM
        return str(caught.value)

    run = tmp_path / "run"
    # The only calls of `logits` outside of `Losses.__call__` are those of the mode after three epochs,
    # and then those of four candidates and eight random ones, on the first batch of three.
    with monkeypatch.context() as patch:
        patch.setattr(choosing_phase, "choose", _in_small_batches(patch))
        patch.setattr(Losses, "__call__", _losses_that_do_not_count)
        message = stopped_in(Losses, "logits", 3 + 4 + 8)
    assert message.startswith(
        f"stopped after search step {SEARCH_STEPS}, saved in {run}; go on with: unas run --resume "
    )
    assert not (run / GENOTYPE).exists()

    message = stopped_in(phases, "evaluate", 1)
    assert message.startswith(
        f"stopped after training step {TRAINING_STEPS}, saved in {run}; go on with: unas run "
    )
    assert "test_accuracy" not in (run / SUMMARY).read_text()

    stopped_in(phases, "export_onnx", 1)
    assert (run / ONNX).exists()
    assert "onnx_max_difference" not in (run / SUMMARY).read_text()

    unas.run(tiny_recipe(), run, resume=True, quiet=True)
    assert_same_artefacts(run, finished.directory)


_logits = Losses.logits


def _losses_that_do_not_count(self: Losses, images: Any, labels: Any, sample: Any) -> Any:
    return torch.nn.functional.cross_entropy(
        _logits(self, images, sample), labels, reduction="none"
    )
