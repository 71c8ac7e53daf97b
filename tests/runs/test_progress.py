import io
from pathlib import Path
from typing import Any

import pytest

from unas.common.text import readable_time
from unas.runs.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(stream: io.StringIO, steps: int = 100, seconds_a_step: float = 1.0, **options: Any) -> None:
    clock = Clock()
    with Progress(
        "search", 100, Path("runs/[a]"), stream=stream, clock=clock, **options
    ) as progress:
        for step in range(options.get("start_step", 0), steps):
            clock.now += seconds_a_step
            progress.update(step + 1, loss=1 / (step + 1))


def test_without_a_terminal_a_line_comes_every_ten_seconds_and_at_the_end() -> None:
    stream = io.StringIO()
    run(stream, steps=25)
    assert stream.getvalue().splitlines() == [
        "search 10/100  loss 0.1  1 min 30 s left  runs/[a]",
        "search 20/100  loss 0.05  1 min 20 s left  runs/[a]",
        "search 25/100  loss 0.04  1 min 15 s left  runs/[a]",
    ]


def test_steps_that_take_a_quarter_count_as_much() -> None:
    """Of forty that take a quarter of the time, an earlier process has done twenty."""
    stream = io.StringIO()

    def work(steps: int) -> float:
        return steps - min(steps, 40) * 3 / 4

    run(stream, steps=100, start_step=20, seconds_a_step=1.0, work=work)
    first, _, third, *_ = stream.getvalue().splitlines()
    assert "search 30/100" in first
    assert "4 min 10 s left" in first  # 62.5 of work, of 4 s each so far
    assert "search 50/100" in third
    assert "1 min 40 s left" in third  # 50 of work; 15 took 30 s


def test_the_last_line_comes_once_and_says_how_long_it_took() -> None:
    stream = io.StringIO()
    run(stream)
    assert stream.getvalue().splitlines()[-2:] == [
        "search 90/100  loss 0.01111  10 s left  runs/[a]",
        "search 100/100  loss 0.01  took 1 min 40 s  runs/[a]",
    ]


def test_a_resumed_phase_is_timed_by_its_own_steps() -> None:
    stream = io.StringIO()
    run(stream, steps=90, start_step=80)
    assert stream.getvalue() == "search 90/100  loss 0.01111  10 s left  runs/[a]\n"


def test_a_terminal_gets_one_bar_with_everything_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    run(stream, steps=50)
    shown = stream.getvalue()
    for part in ("search", "50/100", "loss 0.02", "50 s left", "runs/[a]"):
        assert part in shown


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_quiet_shows_nothing(stream: io.StringIO) -> None:
    run(stream, quiet=True)
    assert stream.getvalue() == ""


def test_standard_output_stays_clean(capsys: pytest.CaptureFixture[str]) -> None:
    run(None)  # type: ignore[arg-type]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "search 100/100" in captured.err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7650, "2 h 07 min"),
    ],
)
def test_times_read_well(seconds: float, text: str) -> None:
    assert readable_time(seconds) == text
