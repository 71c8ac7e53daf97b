from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unas.common.errors import UserError
from unas.lab.blackbox import BlackBoxMethod
from unas.lab.comparison import compare, ranks, summary
from unas.lab.comparison_plot import write_plot
from unas.lab.queries import Queries
from unas.lab.table import ArchitectureTable
from unas.lab.tabular import lab_table

TABLE = ArchitectureTable(
    {"a": ("x", "y", "z"), "b": ("p", "q")},
    np.array([[i, j] for i in range(3) for j in range(2)]),
    {
        "score": np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0]),
        "other": np.array([10.0, 20, 30, 40, 50, 60]),
    },
)


@dataclass(frozen=True)
class InOrder(BlackBoxMethod):
    """Asks for architecture 0, 1, 1, 2, … from `seed` on."""

    def search(self, queries: Queries, seed: int) -> None:
        position = seed
        while True:
            for _ in range(2):
                queries(position % 6)
            position += 1


@dataclass(frozen=True)
class GivesUp(BlackBoxMethod):
    def search(self, queries: Queries, seed: int) -> None:  # noqa: ARG002
        queries(0)


def test_ranks_by_hand() -> None:
    assert ranks(np.array([3.0, 1.0, 4.0, 1.0, 5.0])).tolist() == [60, 20, 80, 20, 100]


def test_best_so_far_by_hand() -> None:
    found = compare(
        TABLE, "score", {"m": InOrder()}, queries=4, seeds=[0, 2], report="other"
    ).found["m"]
    assert found.value.tolist() == [[3, 3, 4, 4], [4, 4, 5, 9]]
    assert found.report.tolist() == [[10, 10, 30, 30], [30, 30, 50, 60]]  # of the best by score
    assert found.rank == pytest.approx(100 / 6 * np.array([[6, 6, 4, 4], [4, 4, 2, 1]]))  # by other
    assert found.queries_made == [4, 4]


def test_less_can_be_better() -> None:
    found = compare(TABLE, "score", {"m": InOrder()}, queries=3, seeds=[0], minimize=True).found[
        "m"
    ]
    assert found.value.tolist() == [[3, 1, 1]]
    assert found.rank[0] == pytest.approx([50, 100 / 6, 100 / 6])


def test_summary_is_the_mean_and_its_standard_error() -> None:
    mean, error = summary(np.array([[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]]))
    assert mean == [3, 2]
    assert error == pytest.approx([2 / 3**0.5, 0])
    assert summary(np.array([[1.0]])) == ([1], [0])


def test_a_method_that_ends_by_itself_is_a_bug_that_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="ended by itself"):
        compare(TABLE, "score", {"m": GivesUp()}, queries=3, seeds=[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queries": 7}, "queries is 7; the table has 6 architectures"),
        ({"queries": 0}, "queries is 0"),
        ({"seeds": []}, "nothing to compare"),
        ({"methods": ["evolutoin"]}, "did you mean evolution"),
        ({"metric": "scor"}, "did you mean score"),
        ({"report": "scor"}, "did you mean score"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    given = {"metric": "score", "methods": ["random_search"], "queries": 3, "seeds": [0], **options}
    with pytest.raises(UserError, match=message):
        compare(TABLE, **given)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    lines = [
        "a,b,c,score,cost",
        *(
            f"{a},{b},{c},0.{a}{b}{c},{a + b + c}"
            for a in range(3)
            for b in range(3)
            for c in range(3)
        ),
    ]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    return path


def test_lab_table_writes_what_it_returns(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    found = lab_table(
        file,
        "score",
        report="cost",
        queries=9,
        seeds=2,
        methods=("random_search", "local_search"),
        out=out,
    )
    written = json.loads((out / "table.json").read_text())
    assert written == {name: value for name, value in found.items() if not name.startswith("plot")}
    assert (written["architectures"], written["queries"], written["seeds"]) == (27, 9, 2)
    assert list(written["choices"]) == ["a", "b", "c"]
    assert written["best_possible"] == 6
    one = written["methods"]["local_search"]
    assert len(one["rank_percent"]["mean"]) == len(one["best"]["standard_error"]) == 9
    first = one["final_architectures"][0]
    assert one["final_best"][0] == float(f"0.{first['a']}{first['b']}{first['c']}")
    assert one["final_report"][0] == sum(map(int, first.values()))


def test_without_matplotlib_the_results_are_there_and_the_reason_too(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    found = lab_table(file, "score", queries=5, seeds=1, methods=("random_search",), out=tmp_path)
    assert found["plot"] is None
    assert "pip install 'unas[lab]'" in found["plot_missing"]
    assert (tmp_path / "table.json").exists()


def test_the_plot_names_its_axes_and_methods(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is in the extra 'lab'")
    comparison = compare(TABLE, "score", ["random_search", "local_search"], queries=4, seeds=[0, 1])
    write_plot({"toy": comparison.to_json()}, tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    assert all(
        word in text for word in ("random_search", "local_search", "queries", "score", "% of all")
    )


@pytest.mark.parametrize(
    "options", [{"seeds": 0}, {"methods": ("nothing",)}, {"metric": "nothing"}]
)
def test_lab_table_refuses_before_it_works(
    file: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(UserError):
        lab_table(
            **{"file": file, "metric": "score", "queries": 5, "out": tmp_path / "out", **options}
        )
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file_is_one_line(file: Path) -> None:
    with pytest.raises(UserError, match="can't be written"):
        lab_table(file, "score", queries=5, seeds=1, methods=("random_search",), out=file)
