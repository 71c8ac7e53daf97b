"""Budgets in config.json: today's, those of older versions, and searches that go on from them."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import unas
from fake_clock import FakeClock
from small_run import of_median, small
from unas.budgets.budget import Budget, read_budgets
from unas.common.errors import Interrupted
from unas.config import Config
from unas.config.document import config_from_json, config_to_json
from unas.latency.backends.command import CommandBackend
from unas.objectives import latency as latency_term
from unas.runs.directory import RunDirectory


def as_once(config: Config) -> Config:
    """Return the configuration that older versions wrote: with the terms of its budgets in it."""
    return replace(config, search=config.steered_search())


def test_budgets_survive_their_json_and_a_command_needs_trust() -> None:
    command = CommandBackend("clock {model}")
    on_phone = replace(Budget.parse("latency<=3ms"), backend=command)
    config = small(budgets=(on_phone, "macs<=1M"))
    term = config.steered_search().objectives["latency"]
    assert isinstance(term, latency_term.LatencyTerm)
    assert term.backend == command
    text, trusted = config_to_json(config), ["tiny:TinyDigits", "fake_clock:small_model"]
    assert json.loads(text)["budgets"][1] == "macs<=1M"
    assert config_from_json(text, trusted=[*trusted, "command"]) == config
    for name in (
        "command",
        "Command",
        "COMMAND",
    ):  # a file may write the name as the command line would take it
        with pytest.raises(unas.UserError, match="'command' is code from outside unas"):
            config_from_json(text.replace('"command"', f'"{name}"', 1), trusted=trusted)


def test_a_run_whose_file_has_the_terms_of_its_budgets_goes_on(tmp_path: Path) -> None:
    config = small(budgets=(of_median("macs", 0.6), "latency<=10s"))
    unas.search(as_once(config), tmp_path / "run", quiet=True)
    document = json.loads((tmp_path / "run" / "config.json").read_text())
    assert {"macs", "latency"} < set(document["search"]["objectives"])
    document["budgets"][1] = "latency <= 10s"  # as it was typed
    (tmp_path / "run" / "config.json").write_text(json.dumps(document))
    for same in (config, as_once(config)):
        unas.search(same, tmp_path / "run", resume=True, quiet=True)
    tighter = replace(config, budgets=read_budgets([of_median("macs", 0.5), "latency<=10s"]))
    with pytest.raises(unas.UserError, match="is not this run's configuration"):
        unas.search(tighter, tmp_path / "run", resume=True, quiet=True)


def test_a_file_of_once_has_the_command_in_the_term() -> None:
    command = CommandBackend("clock {model}")
    budget = replace(Budget.parse("latency<=3ms"), backend=command)
    document = json.loads(config_to_json(as_once(small(budgets=(budget,)))))
    document["budgets"] = ["latency<=3ms@command"]
    trusted = ["tiny:TinyDigits", "fake_clock:small_model", "command"]
    config = config_from_json(json.dumps(document), trusted=trusted)
    assert config.budgets == (budget,)
    document["search"]["objectives"].pop("latency")
    with pytest.raises(unas.UserError, match="backend command: the command is missing"):
        config_from_json(json.dumps(document), trusted=trusted)


def test_a_search_with_a_clock_is_stopped_after_every_step_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small()
    term = latency_term.LatencyTerm(target_ms=5.0, backend=FakeClock(), mode="measured")
    objectives = {**config.search.objectives, "latency": term}
    config = replace(config, search=replace(config.search, objectives=objectives))
    whole = unas.search(config, tmp_path / "whole", quiet=True)
    log = RunDirectory.log

    def stopping_log(self: RunDirectory, *arguments: Any) -> None:
        log(self, *arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunDirectory, "log", stopping_log)
    stops = 0
    while True:
        try:
            resumed = unas.search(config, tmp_path / "run", resume=True, quiet=True)
            break
        except Interrupted:
            stops += 1
    assert stops >= 9
    for name in ("metrics.jsonl", "policy.json", "genotype.json"):
        assert (resumed.directory / name).read_bytes() == (whole.directory / name).read_bytes(), (
            name
        )
