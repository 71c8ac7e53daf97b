"""Genotypes: JSON there and back, bad JSON refused in one line, the published cells by their
parameters.
"""

import dataclasses
import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unas.architecture.genotype import MAX_JSON_CHARACTERS, Genotype
from unas.architecture.published import list_genotypes, load_genotype
from unas.common.errors import UserError
from unas.spaces.darts import DartsSpace

# (input, operation index) of the two slots of each node, from the paper's figures; by index in this
# order.
INDEX = [
    "skip_connect",
    "sep_conv_3x3",
    "max_pool_3x3",
    "dil_conv_3x3",
    "sep_conv_5x5",
    "avg_pool_3x3",
    "sep_conv_7x7",
]
PUBLISHED = {
    "UNAS_CIFAR10": {
        "normal": [(0, 4), (0, 0), (0, 0), (1, 3), (0, 1), (1, 3), (1, 1), (0, 3)],
        "reduction": [(0, 1), (0, 4), (1, 0), (0, 1), (1, 5), (0, 0), (3, 4), (1, 5)],
    },
    "UNAS_CIFAR100": {
        "normal": [(0, 1), (0, 3), (1, 3), (0, 1), (0, 0), (1, 1), (1, 4), (0, 1)],
        "reduction": [(0, 6), (0, 1), (1, 1), (0, 4), (1, 6), (0, 3), (0, 3), (3, 1)],
    },
    "UNAS_IMAGENET": {
        "normal": [(0, 1), (0, 0), (0, 1), (1, 0), (1, 1), (0, 4), (0, 1), (1, 3)],
        "reduction": [(0, 4), (1, 1), (0, 4), (1, 1), (1, 4), (0, 3), (3, 3), (1, 1)],
    },
}


def random_genotype(seed: int) -> Genotype:
    chooser = random.Random(seed)  # noqa: S311  no secrets here
    return Genotype("darts", {n: chooser.choice(o) for n, o in DartsSpace.all_choices().items()})


def document(**changes: Any) -> dict[str, Any]:
    found = {
        "format": "unas.genotype",
        "version": 1,
        "space": "darts",
        "choices": dict(random_genotype(0).choices),
    }
    return found | changes


def choices(**changes: Any) -> dict[str, str]:
    return {k: v for k, v in (dict(random_genotype(0).choices) | changes).items() if v is not None}


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    message = str(error.value)
    assert message
    assert "\n" not in message
    assert len(message) < 400
    return message


# The layers that change width, and the other 15, as (kernel, expansion); None is a skip.
CHAINS = {
    "UNAS": (
        [(5, 3), (7, 3), (7, 3), (5, 3), (7, 6), (7, 6)],
        [(3, 3), *[None] * 5, *[(3, 3)] * 6, *[(7, 3)] * 3],
    ),
    "PROXYLESS_GPU": (
        [(5, 3), (7, 3), (7, 6), (5, 6), (7, 6), (7, 6)],
        [*[None] * 5, (3, 3), None, None, (5, 3), None, (3, 3), (5, 3), (7, 6), (7, 6), (5, 6)],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_published_chains_equal_the_papers(name: str) -> None:
    genotype = load_genotype(name)
    assert genotype.space == "proxylessnas"
    assert len(genotype.choices) == 21
    changing, others = (iter(part) for part in CHAINS[name])
    for number in range(1, 22):
        layer = next(changing if number in {1, 5, 9, 13, 17, 21} else others)
        expected = "skip" if layer is None else "mbconv_{0}x{0}_e{1}".format(*layer)
        assert genotype.choices[f"layer{number}"] == expected
    assert not [*changing, *others]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_cells_equal_the_papers(name: str) -> None:
    genotype = load_genotype(name)
    assert genotype.space == "darts"
    for cell, slots in PUBLISHED[name].items():
        found = [
            (
                int(genotype.choices[f"{cell}/node{i // 2}/input{i % 2}"]),
                INDEX.index(genotype.choices[f"{cell}/node{i // 2}/op{i % 2}"]),
            )
            for i in range(8)
        ]
        assert found == slots
    assert len(genotype.choices) == 32


def test_published_names_are_listed_and_found_in_any_case() -> None:
    assert list_genotypes() == tuple(sorted([*PUBLISHED, *CHAINS]))
    assert (
        load_genotype("unas_Cifar10")
        == load_genotype("UNAS_CIFAR10")
        != load_genotype("UNAS_CIFAR100")
    )


@pytest.mark.parametrize("name", ["unas", "UNAS_PROXYLESS", "unas_proxyless"])
def test_genotype_called_unas_in_the_paper_has_its_older_name_too(name: str) -> None:
    assert load_genotype(name) == load_genotype("UNAS")
    assert load_genotype(name).space == "proxylessnas"


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_json_round_trip(seed: int) -> None:
    genotype = random_genotype(seed)
    again = Genotype.from_json(genotype.to_json())
    assert again == genotype
    assert hash(again) == hash(genotype)
    assert json.loads(genotype.to_json())["choices"] == dict(genotype.choices)
    assert pickle.loads(pickle.dumps(genotype)) == genotype  # noqa: S301


def test_a_genotype_cannot_change() -> None:
    genotype = random_genotype(0)
    with pytest.raises(TypeError):
        genotype.choices["normal/node0/op0"] = "skip_connect"  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        genotype.space = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["empty"]),
        ("{", ["truncated"]),
        ("[" * 100_000, ["not JSON"]),
        ("1" * 5000, ["not JSON"]),  # more digits than Python reads
        ("[1, 2]", ["not a genotype", "unas.genotype"]),
        ('"darts"', ["not a genotype"]),
        (json.dumps({"choices": {}}), ["not a genotype", "format"]),
        (json.dumps(document(version=2)), ["version is 2", "reads version 1"]),
        (json.dumps({k: v for k, v in document().items() if k != "space"}), ["'space'", "missing"]),
        (
            json.dumps({k: v for k, v in document().items() if k != "choices"}),
            ["'choices'", "missing"],
        ),
        (json.dumps(document(space="dart")), ["space 'dart'", "did you mean darts"]),
        (json.dumps(document(choices=[1])), ["choices must map"]),
        (json.dumps(document(choices=choices(**{"normal/node0/op0": 3}))), ["choices must map"]),
        (
            json.dumps(document(choices=choices(**{"normal/node1/op0": "sep_conv_9x9"}))),
            ["normal/node1/op0", "'sep_conv_9x9'", "sep_conv_5x5"],
        ),
        # node 1 can't use itself (a cycle), a later node, or a state that doesn't exist
        (json.dumps(document(choices=choices(**{"normal/node1/input0": "3"}))), ["'3'", "0, 1, 2"]),
        (
            json.dumps(document(choices=choices(**{"reduction/node0/input1": "-1"}))),
            ["'-1'", "0, 1"],
        ),
        (
            json.dumps(document(choices=choices(**{"reduction/node3/input0": "5"}))),
            ["'5'", "0, 1, 2, 3, 4"],
        ),
        (
            json.dumps(document(choices=choices(**{"normal/node3/op1": None}))),
            ["1 of", "normal/node3/op1"],
        ),
        (json.dumps(document(choices={})), ["32 of", "32 choices are missing"]),
        (
            json.dumps(document(choices=choices(**{"normal/node4/op0": "skip_connect"}))),
            ["'normal/node4/op0'", "not a choice"],
        ),
        (" " * (MAX_JSON_CHARACTERS + 1), [str(MAX_JSON_CHARACTERS)]),
    ],
)
def test_bad_json_gives_one_line(text: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as error:
        Genotype.from_json(text, "my.json")
    message = one_line(error)
    assert message.startswith(("my.json", "space "))
    for part in parts:
        assert part in message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
_NEARLY = st.builds(
    lambda kept, changes: {k: v for k, v in document().items() if k in kept} | changes,
    st.sets(st.sampled_from(["format", "version", "space", "choices"]), min_size=2),
    st.dictionaries(st.sampled_from(["version", "space", "choices", "more"]), _JSON, max_size=2),
)


@given(_JSON.map(json.dumps) | _NEARLY.map(json.dumps) | st.text())
@settings(max_examples=100, deadline=None)
def test_no_text_raises_anything_but_a_user_error(text: str) -> None:
    try:
        genotype = Genotype.from_json(text)
    except UserError:
        return
    assert genotype.space == "darts" or ":" in genotype.space


def test_a_file_never_imports_foreign_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert Genotype.from_json(json.dumps(document(space="trap:Space"))).space == "trap:Space"


def test_files_and_run_directories(tmp_path: Path) -> None:
    genotype = random_genotype(5)
    (tmp_path / "genotype.json").write_text(genotype.to_json())
    assert load_genotype(tmp_path) == genotype
    assert load_genotype(tmp_path / "genotype.json") == genotype
    assert load_genotype(str(tmp_path / "genotype.json")) == genotype


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda path: path.mkdir(), "holds no genotype.json"),
        (lambda path: path.write_bytes(b"\xff\xfe{}"), "not text"),
        (lambda path: path.write_bytes(b" " * (4 * MAX_JSON_CHARACTERS + 1)), "larger than"),
        (lambda path: path.write_text("{}"), "not a genotype"),
        (lambda _path: None, "no such file, and no published genotype"),
    ],
)
def test_bad_files_give_one_line(tmp_path: Path, make: Callable[[Path], Path], part: str) -> None:
    make(tmp_path / "it")
    with pytest.raises(UserError) as error:
        load_genotype(tmp_path / "it")
    assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["UNAS_CIFAR11", "", "a\0b", "x" * 5000])
def test_wrong_names_give_one_line(name: str) -> None:
    with pytest.raises(UserError) as error:
        load_genotype(name)
    assert "genotype" in str(error.value)
    assert "\n" not in str(error.value)
    if name == "UNAS_CIFAR11":
        assert "did you mean UNAS_CIFAR10" in str(error.value)
