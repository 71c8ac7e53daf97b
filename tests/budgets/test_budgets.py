"""Budgets as people type them, right and wrong, and verdicts at the limit."""

from dataclasses import replace

import pytest

from unas.budgets import quantities
from unas.budgets.budget import Budget, read_budgets
from unas.budgets.verdicts import judge
from unas.common.errors import UserError
from unas.costs.reading import Reading
from unas.latency.backends.command import CommandBackend

COMMAND = CommandBackend("clock {model}")


@pytest.mark.parametrize(
    ("text", "quantity", "limit", "shown"),
    [
        ("latency<=8ms@onnxruntime", "latency", 8.0, "latency<=8ms@onnxruntime"),
        ("latency<=8ms", "latency", 8.0, "latency<=8ms@onnxruntime"),
        ("latency <= 250us @ eager", "latency", 0.25, "latency<=250us@eager"),
        ("latency<=0.5s@command", "latency", 500.0, "latency<=0.5s@command"),
        ("macs<=600M", "macs", 600e6, "macs<=600M"),
        ("macs<=1.5G", "macs", 1.5e9, "macs<=1.5G"),
        ("params<=4M", "params", 4e6, "params<=4M"),
        ("params<=1234", "params", 1234, "params<=1234"),
        ("params<=4e6", "params", 4e6, "params<=4e+06"),
        ("memory<=200MB", "memory", 200e6, "memory<=200MB"),
        ("params<=1234567", "params", 1234567, "params<=1234567"),
        ("memory<=64KiB", "memory", 65536, "memory<=64KiB"),
        ("memory<=1.5GiB", "memory", 1.5 * 2**30, "memory<=1.5GiB"),
        ("energy<=50mJ", "energy", 50.0, "energy<=50mJ"),
        ("energy<=2J", "energy", 2000.0, "energy<=2J"),
    ],
)
def test_a_budget_is_read_and_written_back(
    text: str, quantity: str, limit: float, shown: str
) -> None:
    budget = Budget.parse(text, {"command": COMMAND})
    assert budget.quantity == quantities.get(quantity)()
    assert budget.limit == pytest.approx(limit)
    assert str(budget) == shown
    assert Budget.parse(str(budget), {"command": COMMAND}) == budget


@pytest.mark.parametrize("share", [0.95, 1 / 3, 0.1 + 0.2])
def test_a_limit_that_nobody_typed_is_written_so_that_it_can_be_read_back(share: float) -> None:
    for text in ("latency<=0.1214ms", "memory<=64KiB", "params<=1234567"):
        budget = Budget.parse(text)
        budget = replace(budget, limit=share * budget.limit)
        assert Budget.parse(str(budget)) == budget


def test_a_command_without_its_line_is_refused_with_both_ways_to_give_it() -> None:
    with pytest.raises(UserError, match=r"--command, in Python as CommandBackend\(command=…\)"):
        Budget.parse("latency<=8ms@command")
    budget = replace(Budget.parse("latency<=8ms"), backend=COMMAND)
    assert str(budget) == "latency<=8ms@command"


def test_a_quantity_has_a_backend_or_none() -> None:
    with pytest.raises(UserError, match="budget on macs: the quantity has no backend"):
        replace(Budget.parse("macs<=6M"), backend=COMMAND)
    with pytest.raises(UserError, match="budget on latency: the quantity needs a backend"):
        replace(Budget.parse("latency<=8ms"), backend=None)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("latencey<=8ms", "quantity 'latencey' does not exist; did you mean latency?"),
        ("accuracy>=0.9", "quantity 'accuracy' does not exist"),
        ("latency<=8mss@eager", "unit 'mss' does not exist; did you mean ms?"),
        ("latency<=8", "the unit is missing; There are: ms"),
        ("macs<=600m", "unit 'm' does not exist"),
        ("memory<=2MBit", "unit 'MBit' does not exist"),
        (
            "latency<=8ms@onnxruntim",
            "backend 'onnxruntim' does not exist; did you mean onnxruntime?",
        ),
        ("latency<=8ms@os:system", "backend 'os:system' is not a subclass of unas"),
        ("os:system<=8", "quantity 'os:system' is not a subclass of unas"),
        ("no_such_module:Depth<=8", "no module 'no_such_module'"),
        ("no_such_module:Depth=8", "can't be read; write it like no_such_module:Depth<=100"),
        ("latency<=8ms@", "backend '' does not exist"),
        ("macs<=6M@eager", "macs has no backend; leave @eager out"),
        ("latency>=8ms", "can't be read; write it like latency<=8ms@onnxruntime"),
        ("latency=8ms", "can't be read"),
        ("latency<=ms", "can't be read"),
        ("latency<=-8ms", "the limit is '-8'; it must be a number above 0"),
        ("latency<=0ms", "the limit is '0'"),
        ("latency<=1e999ms", "the limit is '1e999'"),
        ("latency<=8-3ms", "the limit is '8-3'"),
        ("", "quantity '' does not exist"),
        ("latency<=8ms@eager latency<=9ms", "can't be read"),
    ],
)
def test_a_wrong_budget_gives_one_line(text: str, part: str) -> None:
    with pytest.raises(UserError) as error:
        Budget.parse(text)
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_two_budgets_for_one_thing_are_refused() -> None:
    assert len(read_budgets(["latency<=8ms@eager", "latency<=8ms@onnxruntime", "macs<=6M"])) == 3
    phones = [replace(Budget.parse("latency<=8ms"), backend=CommandBackend(line)) for line in "ab"]
    assert read_budgets(phones) == tuple(phones)
    with pytest.raises(UserError, match="there are two for latency"):
        read_budgets(["latency<=8ms", "latency<=9ms@onnxruntime"])


@pytest.mark.parametrize(
    ("value", "low", "high", "passed", "is_undecided"),
    [
        (7.0, 6.9, 7.1, True, False),
        (8.0, 8.0, 8.0, True, False),
        (7.9, 7.8, 8.1, False, True),
        (8.1, 7.9, 8.3, False, True),
        (9.0, 8.5, 9.5, False, False),
    ],
)
def test_the_whole_interval_must_be_within_the_budget(
    value: float, low: float, high: float, passed: bool, is_undecided: bool
) -> None:
    verdict = judge(Budget.parse("latency<=8ms"), Reading(value, low, high))
    assert verdict.passed is passed
    line = verdict.line()
    assert line.startswith("PASS " if passed else "FAIL ")
    assert ("take more samples" in line) is is_undecided
    assert f"{value:.4g}ms" in line


def test_an_exact_figure_has_no_interval() -> None:
    verdict = judge(Budget.parse("memory<=2MiB"), Reading.exact(2**21))
    assert verdict.passed
    assert verdict.line() == "PASS memory<=2MiB: 2MiB"
    assert not judge(Budget.parse("macs<=600M"), Reading.exact(600_000_001)).passed


@pytest.mark.parametrize(
    ("text", "value", "line"),
    [
        ("macs<=600M", 600_000_400, "FAIL macs<=600M: 600.0004M"),
        ("macs<=600M", 600_000_001, "FAIL macs<=600M: 600.000001M"),
        ("macs<=600M", 601_234_567, "FAIL macs<=600M: 601.235M"),
        ("macs<=600M", 599_999_999, "PASS macs<=600M: 600M"),
        ("params<=1234567", 1_234_568, "FAIL params<=1234567: 1234568"),
        ("memory<=2MiB", 2**21 + 1, "FAIL memory<=2MiB: 2.00000095367432MiB"),
        ("latency<=8ms@eager", 8.00001, "FAIL latency<=8ms@eager: 8ms"),
    ],
)
def test_what_is_over_by_little_does_not_read_like_the_limit(
    text: str, value: float, line: str
) -> None:
    assert judge(Budget.parse(text), Reading.exact(value)).line() == line
