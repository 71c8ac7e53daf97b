"""Tables as files: what is read, and that whatever else is in a file is one clear line."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Sample
from unas.common.errors import UserError
from unas.lab._csv_table import parse_csv
from unas.lab._macro_table import parse_macro
from unas.lab.table_files import read_table

CSV = "kernel,op,accuracy,latency\n3,conv,0.5,10\n5,conv,0.75,12\n3,skip,0.25,1\n11,skip,0.125,2\n"


def test_a_csv_is_choices_and_metrics(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text(CSV, encoding="utf-8-sig")
    table = read_table(file, metrics=["latency"])
    assert dict(table.choices) == {"kernel": ("3", "5", "11"), "op": ("conv", "skip")}
    assert table.rows.tolist() == [[0, 0], [1, 0], [0, 1], [2, 1]]
    assert {name: values.tolist() for name, values in table.metrics.items()} == {
        "accuracy": [0.5, 0.75, 0.25, 0.125],
        "latency": [10, 12, 1, 2],
    }
    assert table.costs("accuracy", minimize=False).argmin() == 1
    assert table.costs("latency", minimize=True).argmin() == 2


def test_choices_can_be_named() -> None:
    table = parse_csv("a,b,size,score\nx,1,10,5\ny,1,20,6\n", choices=["a"])
    assert list(table.choices) == ["a"]
    assert list(table.metrics) == ["b", "size", "score"]


def test_macro_json_is_layers_and_metrics(tmp_path: Path) -> None:
    entry = {"test_acc": [90.0, 91.0], "mean_acc": 90.5, "params": 7}
    file = tmp_path / "macro.json"
    file.write_text(json.dumps({"02": entry, "11": {**entry, "mean_acc": 80}}), encoding="utf-8")
    table = read_table(file)
    assert dict(table.choices)["layer1"] == ("identity", "mbconv_3x3_e3", "mbconv_5x5_e6")
    assert table.rows.tolist() == [[0, 2], [1, 1]]
    assert sorted(table.metrics) == ["mean_acc", "params", "test_acc_1", "test_acc_2"]
    assert table.metric("mean_acc").tolist() == [90.5, 80]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the first line must name every column"),
        ("a,a\n1,2\n", "the first line must name every column"),
        ("a,score\n", "no line after the header"),
        ("a,score\nx,0.5\ny\n", "line 3 has 1 fields; the header has 2"),
        ("a,score\nx,0.5\ny,\n", "column 'score', architecture 2: '' is not a finite number"),
        ("a,score\nx,0.5\ny,nan\n", "'nan' is not a finite number"),
        ("a,score\nx,0.5\nx,0.6\n", "architectures 1 and 2 of the table are the same"),
        ("a,b\nx,y\nz,y\n", "there is no column 'score'"),
        ('a,score\n"x,0.5\n', "is not CSV"),
        ("score\n0.5\n", "no column is a choice"),
    ],
)
def test_a_wrong_csv_is_one_line_that_names_the_file(
    tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "table.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_table(file, metrics=["score"])
    assert message in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "a JSON object of architectures"),
        ({}, "a JSON object of architectures"),
        ({"01": {"acc": 1}, "1": {"acc": 1}}, "'1' must be written as 2 digits"),
        ({"03": {"acc": 1}}, "must be written as 2 digits 0, 1 or 2"),
        ({"": {"acc": 1}}, "must be written as"),
        ({"01": 5}, "its value must be an object of metrics"),
        ({"01": {"acc": "high"}}, "acc is 'high'; it must be a finite number"),
        ({"01": {"acc": True}}, "acc is 'True'"),
        ({"01": {"acc": 10**400}}, "it must be a finite number"),
        (
            {"01": {"acc": 1}, "02": {"loss": 1}},
            "architecture 02: its metrics are not those of the first",
        ),
        ({"01": {}}, "have no metrics"),
    ],
)
def test_a_wrong_macro_document_is_one_line(document: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_macro(document)


def test_a_metric_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(
        UserError, match="metric 'acuracy' is not in the table; did you mean accuracy"
    ):
        parse_csv(CSV).metric("acuracy")


@pytest.mark.parametrize("name", ["missing.csv", "missing.json"])
def test_a_missing_file_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="can't be read"):
        read_table(tmp_path / name)


@given(st.text(max_size=200) | st.text("ab,\n\"'01.e\ufeff\0", max_size=80))
def test_any_text_is_a_table_or_one_line(text: str) -> None:
    with contextlib.suppress(UserError):
        table = parse_csv(text)
        assert np.isfinite(np.stack(list(table.metrics.values()))).all()
        assert (table.rows >= 0).all()


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("012a", max_size=3), inner),
)


@given(JSON)
def test_any_json_is_a_table_or_one_line(document: Any) -> None:
    with contextlib.suppress(UserError):
        assert np.isfinite(np.stack(list(parse_macro(document).metrics.values()))).all()


def test_one_hot_rows_are_what_a_policy_samples() -> None:
    table = parse_csv(CSV, metrics=["latency"])
    sample = Sample.from_genotypes(
        table.layout,
        _genotypes(table.layout, [{"kernel": "11", "op": "skip"}, {"kernel": "3", "op": "conv"}]),
    )
    assert table.options(sample) == [(2, 1), (0, 0)]
    flat = np.concatenate([group.flatten(1).numpy() for group in sample.groups], 1)
    assert (table.features[[3, 0]].numpy() == flat).all()


def test_neighbours_and_nearest_by_hand() -> None:
    table = parse_csv(CSV, metrics=["latency"])
    assert table.neighbours(0).tolist() == [1, 2]
    assert table.neighbours(3).tolist() == [2]
    assert (table.nearest((1, 0)), table.position((1, 1))) == (1, None)
    assert table.nearest((1, 1)) in {1, 2, 3}  # (5, skip) isn't listed; these differ in one choice


def _genotypes(layout: Layout, choices: list[dict[str, str]]) -> list[Genotype]:
    from unas.architecture.genotype import Genotype

    return [Genotype(layout.space, choice) for choice in choices]
