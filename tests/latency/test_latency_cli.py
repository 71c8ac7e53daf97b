"""`unas latency` from the shell's words to files and exit codes."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import unas
from unas.architecture.published import load_genotype
from unas.cli import main
from unas.graphs.memory import peak_memory
from unas.graphs.quick_onnx import direct_onnx
from unas.graphs.size import count_macs, count_parameters
from unas.latency.predictor_files import load_predictor
from unas.spaces import create_network

SMALL = "--network.channels 4 --network.layers 3 --input-shape 3,12,12 --threads 1 --samples 6"


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return create_network(load_genotype("UNAS_CIFAR10"), channels=4, layers=3).eval()


@pytest.fixture
def model(network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(direct_onnx(network, (3, 12, 12)).SerializeToString())
    return "model.onnx"


def exit_code(words: list[str]) -> Any:
    try:
        return main(words)
    except SystemExit as ended:
        return ended.code


def rows(text: str) -> dict[str, str]:
    return dict(
        re.split(r" {2,}", line.strip(), maxsplit=1)
        for line in text.splitlines()
        if "  " in line.strip()
    )


@pytest.mark.parametrize("backend", ["onnxruntime", "eager"])
def test_a_genotype_is_measured_with_its_fingerprint(
    backend: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "latency.json"
    assert (
        main(
            [
                "latency",
                "measure",
                "unas_cifar10",
                *SMALL.split(),
                "--backend",
                backend,
                "--json",
                str(out),
            ]
        )
        == 0
    )
    printed = rows(capsys.readouterr().out)
    document = json.loads(out.read_text())
    assert document["low_ms"] <= document["median_ms"] <= document["high_ms"]
    assert document["samples"] == 6
    assert [
        document["fingerprint"][name] for name in ("batch_size", "channels", "height", "width")
    ] == [1, 3, 12, 12]
    assert document["fingerprint"]["threads"] == 1
    assert f"{document['median_ms']:.4g} ms" in printed["latency"]
    assert ("noisy" in printed["latency"]) is document["is_noisy"]
    assert document["fingerprint"]["processor"] in printed["machine"]
    assert printed["backend"].startswith(f"{backend} ")


def test_a_file_is_measured_at_any_batch_size(
    model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = [
        "latency",
        "measure",
        model,
        "--threads",
        "1",
        "--samples",
        "6",
        "--batch",
        "2",
        "--json",
        "x.json",
    ]
    assert main(words) == 0
    assert json.loads((tmp_path / "x.json").read_text())["fingerprint"]["batch_size"] == 2
    assert "images 2×3×12×12" in capsys.readouterr().out


def test_a_command_measures_the_file(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"{sys.executable} -c 'import sys; print(len(sys.argv[1]))' {{model}}"
    assert (
        main(
            [
                "latency",
                "measure",
                model,
                "--backend",
                "command",
                "--command",
                command,
                "--samples",
                "6",
            ]
        )
        == 0
    )
    assert "remote" in capsys.readouterr().out


@pytest.mark.usefixtures("model")
def test_budgets_that_are_met_are_exit_code_0_and_others_1(
    network: nn.Module, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    macs, params = count_macs(network, (3, 12, 12)), count_parameters(network)
    memory = peak_memory(network, (3, 12, 12))
    exact = [f"macs<={macs}", f"params<={params}", f"memory<={memory}B", "latency<=10s@onnxruntime"]
    words = ["latency", "check", "model.onnx", "--threads", "1", "--samples", "6"]
    assert exit_code([*words, *(word for budget in exact for word in ("--budget", budget))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["PASS"] * 4
    assert "95 %" in lines[3]
    one_less = [
        f"macs<={macs - 1}",
        f"params<={params - 1}",
        f"memory<={memory - 1}B",
        "latency<=0.1us",
    ]
    for budget in one_less:
        other = exact[1 if budget.startswith("macs") else 0]
        assert (
            exit_code([*words, "--budget", other, "--budget", budget, "--json", "verdicts.json"])
            == 1
        )
        passed, failed = capsys.readouterr().out.splitlines()
        assert passed.startswith("PASS")
        assert failed.startswith(f"FAIL {budget.partition('<=')[0]}<=")
        verdicts = json.loads((tmp_path / "verdicts.json").read_text())["verdicts"]
        assert [verdict["passed"] for verdict in verdicts] == [True, False]


@pytest.mark.parametrize("verb", ["measure", "check"])
def test_a_place_that_is_none_is_told_before_anything_is_measured(
    verb: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["latency", verb, model, "--json", f"{model}/figures.json", "--samples", "6"]
    if verb == "check":
        words += ["--budget", "macs<=1"]
    assert exit_code(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "model.onnx" in printed.err


def test_a_real_process_ends_with_1(model: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "unas", "latency", "check", model, "--budget", "macs<=1"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("FAIL macs<=1:")


def test_a_command_decides_a_budget(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "latency",
        "check",
        model,
        "--samples",
        "6",
        "--command",
        f"{sys.executable} -c 'print(7.5)' {{model}}",
    ]
    assert exit_code([*words, "--budget", "latency<=8ms@command"]) == 0
    assert exit_code([*words, "--budget", "latency<=7ms@command"]) == 1
    assert "7.5ms" in capsys.readouterr().out


def test_a_fitted_predictor_is_written_and_its_quality_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "predictor.json"
    words = (
        "latency fit digits --space.operations 2 --network.layers 3 --network.channels 4 "
        "--threads 1 --rounds 1"
    )
    assert (
        main([*words.split(), "--architectures", "12", "--held-out", "5", "--out", str(out)]) == 0
    )
    predictor, printed = load_predictor(out), rows(capsys.readouterr().out)
    assert predictor.fingerprint.input_shape == (1, 8, 8)  # that of the recipe's data
    assert predictor.network["num_classes"] == 10
    assert "12 architectures, 48 forwards" in printed["measured"]
    assert f"{predictor.quality.mape:.2f} %" in printed["held out"]
    assert predictor.least()[1] > 0


# What is typed, and what the line must say.
MISTAKES = {
    "no action": ("latency", "ACTION is missing"),
    "action": ("latency mesure x", "did you mean measure?"),
    "nothing to measure": ("latency measure", "MODEL|GENOTYPE|RUN is missing"),
    "genotype": ("latency measure UNAS_CIFAR11", "did you mean UNAS_CIFAR10?"),
    "file that is missing": ("latency measure none.onnx", "none.onnx doesn't exist"),
    "file that is none": ("latency measure half.onnx", "half.onnx is no ONNX file"),
    "backend": ("latency measure UNAS_CIFAR10 --backend onxruntime", "did you mean onnxruntime?"),
    "no command": (
        "latency measure UNAS_CIFAR10 --backend command",
        "the command is missing; give one",
    ),
    "command of no backend": (
        "latency measure model.onnx --samples 6 --command echo",
        "--command is given, but --backend is onnxruntime; add --backend command",
    ),
    "command of no budget": (
        "latency check model.onnx --budget macs<=6G --command echo",
        "--command is given, but no budget is @command; write it like latency<=8ms@command",
    ),
    "name that is too long": (
        f"latency measure {300 * 'x'}",
        "no such file, and no published genotype",
    ),
    "name of a file that is too long": (f"latency measure {300 * 'x'}.onnx", "doesn't exist"),
    "too many threads": ("latency measure model.onnx --threads 1099511627776", "at most 1024"),
    "too many threads to check": (
        "latency check model.onnx --budget latency<=8ms --threads 1099511627776",
        "at most 1024",
    ),
    "file in eager": ("latency measure model.onnx --backend eager", "eager can't run an ONNX file"),
    "size of a file": (
        "latency measure model.onnx --network.channels 4",
        "unrecognised flag --network.channels",
    ),
    "other images": (
        "latency measure model.onnx --input-shape 1,28,28",
        "takes images [3, 12, 12], not [1, 28, 28]",
    ),
    "two numbers": ("latency measure UNAS_CIFAR10 --input-shape 8,8", "--input-shape is (8, 8)"),
    "no images": ("latency measure UNAS_CIFAR10 --batch 0", "--batch is 0"),
    "few samples": ("latency measure model.onnx --samples 2", "samples is 2"),
    "no budget": ("latency check model.onnx", "--budget is missing"),
    "unit": ("latency check model.onnx --budget macs<=6Q", "unit 'Q' does not exist"),
    "quantity": ("latency check model.onnx --budget latncy<=6ms", "did you mean latency?"),
    "check no file": (
        "latency check UNAS_CIFAR10 --budget macs<=6M",
        "is no ONNX file and no run with one",
    ),
    "budget in eager": (
        "latency check model.onnx --budget latency<=8ms@eager",
        "eager can't run an ONNX file",
    ),
    "rubbish": (
        "latency check model.onnx --budget latency<=8ms@command --command echo",
        "printed '",
    ),
    "recipe": ("latency fit digts", "did you mean digits?"),
    "space of your own": ("latency fit module", "'module' is neither a recipe nor a space"),
    "few architectures": ("latency fit darts --architectures 2", "architectures is 2"),
    "no class": ("latency fit darts --classes 0", "--classes is 0"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    mistake: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert model == "model.onnx"
    (tmp_path / "half.onnx").write_bytes((tmp_path / model).read_bytes()[:99])
    words, line = MISTAKES[mistake]
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert line in err
    assert len(err.splitlines()) == 1


def test_a_run_is_measured_by_its_file_and_by_its_network(
    finished: unas.Result, capsys: pytest.CaptureFixture[str]
) -> None:
    for backend in ("onnxruntime", "eager"):
        words = [
            "latency",
            "measure",
            str(finished.directory),
            "--backend",
            backend,
            "--threads",
            "1",
            "--samples",
            "6",
        ]
        assert main(words) == 0
        assert "images 1×1×8×8" in capsys.readouterr().out
    assert exit_code(["latency", "check", str(finished.directory), "--budget", "macs<=1G"]) == 0


def test_a_file_with_open_sizes_asks_for_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "open.onnx"
    pooled = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = direct_onnx(pooled, (3, 12, 12))
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.dim_param = "side"
    path.write_bytes(model.SerializeToString())
    assert main(["latency", "check", str(path), "--budget", "macs<=1G"]) == 2
    assert "give it, for example --input-shape 3,32,32" in capsys.readouterr().err
    assert (
        exit_code(
            ["latency", "check", str(path), "--budget", "macs<=1944", "--input-shape", "3,8,8"]
        )
        == 0
    )
    assert torch.get_num_threads() == 1


def product_file(path: Path, kind: int, batch: str | int) -> None:
    """Write a file that takes images of a type, and multiplies their rows with an int32 weight."""
    make = onnx.helper.make_node
    nodes = [
        make("Cast", ["images"], ["x"], to=onnx.TensorProto.FLOAT),
        make("Cast", ["q"], ["w"], to=onnx.TensorProto.FLOAT),
        make("Flatten", ["x"], ["f"]),
        make("MatMul", ["f", "w"], ["logits"]),
    ]
    images = onnx.helper.make_tensor_value_info("images", kind, [batch, 3, 8, 8])
    logits = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [batch, 10])
    weight = onnx.numpy_helper.from_array(np.zeros((192, 10), np.int32), "q")
    graph = onnx.helper.make_graph(nodes, "g", [images], [logits], [weight])
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), path)


@pytest.mark.parametrize("kind", ["FLOAT16", "UINT8", "DOUBLE", "INT64"])
def test_images_of_the_files_own_type_are_measured(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    product_file(path, onnx.TensorProto.DataType.Value(kind), "batch")
    words = ["latency", "check", str(path), "--threads", "1", "--samples", "6"]
    words += ["--budget", "latency<=10s", "--budget", "macs<=1920", "--budget", "params<=100"]
    assert exit_code(words) == 1
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "PASS latency<=10s@onnxruntime",
        "PASS macs<=1920",
        "FAIL params<=100",
    ]


def test_a_fixed_number_of_images_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    product_file(path, onnx.TensorProto.FLOAT, 4)
    words = ["latency", "check", str(path), "--samples", "6", "--budget"]
    for budget, line in (
        ("latency<=10s", "can't be measured: it takes 4 images at once, not 1"),
        ("macs<=1M", "it takes 4 images at once, and budgets are for one"),
    ):
        assert exit_code([*words, budget]) == 2
        error = capsys.readouterr().err
        assert line in error
        assert error.count("\n") == 1
    assert exit_code([*words, "params<=1920"]) == 0
    measured = ["latency", "measure", str(path), "--samples", "6", "--batch", "4"]
    assert exit_code(measured) == 0
