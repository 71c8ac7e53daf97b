"""`import unas`: what is taught is offered, and nothing is imported before it is asked for."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import unas

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def taught() -> Iterator[tuple[str, ast.Module]]:
    """Yield the Python code of every page and example, and where it stands."""
    for page in PAGES:
        for code in re.findall(
            r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
        ):
            yield page.name, ast.parse(code)
    for example in EXAMPLES:
        yield example.name, ast.parse(example.read_text())


def names_of_unas(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "unas":
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "unas":
            yield node.attr


def test_what_is_taught_is_public() -> None:
    names = {name for _, tree in taught() for name in names_of_unas(tree)}
    assert "fit_predictor" in names  # the pages are read at all
    assert names <= set(unas.__all__)


def test_pages_import_from_unas_and_its_packages_only() -> None:
    for page, tree in taught():
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        for module in sorted(m for m in modules if m and m.startswith("unas.")):
            package, *inner = module.removeprefix("unas.").split(".")
            assert package in unas.__all__, f"{page}: {module}"
            assert not inner, f"{page}: {module}"


def test_every_public_name_is_there() -> None:
    for name in unas.__all__:
        assert getattr(unas, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = unas.nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", ["", "-m unas --help", "-m unas --version", "-m unas run --help"])
def test_nothing_is_imported_before_it_is_used(words: str) -> None:
    command = [sys.executable, "-X", "importtime", *(words.split() or ["-c", "import unas"])]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    modules = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert "unas" in modules
    assert not modules & {"torch", "numpy", "onnx", "unas._public"}
