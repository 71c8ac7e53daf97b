"""What a section of the benchmarks is given, and what it hands back."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Settings:
    """What is timed, and how often.

    Args:
        yardstick: the file of the plain search step.
        pairs: rounds in which everything is run in turn.
        channels: C of the DARTS supernet and of the trained network.
        layers: L of both.
        batch: B, images of a search step.
        device: where everything is computed.
        plots: the folder for pictures.
    """

    yardstick: Path
    pairs: int
    channels: int
    layers: int
    batch: int
    device: torch.device
    plots: Path


@dataclass(frozen=True)
class Section:
    """A table of docs/benchmarks.md.

    Args:
        title: of the table.
        about: what was measured, under the title.
        columns: the heads of the columns; all but the first hold numbers.
        rows: as many cells each.
        figures: all that was measured, for the JSON file.
        picture: a plot beside the table.
    """

    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: dict[str, Any] = field(default_factory=dict)
    picture: Path | None = None

    def markdown(self, machine: str, command: Sequence[str], document: Path) -> str:
        """Return the section as it stands in a document."""
        ruled = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [f"## {self.title}", "", machine, "", "```", f"uv run python {shlex.join(command)}"]
        lines += ["```", "", self.about, "", _line(self.columns), _line(ruled)]
        lines += [_line(row) for row in self.rows]
        if self.picture is not None:
            path = os.path.relpath(self.picture, document.parent)
            lines += ["", f"![{self.title}]({path})"]
        return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def put_into(document: Path, name: str, text: str) -> None:
    """Put a section into a document, in the place of its former self or at the end."""
    begin, end = f"<!-- all.py: {name} -->", f"<!-- end of {name} -->"
    before = document.read_text(encoding="utf-8") if document.exists() else ""
    block = f"{begin}\n{text}\n{end}"
    former = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    after, count = former.subn(lambda _: block, before)
    if not count:
        after = f"{before.rstrip()}\n\n{block}\n".lstrip()
    document.write_text(after, encoding="utf-8")
