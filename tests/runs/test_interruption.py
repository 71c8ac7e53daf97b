import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from unas.common.errors import Interrupted
from unas.runs.interruption import StopSignal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with StopSignal() as stop:
        assert stop.signal_number is None
        os.kill(os.getpid(), number)
        assert stop.signal_number == number
        assert "finishing this step, then saving" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_handlers_are_restored_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError), StopSignal():
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_it_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with StopSignal() as stop:
            seen.append((stop.signal_number, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]


def test_a_loop_in_a_process_ends_after_its_step() -> None:
    script = """
import time
from unas.runs.interruption import StopSignal
with StopSignal() as stop:
    print("ready", flush=True)
    while stop.signal_number is None:
        time.sleep(0.01)
print("saved")
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert out == "saved\n"
    assert process.returncode == 0


def test_interrupted_says_where_and_how_to_go_on() -> None:
    command = "unas run digits --out runs/a --resume"
    error = Interrupted(Path("runs/a"), "search", 120, command, signal.SIGTERM)
    assert "\n" not in str(error)
    for part in ("search step 120", "runs/a", command):
        assert part in str(error)
