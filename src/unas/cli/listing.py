"""`unas list`: what there is, each with the first line of its docstring, read without importing anything."""

from __future__ import annotations

import ast
import importlib.util
import json
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unas.architecture.published import list_genotypes
from unas.common.errors import UserError
from unas.common.registry import one_of

PACKAGES = {
    "recipes": "recipes",
    "spaces": "spaces",
    "estimators": "estimators",
    "objectives": "objectives",
    "quantities": "budgets/quantities",
    "datasets": "data",
    "backends": "latency/backends",
}
KINDS = ("recipes", "genotypes", *(kind for kind in PACKAGES if kind != "recipes"))


def show_list(command: str, words: list[str]) -> None:
    """Do `unas list` with the words that follow it.

    Raises:
        UserError: there is no such kind.
    """
    kinds = tuple(words) or KINDS
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"unas {command}: there is no kind {kind!r}; {one_of(kind, KINDS)}")
    table = Table.grid(padding=(0, 2))
    for position, kind in enumerate(kinds):
        if position:
            table.add_row()
        table.add_row(Text(kind, style="bold"))
        for name, says in entries(kind):
            table.add_row(Text(f"  {name}"), Text(says))
    console = Console(file=sys.stdout)
    console.width = console.width if console.is_terminal else 200
    console.print(table)


def entries(kind: str) -> Iterator[tuple[str, str]]:
    """Yield (name, one line) of everything of a kind."""
    if kind == "genotypes":
        for name in list_genotypes():
            document = json.loads(
                (_root() / "architecture" / "genotypes" / f"{name}.json").read_text(
                    encoding="utf-8"
                )
            )
            yield name, f"published, in the {document['space']} space"
        return
    folder = _root() / PACKAGES[kind]
    for module in pkgutil.iter_modules([str(folder)]):
        if module.name.startswith("_") or module.name == "base":
            continue
        file = (
            folder / module.name / "__init__.py" if module.ispkg else folder / f"{module.name}.py"
        )
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        name = module.name.replace("_", "-") if kind == "recipes" else module.name
        yield name, docstring.partition("\n")[0]


def _root() -> Path:
    spec = importlib.util.find_spec("unas")
    return Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
