"""`unas show`: an architecture as a drawing or as JSON."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.cli.flags import parse
from unas.cli.words import take_name
from unas.common.files import write_text
from unas.drawing import draw_svg, draw_terminal
from unas.graphs.size import count_parameters
from unas.spaces import Blueprint, built_in_space


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
    options: Options = parse(
        Options(), words, f"unas {command} GENOTYPE", "Draw an architecture.", ("json",)
    )
    genotype = load_genotype(name)
    title = Path(name).name or name
    if options.json:
        sys.stdout.write(genotype.to_json())
    elif options.svg is None:
        draw_terminal(genotype, title, size_line(genotype))
    if options.svg is not None:
        write_text(Path(options.svg), draw_svg(genotype, title, size_line(genotype)))
        print(f"{options.svg} written", file=sys.stderr)


def size_line(genotype: Genotype) -> str:
    """Return the size of the network that a genotype becomes with its space's default options; "" if unknown."""
    space = built_in_space(genotype)
    if space is None:
        return ""
    options = space.network_options()
    network = Blueprint(space, options, num_classes=10, image_shape=(3, 32, 32)).skeleton(genotype)
    size = f"{count_parameters(network) / 1e6:.2f} M parameters"
    given = ", ".join(
        f"{name} {value}" for name, value in asdict(options).items() if type(value) in {int, str}
    )
    return f"{size} with 10 classes, {given}" if given else f"{size} with 10 classes"
