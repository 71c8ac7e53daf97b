"""`unas show`: an architecture as a drawing or as JSON."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from unas.cli.flags import parse
from unas.cli.words import take_name
from unas.drawing import draw_svg, draw_terminal
from unas.files import write_text
from unas.genotype_files import load_genotype


@dataclass(frozen=True)
class Options:
    """How to show it.

    Args:
        svg: a file to write a drawing to.
        json: print the genotype's JSON instead.
    """

    svg: str | None = None
    json: bool = False


def show(command: str, words: list[str]) -> None:
    """Do `unas show` with the words that follow it.

    Raises:
        UserError: there is no such genotype, or the file can't be written.
    """
    name, words = take_name(words, "GENOTYPE", f"unas {command} UNAS_CIFAR10")
    options: Options = parse(Options(), words, f"unas {command} GENOTYPE", "Draw an architecture.", ("json",))
    genotype = load_genotype(name)
    title = Path(name).name or name
    if options.json:
        sys.stdout.write(genotype.to_json())
    elif options.svg is None:
        draw_terminal(genotype, title)
    if options.svg is not None:
        write_text(Path(options.svg), draw_svg(genotype, title))
        print(f"{options.svg} written", file=sys.stderr)
