"""The command line: help, flags that reach the configuration, results, exit codes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from torch import nn

from unas import __version__, pipeline
from unas.architecture.genotype import Genotype
from unas.architecture.published import list_genotypes, load_genotype
from unas.cli import main
from unas.cli.commands import COMMANDS
from unas.cli.flags import field_help, flag
from unas.cli.words import take
from unas.common.errors import Interrupted
from unas.config import Config
from unas.config.document import config_to_json
from unas.nn.choice import OpChoice
from unas.objectives.cross_entropy import CrossEntropy
from unas.pipeline import Result
from unas.recipes import names, recipe
from unas.runs.directory import RunDirectory

TINY = (
    "--search.epochs 1 --search.warm-up-epochs 0 --search.batch-size 128 --training.epochs 1 --choosing.candidates 0 "
    "--training.warm-up-epochs 0 --space.channels 2 --space.operations 2 --network.channels 4 --network.layers 3"
)


@dataclass(frozen=True)
class TwiceTheLoss(CrossEntropy):
    """A term from outside unas."""

    weight: float = 2.0


class TinyNet(nn.Sequential):
    """A model with a choice in it."""

    def __init__(self) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            OpChoice({"a": nn.LazyLinear(10), "b": nn.Identity()}),
        )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Config, Any, dict[str, bool]]]:
    """Record what the commands ask the pipeline for, and answer at once."""
    calls: list[tuple[Config, Any, dict[str, bool]]] = []

    def answer(config: Config, out: Any, **options: bool) -> Result:
        calls.append((config, out, options))
        return Result(
            Path(out), load_genotype("UNAS_CIFAR10"), {"test_accuracy": 0.975, "parameters": 1234}
        )

    for name in ("run", "search", "train"):
        monkeypatch.setattr(pipeline, name, answer)
    return calls


def configured(words: str, asked: list[tuple[Config, Any, dict[str, bool]]]) -> Config:
    assert main(words.split()) == 0
    return asked[-1][0]


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from unas.cli import main; codes = [main([]), main(['--help']), main(['run', '--help']),"
        " main(['--version']), main(['list'])]; assert codes == [0] * 5;"
        " assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert __version__ in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--help"]) == 0
    assert re.search(rf"^  {name.split(maxsplit=1)[0]} ", capsys.readouterr().out, re.MULTILINE)
    assert main([*name.split(), "--help"]) == 0
    assert f"example:\n  unas {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.argument])
def test_help_may_follow_a_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = "digits" if "RECIPE" in COMMANDS[name].argument else "UNAS_CIFAR10"
    assert main([*name.split(), known, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: unas {name}")


@pytest.mark.parametrize("name", names())
def test_help_of_a_recipe_has_a_flag_for_every_number_with_its_value(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["run", name, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    document = json.loads(config_to_json(recipe(name)))
    for section in ("search", "training", "checkpoint", "network", "space"):
        for key, value in document[section].items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert re.search(
                    rf"--{section}\.{key.replace('_', '-')} [\w|]+ [^│]*?\(default: {re.escape(str(value))}\)",
                    text,
                )


def test_every_field_of_the_configuration_is_explained() -> None:
    config = recipe("cifar10")
    values: list[Any] = [
        config,
        config.space,
        config.network,
        config.search,
        config.search.weights,
        config.search.augmentation,
    ]
    values += [
        config.search.estimator,
        config.training,
        config.runtime,
        config.checkpoint,
        config.choosing,
    ]
    values += config.search.objectives.values()
    for value in values:
        missing = {field.name for field in fields(value) if field.init} - set(
            field_help(type(value))
        )
        assert not missing, type(value)


def test_flags_reach_their_fields(asked: list[Any]) -> None:
    words = (
        "run digits --search.epochs 3 --training.lr=0.5 --space.channels 4 --search.estimator.draws 3 "
        "--search.objectives.cross-entropy.weight 0.25 --search.batch_size 32 --network.auxiliary true --search.weights-on hard "
        "--device cpu --precision float32 --seed 7 --data-root images --checkpoint.every-seconds 5"
    )
    c: Any = recipe("digits")
    objectives = {"cross_entropy": CrossEntropy(weight=0.25)}
    search = replace(
        c.search, epochs=3, estimator=replace(c.search.estimator, draws=3), objectives=objectives,
        batch_size=32, weights_on="hard",
    )  # fmt: skip
    assert configured(words, asked) == replace(
        c,
        search=search,
        training=replace(c.training, lr=0.5),
        space=replace(c.space, channels=4),
        network=replace(c.network, auxiliary=True),
        runtime=replace(c.runtime, device="cpu", precision="float32"),
        checkpoint=replace(c.checkpoint, every_seconds=5.0),
        seed=7,
        data_root="images",
    )


@pytest.mark.parametrize("name", names())
def test_no_flags_is_the_recipe(name: str, asked: list[Any]) -> None:
    assert configured(f"search {name} --device cpu", asked) == replace(
        recipe(name), runtime=replace(recipe(name).runtime, device="cpu")
    )


def test_none_is_no_value(asked: list[Any]) -> None:
    assert (
        configured("train digits --genotype UNAS_CIFAR10 --data-root none", asked).data_root is None
    )


def test_components_are_chosen_by_name(asked: list[Any]) -> None:
    here = TwiceTheLoss.__module__
    words = f"run digits --estimator reinforce --objective {here}:TwiceTheLoss --dataset cifar10 --device cpu"
    config = configured(
        f"{words} --search.estimator.decay 0.5 --search.objectives.twice_the_loss.weight 3", asked
    )
    assert (type(config.search.estimator).__name__, type(config.dataset).__name__) == (
        "Reinforce",
        "Cifar10",
    )
    assert getattr(config.search.estimator, "decay", None) == 0.5
    assert config.search.objectives["twice_the_loss"] == TwiceTheLoss(weight=3.0)
    assert list(config.search.objectives) == ["cross_entropy", "twice_the_loss"]


def test_a_model_with_choices_is_a_space(asked: list[Any]) -> None:
    config = configured(f"run digits --space {TinyNet.__module__}:TinyNet", asked)
    assert dict(config.space.choices) == {"2": ("a", "b")}


def test_a_component_that_is_there_keeps_its_options(asked: list[Any]) -> None:
    config = configured(
        "run digits --space darts --estimator reinforce_loo --objective cross_entropy --device cpu",
        asked,
    )
    assert config.space == recipe("digits").space
    assert config.search == recipe("digits").search


@pytest.mark.usefixtures("asked")
def test_the_end_of_a_run_says_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "digits", "--out", "a [b]", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    rows = dict(re.split(r" {2,}", line.strip(), maxsplit=1) for line in out.splitlines())
    assert rows["test accuracy"] == "97.50 %"
    assert rows["parameters"] == "1,234"
    assert rows["run directory"] == "a [b]"
    assert rows["found: normal"].startswith("n0 = sep_conv_5x5(k-2) + skip_connect(k-2)")
    assert err == ""


def test_the_default_directory_has_the_recipe_and_the_time(
    asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    configured("run digits --device cpu", asked)
    first = asked[-1][1]
    assert re.fullmatch(r"runs/digits-\d{8}-\d{6}", str(first))
    assert asked[-1][2] == {"resume": False, "quiet": False}


def test_resume_takes_the_configuration_of_the_run(asked: list[Any], tmp_path: Path) -> None:
    config = replace(recipe("digits"), seed=5)
    (tmp_path / "config.json").write_text(config_to_json(config))
    assert configured(f"run --resume --out {tmp_path}", asked) == config
    assert asked[-1][2]["resume"]
    assert configured(f"run digits --resume --out {tmp_path} --seed 5 --quiet", asked) == config


@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_an_empty_place_is_refused(
    resume: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a variable of the shell that isn't set."""
    assert main(["run", "digits", "--out", "", *resume]) == 2
    assert "--out is empty; give a directory" in capsys.readouterr().err


def test_resume_without_a_run_starts_one(asked: list[Any], tmp_path: Path) -> None:
    assert configured(f"run digits --resume --out {tmp_path / 'new'} --seed 5", asked).seed == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise Interrupted(Path("runs/x"), "search", 12, "unas run --resume --out runs/x", number)

    monkeypatch.setattr(pipeline, "run", stopped)
    assert main(["run", "digits", "--device", "cpu"]) == 128 + number
    assert capsys.readouterr().err.endswith("go on with: unas run --resume --out runs/x\n")


def test_ctrl_c_elsewhere_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", stopped)
    assert main(["run", "digits", "--device", "cpu"]) == 130
    assert capsys.readouterr().err == "error: stopped\n"


def test_dry_run_shows_the_configuration_and_runs_nothing(
    asked: list[Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    pytest.importorskip("unas.pipeline.preflight")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "digits", "--seed", "3", "--device", "cpu", "--dry-run"]) == 0
    document, end = json.JSONDecoder().raw_decode(capsys.readouterr().out)
    assert document["seed"] == 3
    assert end > 0
    assert not asked
    assert not list(tmp_path.iterdir())


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for name in (*names(), *list_genotypes(), "darts", "rebar", "overlap", "onnxruntime"):
        assert re.search(rf"^  {name} +\w", text, re.MULTILINE), name
    assert main(["list", "recipes"]) == 0
    assert "rebar" not in capsys.readouterr().out


def test_show_prints_json_that_is_the_genotype(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["show", "unas_cifar10", "--json"]) == 0
    assert Genotype.from_json(capsys.readouterr().out) == load_genotype("UNAS_CIFAR10")
    assert main(["show", "UNAS_CIFAR10", "--svg", str(tmp_path / "x.svg")]) == 0
    assert "3.33 M parameters" in (tmp_path / "x.svg").read_text(encoding="utf-8")
    assert capsys.readouterr().out == ""


def test_tuples_and_switches_are_parsed() -> None:
    @dataclass(frozen=True)
    class Sizes:
        """Some sizes.

        Args:
            sides: in pixels.
        """

        sides: tuple[int, ...] = (1, 2)
        fast: bool = flag("", "be fast")
        kinds: tuple[str, ...] = flag("KIND", "a kind", ())

    Sizes.__annotations__ = {"sides": tuple[int, ...], "fast": bool, "kinds": tuple[str, ...]}
    words = ["--kinds", "a,b", "--sides", "3,5", "left", "--fast", "--kinds=-c"]
    assert take(Sizes(), words) == (Sizes((3, 5), True, ("a,b", "-c")), ["left"])


@pytest.mark.slow
def test_a_small_run_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    assert main(["run", "digits", *TINY.split(), "--quiet", "--device", "cpu", "--out", out]) == 0
    assert "test accuracy" in capsys.readouterr().out
    for words in (
        ["evaluate", out],
        ["export", out],
        ["show", out],
        ["run", "--resume", "--out", out, "--quiet"],
    ):
        assert main(words) == 0
    assert capsys.readouterr().out.count("test accuracy") == 3
    assert main(["export", out, "--opset", "21"]) == 0
    assert onnx.load(tmp_path / "run/model.onnx").opset_import[0].version == 21
    assert main(["export", out, "--opset", "17"]) == 2
    assert "opset is 17; it must be from 18 to 23" in capsys.readouterr().err


def test_a_fault_of_unas_is_shown_kept_and_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("nobody thought of this")

    out = tmp_path / "run"
    words = ["run", "tiny:tiny_recipe", "--quiet", "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "log", fail)
        assert main(words) == 70
    error = capsys.readouterr().err
    assert "nobody thought of this" in error.splitlines()[-1]
    assert "please open an issue" in error.splitlines()[-1]
    kept = (out / "traceback.txt").read_text()
    assert kept.splitlines()[-2:] == error.splitlines()[-4:-2]
    assert error.splitlines()[-2] == f"This traceback is in {out}/traceback.txt."
    assert main([*words, "--resume"]) == 0
    assert not (out / "traceback.txt").exists()


def test_a_fault_without_a_run_has_the_same_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("unas.cli.listing.show_list", lambda *_: 1 // 0)
    assert main(["list"]) == 70
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.splitlines()[-1].startswith("error: ZeroDivisionError: ")


def test_too_little_memory_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("unas.cli.listing.show_list", fail)
    assert main(["list"]) == 2
    assert (
        capsys.readouterr().err
        == "error: out of memory; use a smaller batch size, or fewer channels\n"
    )


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, 10**30])
def test_a_seed_that_pytorch_has_not_is_refused(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["run", "tiny:tiny_recipe", f"--seed={seed}", "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"error: seed is {seed}; it must be from ")
    assert not out.exists()


@pytest.mark.parametrize("seed", [2**64, -1])
@pytest.mark.parametrize("command", ["latency fit digits", "lab estimators"])
def test_a_seed_of_the_other_commands_is_refused_too(
    command: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), f"--seed={seed}"]) == 2
    assert capsys.readouterr().err.startswith(f"error: --seed is {seed}; it must be ")


@pytest.mark.parametrize("seed", [2**64 - 1, -(2**63)])
def test_the_largest_and_the_least_seed_run(seed: int, tmp_path: Path) -> None:
    words = [
        "search",
        "tiny:tiny_recipe",
        f"--seed={seed}",
        "--quiet",
        "--out",
        str(tmp_path / "r"),
    ]
    assert main(words) == 0
