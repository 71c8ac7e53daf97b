"""A sweep on a real Ray head and a second node on loopback, which is killed in the middle."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
SUPPORT = Path(__file__).parents[1] / "support"
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
START = [*RAY, "start", "--block", "--num-cpus", "1", "--disable-usage-stats"]


def environment() -> dict[str, str]:
    paths = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    return {
        **os.environ,
        "PYTHONPATH": paths,
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def descendants(pid: int) -> list[int]:
    """Return a process and all that it has started, directly or not."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def kill(node: subprocess.Popen[bytes]) -> None:
    """Kill a node with all its workers at once, as when its power is lost."""
    for pid in descendants(node.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    node.wait(timeout=30)


def wait_for_nodes(address: str, count: int, nodes: list[subprocess.Popen[bytes]]) -> None:
    """Ask the head until so many nodes are active."""
    limit = time.monotonic() + 120
    while True:
        words = [*RAY, "status", "--address", address]
        found = subprocess.run(
            words, env=environment(), text=True, capture_output=True, check=False
        )
        if found.returncode == 0 and found.stdout.partition("Pending")[0].count(" node_") == count:
            return
        assert all(node.poll() is None for node in nodes), "a node has ended"
        assert time.monotonic() < limit, found.stdout + found.stderr


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a head with one CPU, and a second node with another."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    address, log = f"127.0.0.1:{port}", (tmp_path / "ray.log").open("wb")
    head_words = [
        "--head",
        "--port",
        str(port),
        "--node-ip-address",
        "127.0.0.1",
        "--include-dashboard",
        "false",
    ]
    nodes = [subprocess.Popen([*START, *head_words], env=environment(), stdout=log, stderr=log)]
    try:
        wait_for_nodes(address, 1, nodes)
        nodes.append(
            subprocess.Popen(
                [*START, "--address", address], env=environment(), stdout=log, stderr=log
            )
        )
        wait_for_nodes(address, 2, nodes)
        yield address, nodes[1]
    finally:
        for node in nodes:
            if node.poll() is None:
                kill(node)
        log.close()


def test_three_runs_survive_the_loss_of_a_node(
    cluster: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    address, second = cluster
    out = tmp_path / "sweep"
    words = [
        "sweep",
        "tiny:tiny_recipe",
        "--seeds",
        "0-2",
        "--ray",
        address,
        "--out",
        str(out),
    ]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "unas", *words],
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    limit = time.monotonic() + 900
    while len(list(out.glob("*/checkpoints"))) < 2:  # both nodes are at work
        assert sweep.poll() is None, sweep.communicate()
        assert time.monotonic() < limit
        time.sleep(0.1)
    kill(second)
    output, errors = sweep.communicate(timeout=1500)
    assert sweep.returncode == 0, errors + output
    table = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert [row["seed"] for row in table] == [*"012"]
    assert [row["state"] for row in table] == ["done"] * 3
