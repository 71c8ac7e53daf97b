"""`unas list`: what there is, with first lines of docstrings, read without importing them."""

from __future__ import annotations

import ast
import json
import pkgutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from unas.architecture.published import ALIASES, list_genotypes
from unas.cli.commands import Command
from unas.cli.output import print_table
from unas.cli.words import require_no_more
from unas.common.errors import UserError
from unas.common.registry import one_of

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = {
    "recipes": "recipes",
    "spaces": "spaces",
    "estimators": "estimators",
    "objectives": "objectives",
    "quantities": "budgets/quantities",
    "datasets": "data",
    "backends": "latency/backends",
}
KINDS = ("recipes", "genotypes", *(kind for kind in _FOLDERS if kind != "recipes"))


def show_list(command: Command, words: Sequence[str]) -> None:
    """Do `unas list` with the words that follow it.

    Raises:
        UserError: there is no such kind.
    """
    flags = [word for word in words if word.startswith("-")]
    require_no_more(command, flags)
    for kind in words:
        if kind not in KINDS:
            raise UserError(f"unas list: there is no kind {kind!r}; {one_of(kind, KINDS)}")
    table = Table.grid(padding=(0, 2))
    for kind in words or KINDS:
        if table.rows:
            table.add_row()
        table.add_row(Text(kind, style="bold"))
        for name, summary in entries(kind):
            table.add_row(Text(f"  {name}"), Text(summary))
    print_table(table)


def entries(kind: str) -> Iterator[tuple[str, str]]:
    """Yield (name, one line) of everything of a kind."""
    if kind == "genotypes":
        for name in list_genotypes():
            path = _PACKAGE / "architecture" / "genotypes" / f"{name}.json"
            document = json.loads(path.read_text(encoding="utf-8"))
            summary = f"published, in the {document['space']} space"
            for alias in sorted(other for other, meant in ALIASES.items() if meant == name):
                summary += f"; also {alias}"
            yield name, summary
        return
    folder = _PACKAGE / _FOLDERS[kind]
    for module in pkgutil.iter_modules([str(folder)]):
        if module.name.startswith("_") or module.name == "base":
            continue
        source = (
            folder / module.name / "__init__.py" if module.ispkg else folder / f"{module.name}.py"
        )
        docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
        name = module.name.replace("_", "-") if kind == "recipes" else module.name
        yield name, docstring.partition("\n")[0]
