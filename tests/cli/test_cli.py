"""What people type wrong: each mistake is one line that says the fix, and exit code 2."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest

from unas.architecture.published import load_genotype
from unas.cli import main
from unas.config.document import config_to_json
from unas.recipes import recipe

CHAIN = '{"format": "unas.genotype", "version": 1, "space": "module", "choices": {"layer": "conv"}}'
WRONG_OPTION = load_genotype("UNAS_CIFAR10").to_json().replace("dil_conv_3x3", "dil_conv_9x9", 1)

# What is typed, and what the line must say.
MISTAKES = {
    "command": ("rn digits", "unrecognised command rn; did you mean run?"),
    "flag as command": ("--verison", "unrecognised flag --verison"),
    "recipe": ("run digts", "recipe 'digts' does not exist; did you mean digits?"),
    "no recipe": (
        "run --seed 1",
        "RECIPE is missing; it comes first, for example: unas run digits",
    ),
    "recipe that doesn't import": ("run nowhere.recipes:mine", "no module 'nowhere'"),
    "recipe that breaks": (
        "run broken:x",
        "recipe 'broken:x': ZeroDivisionError: division by zero",
    ),
    "flag": (
        "run digits --serach.epochs 3",
        "unrecognised flag --serach.epochs; did you mean --search.epochs?",
    ),
    "one dash": ("run digits -seed 3", "unrecognised flag -seed; did you mean --seed?"),
    "flag of a term": (
        "run cifar10 --search.objectives.gaps.weight 1",
        "did you mean --search.objectives.gap.weight?",
    ),
    "no value": ("run digits --seed", "--seed needs a value"),
    "flag for a value": ("run digits --search.epochs --quiet", "--search.epochs needs a value"),
    "stray word": ("run digits cifar10", "unexpected argument 'cifar10'"),
    "twice": ("run digits --seed 1 --seed=2", "--seed is given twice"),
    "value for a switch": ("run digits --quiet=1", "--quiet takes no value"),
    "word for a number": (
        "run digits --search.epochs many",
        '--search.epochs is "many"; it must be a whole number',
    ),
    "fraction of an epoch": (
        "run digits --training.epochs 1.5",
        '"1.5"; it must be a whole number',
    ),
    "not a number": ("run digits --training.lr nan", "it must be a finite number"),
    "yes for true": ("run digits --network.auxiliary yes", "it must be true or false"),
    "unknown option": ("run digits --search.weights-on soft", "it must be relaxed or hard"),
    "negative epochs": (
        "run digits --search.epochs -3",
        "search.epochs is -3; it must be 0 or more",
    ),
    "negative cutout": (
        "run digits --search.augmentation.cutout -3",
        "search.augmentation.cutout is -3",
    ),
    "negative softening": (
        "run digits --search.softening -1",
        "softening is -1.0; it must be 0 or more",
    ),
    "negative warm-up": (
        "run cifar10 --search.objectives.gap.warm-up-steps -1",
        "search.objectives.gap: warm_up_steps",
    ),
    "odd channels": ("run digits --space.channels 7", "space.channels is 7; it must be even"),
    "few layers": ("run digits --network.layers 2", "network.layers is 2; it must be from 3"),
    "batch that can't be shared": (
        "run digits --search.batch-size 9",
        "it must divide search.batch_size 9",
    ),
    "unknown experiment": ("lab qualty digits", "did you mean quality?"),
    "table without a metric": ("lab table table.csv", "--metric is missing"),
    "no such table": ("lab table nothing.csv --metric accuracy", "nothing.csv"),
    "unknown problem": ("lab estimators --problem soft-xr", "did you mean soft xor?"),
    "estimator of no kind": ("lab estimators --estimator relx", "did you mean relax?"),
    "few samples": ("lab estimators --samples 100", "samples is 100; it must be 128 or more"),
    "no random cells": (
        "lab quality digits --cells 0",
        "--cells is 0; it must be 1 or more",
    ),
    "batch larger than the data": (
        "run digits --search.batch-size 2000",
        "2000",
    ),
    "no such device": (
        "run digits --device gpu",
        "device 'gpu' does not exist; use auto, cpu, cuda",
    ),
    "no such GPU": ("run digits --device cuda:99", "device 'cuda:99'"),
    "space": ("run digits --space dart", "space 'dart' does not exist; did you mean darts?"),
    "dataset": (
        "run digits --dataset cifar",
        "dataset 'cifar' does not exist; did you mean cifar1",
    ),
    "estimator": ("run digits --estimator rebarr", "did you mean rebar?"),
    "objective": (
        "run digits --objective over",
        "objective 'over' does not exist; did you mean overlap?",
    ),
    "plugin that doesn't import": ("run digits --estimator nowhere:X", "no module 'nowhere'"),
    "plugin that breaks": (
        "run digits --estimator broken:X",
        "can't be imported: ZeroDivisionError: division by zero",
    ),
    "plugin of another kind": ("run digits --estimator pathlib:Path", "is not a subclass of"),
    "space without its model": ("run digits --space module", "needs model; name the model itself"),
    "two spaces": ("run digits --space darts --space darts", "--space is given twice"),
    "no genotype": (
        "train digits",
        "--genotype is missing; give a published name (PROXYLESS_GPU, UNAS, UNAS_CIFAR10",
    ),
    "genotype by a wrong name": (
        "train digits --genotype UNAS_CIFAR11",
        "did you mean UNAS_CIFAR10?",
    ),
    "genotype of another space": (
        "train digits --genotype chain.json",
        "genotype.space is 'module'",
    ),
    "genotype that is broken": (
        "train digits --genotype half.json",
        "half.json is empty or ends too soon",
    ),
    "genotype with another option": (
        "train digits --genotype wrong.json",
        "is 'dil_conv_9x9'; the darts space has",
    ),
    "search with a genotype": (
        "search digits --genotype UNAS_CIFAR10",
        "but a search finds its own",
    ),
    "path below a file": (
        "run digits --out chain.json/run",
        "chain.json/run can't be written: Not a directory",
    ),
    "a run is there": (
        "run digits --out done",
        "done already holds a run; add --resume or use another --out",
    ),
    "resume without a directory": ("run digits --resume", "--resume needs --out DIR"),
    "resume nothing": ("run --resume --out new", "RECIPE is missing"),
    "resume with other flags": (
        "run --resume --out done --seed 3",
        "--seed would change seed of the run in done",
    ),
    "resume on another device": (
        "run --resume --out done --precision bfloat16",
        "would change runtime.precision",
    ),
    "resume another recipe": (
        "run cifar10 --resume --out done",
        "done holds a run on digits, not cifar10",
    ),
    "resume what is broken": (
        "run --resume --out damaged",
        "damaged/config.json is empty or ends too soon",
    ),
    "evaluate no run": ("evaluate chain.json", "chain.json is not a run directory"),
    "evaluate nothing": ("evaluate", "RUN is missing; it comes first"),
    "export no run": (
        "export nowhere",
        "nowhere is not a run directory: there is no such directory",
    ),
    "show nothing": ("show", "GENOTYPE is missing"),
    "show a wrong name": ("show UNAS_CIFAR1", "did you mean UNAS_CIFAR1"),
    "show into no directory": (
        "show UNAS_CIFAR10 --svg no/cells.svg",
        "no/cells.svg can't be written",
    ),
    "list a wrong kind": ("list recipe", "there is no kind 'recipe'; did you mean recipes?"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with files to name, and no network."""

    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "chain.json").write_text(CHAIN)
    (tmp_path / "half.json").write_text(CHAIN[:40])
    (tmp_path / "wrong.json").write_text(WRONG_OPTION)
    (tmp_path / "broken.py").write_text("1 / 0")
    for name, text in (("done", config_to_json(recipe("digits"))), ("damaged", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.usefixtures("place")
def test_a_mistake_is_one_line_and_exit_code_2(
    mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words, line = MISTAKES[mistake]
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert line in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("mistake", ["flag", "genotype by a wrong name", "negative softening"])
def test_a_mistake_leaves_no_run_behind(
    mistake: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(MISTAKES[mistake][0].split()) == 2
    capsys.readouterr()
    assert not (place / "runs").exists()


def test_what_one_process_does_is_refused_to_several(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["lab", "ranking", "nasbench-macro", "--table", "t.json"]) == 2
    assert "error: unas lab ranking is for one process" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert main(["list", "recipes"]) == 0


def test_a_download_is_told_before_it_fails(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "cifar10", "--data-root", "empty"]) == 2
    out, err = capsys.readouterr()
    news, mistake = err.splitlines()
    assert out == ""
    assert news.startswith("downloading https://")
    assert mistake.startswith("error: cifar10: ")
    assert "put it at empty/cifar-10-binary.tar.gz" in mistake
    assert not (place / "runs").exists()


@pytest.mark.parametrize("words", ["run digts", "run digits --serach.epochs 3"])
def test_a_real_process_exits_with_2(words: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "unas", *words.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    words = [sys.executable, "-m", "unas", "list"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
