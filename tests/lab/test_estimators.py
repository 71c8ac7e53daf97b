"""`unas lab estimators`: what it measures, writes, draws and refuses."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from unas.architecture.policy import Policy
from unas.cli import main
from unas.common.errors import UserError
from unas.estimators import Cost
from unas.estimators.reinforce import Reinforce
from unas.lab.estimators import VARIANTS, lab_estimators
from unas.lab.estimators_plot import write_plot
from unas.lab.gradients import GradientErrors, variance_ratio
from unas.lab.problems import PROBLEMS

SMALL: dict[str, Any] = {
    "problems": ("soft xor", "product"),
    "estimators": ("rebar", "straight_through"),
    "samples": 16384,
}


class HalfOfIt(Reinforce):
    """A planted mistake: half of the gradient."""

    def step(
        self,
        policy: Policy,
        cost: Cost,
        state: Any,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Any]:
        loss, learned = super().step(
            policy, cost, state, num_samples=num_samples, generator=generator
        )
        return loss / 2, learned


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("lab") / "new" / "out"
    return lab_estimators(**SMALL, out=out, quiet=True), out


def test_there_is_a_row_for_every_estimator_on_every_problem_asked_for(
    measured: tuple[dict[str, Any], Path],
) -> None:
    rows = [(row["problem"], row["estimator"], row["is_unbiased"]) for row in measured[0]["rows"]]
    names = (("reinforce", True), ("rebar", True), ("straight_through", False))
    assert rows == [(problem, *name) for problem in ("soft xor", "product") for name in names]


def test_the_biased_are_told_from_the_unbiased(measured: tuple[dict[str, Any], Path]) -> None:
    for row in measured[0]["rows"]:
        assert (row["bias_max"] < 4) == row["is_unbiased"], row
        assert row["bias_rms"] <= row["bias_max"]


def test_variance_of_reinforce_is_that_of_its_formula_without_a_baseline_error(
    measured: tuple[dict[str, Any], Path],
) -> None:
    """Enumerate Var[(L − E L)·∇log p] for "product", whose two options a choice give each logit the
    same terms.
    """
    problem = next(problem for problem in PROBLEMS if problem.name == "product")
    rows = torch.cartesian_prod(*[torch.arange(2)] * 4)
    onehot = torch.nn.functional.one_hot(rows, 2).double()  # [16, 4, 2]
    p = torch.tensor(problem.logits, dtype=torch.float64).softmax(1)  # [4, 2]
    chance = (onehot * p).sum(2).prod(1)
    costs = problem.function(list(onehot.unbind(1)))
    scores = (onehot - p).flatten(1)
    estimates = (costs - (chance * costs).sum())[:, None] * scores
    mean = (chance[:, None] * estimates).sum(0)
    expected = float((chance[:, None] * (estimates - mean).square()).sum())
    row = next(
        row
        for row in measured[0]["rows"]
        if (row["problem"], row["estimator"]) == ("product", "reinforce")
    )
    # 256 calls: the variance is known to √(2/256) = 9 % for a Gaussian, and the baseline's noise
    # adds to it.
    assert row["variance"] == pytest.approx(expected, rel=0.25)


def test_ratio_is_to_reinforce_with_an_interval(measured: tuple[dict[str, Any], Path]) -> None:
    variance = {(row["problem"], row["estimator"]): row["variance"] for row in measured[0]["rows"]}
    for row in measured[0]["rows"]:
        assert row["ratio"] == pytest.approx(
            row["variance"] / variance[row["problem"], "reinforce"]
        )
        assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
        assert (row["ratio_low"] == row["ratio_high"]) == (row["estimator"] == "reinforce")


def test_interval_of_a_ratio_holds_the_true_one_95_times_in_100() -> None:
    generator = torch.Generator().manual_seed(0)
    hits, total = 0, 400
    for _ in range(total):
        found, reference = (
            GradientErrors(
                scale * torch.randn(100, 3, generator=generator).double(), torch.zeros(3), 1
            )
            for scale in (2.0, 1.0)
        )
        _, low, high = variance_ratio(found, reference)
        hits += low <= 4 <= high
    # A binomial of 400 with 0.95 has a standard deviation of 0.011; the approximation itself is off
    # by less than that.
    assert hits / total == pytest.approx(0.95, abs=0.04)


def test_what_is_written_is_what_is_returned(measured: tuple[dict[str, Any], Path]) -> None:
    result, out = measured
    written = json.loads((out / "estimators.json").read_text())
    assert written == {name: value for name, value in result.items() if not name.startswith("plot")}
    assert written["calls"] * written["architectures_per_call"] == 16384
    assert written["options"]["rebar"]["eta"] == 1
    lines = (out / "estimators.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("| soft xor | straight_through | no |")]
    assert (
        sum(line.startswith("| ") for line in lines) == 2 + 6
    )  # the head, a line below it, the rows
    for name in ("--problem='soft xor'", "--estimator=rebar", "--samples 16384"):
        assert name.replace("'", "") in written["command"].replace("'", "")


def test_the_same_seed_gives_the_same_figures_but_times_whatever_else_is_measured(
    measured: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    again = lab_estimators(**{**SMALL, "problems": ("product",)}, out=tmp_path, quiet=True)
    for row, other in zip(measured[0]["rows"][3:], again["rows"], strict=True):
        assert {**row, "microseconds": 0} == {**other, "microseconds": 0}


def test_everything_is_measured_by_default(tmp_path: Path) -> None:
    rows = lab_estimators(samples=128, out=tmp_path, quiet=True)["rows"]
    assert {row["problem"] for row in rows} == {problem.name for problem in PROBLEMS}
    assert {"reinforce", "reinforce_loo", "rebar", "relax", *VARIANTS} <= {
        row["estimator"] for row in rows
    }
    assert "exact" not in {row["estimator"] for row in rows}
    assert all(math.isfinite(row["ratio"]) and row["microseconds"] > 0 for row in rows)


def test_an_estimator_from_outside_with_a_mistake_stands_out(tmp_path: Path) -> None:
    name = f"{HalfOfIt.__module__}:HalfOfIt"
    rows = lab_estimators(("product",), (name,), samples=8192, out=tmp_path, quiet=True)["rows"]
    assert [row["estimator"] for row in rows] == ["reinforce", name]
    assert rows[0]["bias_max"] < 4 < rows[1]["bias_max"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 127}, "samples is 127; it must be 128 or more"),
        ({"problems": ("soft-xr",)}, "did you mean soft xor"),
        ({"estimators": ("relx",)}, "did you mean relax"),
        ({"estimators": ("exact",)}, "exact is what the others are compared with"),
    ],
)
def test_refuses_before_it_works(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        lab_estimators(**options, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="can't be written"):
        lab_estimators(out=tmp_path / "file")


def test_without_matplotlib_the_results_are_there_and_the_reason_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    found = lab_estimators(("toy",), ("reinforce",), samples=128, out=tmp_path, quiet=True)
    assert found["plot"] is None
    assert "pip install 'unas[lab]'" in found["plot_missing"]
    assert (tmp_path / "estimators.json").exists()


def test_the_plot_names_its_axes_problems_and_estimators(
    measured: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is in the extra 'lab'")
    write_plot(measured[0], tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    words = (
        "soft xor",
        "product",
        "rebar",
        "straight_through (biased)",
        "standard errors",
        "variance of reinforce",
    )
    assert all(word in text for word in words)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    words = f"lab estimators --problem soft-xor --estimator gumbel_softmax --samples 8192 --seed 3 --out {tmp_path}"
    assert main(words.split()) == 0
    out, err = capsys.readouterr()
    assert "unbiased ones" in out
    assert "gumbel_softmax, biased" in out
    assert "estimators 2/2" in err
    assert json.loads((tmp_path / "estimators.json").read_text())["seed"] == 3
    assert torch.get_num_threads() == threads
