import importlib.metadata
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from unas.common.errors import UserError
from unas.compute.runtime import Runtime, RuntimeConfig, seed_step
from unas.runs.manifest import collect_manifest, git_revision

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def product_dtype(runtime: Runtime) -> torch.dtype:
    one = torch.ones(2, 2, device=runtime.device)
    with runtime.autocast():
        return F.linear(one, one).dtype


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_precision_on_the_cpu(precision: Any, dtype: torch.dtype) -> None:
    runtime = RuntimeConfig("cpu", precision).build()
    assert product_dtype(runtime) == dtype
    assert torch.device("cpu") == runtime.device
    assert str(dtype).removeprefix("torch.") in runtime.describe()
    runtime.synchronise()


@needs_cuda
@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
def test_auto_precision_on_cuda_is_what_the_device_computes_in(device: str) -> None:
    runtime = RuntimeConfig(device).build()
    assert runtime.device == torch.device("cuda:0")
    modern = torch.cuda.is_bf16_supported(including_emulation=False)
    assert product_dtype(runtime) == (torch.bfloat16 if modern else torch.float32)
    assert torch.cuda.get_device_name(0) in runtime.describe()
    runtime.synchronise()


def test_auto_without_an_accelerator_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert RuntimeConfig().build() == Runtime(torch.device("cpu"), torch.float32)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "device 'cuda': .*; use --device cpu"),
        ("cuda:1", "device 'cuda:1': .*; use --device cpu"),
        ("mps", "device 'mps': .*; use --device auto"),
        ("gpu", "device 'gpu' does not exist; use auto, cpu, cuda, cuda:N or mps"),
        ("cuda:x", "device 'cuda:x' does not exist"),
    ],
)
def test_a_missing_device_is_one_line_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, device: str, message: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"^{message}[^\n]*$"):
        RuntimeConfig(device).build()


def test_a_gpu_beyond_the_last_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"'cuda:2': this machine has 2 of them, cuda:0 to cuda:1"):
        RuntimeConfig("cuda:2").build()


def test_an_unknown_precision_is_one_line() -> None:
    with pytest.raises(
        UserError, match=r"precision 'float16' does not exist; use auto, float32 or bfloat16"
    ):
        RuntimeConfig("cpu", "float16").build()  # type: ignore[arg-type]


def test_a_steps_dropout_depends_on_seed_stream_and_step_alone() -> None:
    def dropped(*key: Any) -> torch.Tensor:
        seed_step(*key)
        return F.dropout(torch.ones(64))

    reference = dropped(0, "train", 5)
    dropped(0, "train", 6)
    torch.rand(3)
    assert torch.equal(dropped(0, "train", 5), reference)
    for other in ((1, "train", 5), (0, "search", 5), (0, "train", 6)):
        assert not torch.equal(dropped(*other), reference)


def test_tf32_is_allowed_inside_the_block_on_cuda_only() -> None:
    before = torch.get_float32_matmul_precision()
    for device, inside in (("cpu", before), ("cuda:0", "high")):
        with Runtime(torch.device(device), torch.float32).tf32_allowed():
            assert torch.get_float32_matmul_precision() == inside
        assert torch.get_float32_matmul_precision() == before


def test_one_process_is_rank_0_of_1_and_a_group_is_seen(tmp_path: Path) -> None:
    runtime = RuntimeConfig("cpu").build()
    assert (runtime.ranks.rank, runtime.ranks.size) == (0, 1)
    script = f"""
import torch.distributed as dist
from unas.compute.runtime import RuntimeConfig
store = dist.FileStore({str(tmp_path / "store")!r}, 1)
dist.init_process_group("fake", rank=2, world_size=5, store=store)
runtime = RuntimeConfig("cpu").build()
print(runtime.ranks.rank, runtime.ranks.size)
"""
    prelude = "from torch.testing._internal.distributed import fake_pg\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "5"]


def test_manifest_says_what_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = json.loads(json.dumps(collect_manifest(7, ["unas", "run"], "CPU")))
    assert manifest["seed"] == 7
    assert manifest["command"] == ["unas", "run"]
    assert manifest["versions"]["torch"] == importlib.metadata.version("torch")
    assert sys.version.startswith(manifest["versions"]["python"])
    age = datetime.now(UTC) - datetime.fromisoformat(manifest["started"])
    assert -1 <= age.total_seconds() < 60
    assert manifest["git_revision"] is None
    nproc = subprocess.run(
        ["nproc"], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    assert manifest["hardware"]["cores"] == int(nproc.stdout)
    with open("/proc/meminfo") as file:
        (kib,) = map(int, re.findall(r"MemTotal:\s+(\d+) kB", file.read()))
    assert manifest["hardware"]["memory_bytes"] == kib * 1024


def test_the_revision_is_that_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "init", "-q"], check=True)
    assert git_revision() is None
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    log = subprocess.run(
        ["git", "log", "-1", "--format=%H"], capture_output=True, text=True, check=True
    )
    assert git_revision() == log.stdout.strip()


def test_importing_sets_nothing_global() -> None:
    script = """
import torch, signal, os
state = lambda: (torch.get_float32_matmul_precision(), torch.initial_seed(), torch.get_default_dtype(),
                 torch.get_num_threads(), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM),
                 torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled(), dict(os.environ))
before = state()
import unas.compute.runtime, unas.runs.directory, unas.runs.progress, unas.runs.interruption, unas.runs.manifest
assert state() == before
import sys
assert "tensorboard" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
