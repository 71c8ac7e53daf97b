"""`unas show`: an architecture as a drawing or as JSON."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from unas.architecture.genotype import Genotype
from unas.architecture.published import ALIASES, load_genotype
from unas.cli.commands import Command
from unas.cli.options import ShowOptions
from unas.cli.words import parse
from unas.common.files import write_text
from unas.drawing import draw_svg, draw_terminal
from unas.graphs.size import count_parameters
from unas.spaces import Blueprint, built_in_space

_log = logging.getLogger("unas.cli")


def show(command: Command, words: Sequence[str]) -> None:
    """Do `unas show` with the words that follow it.

    Raises:
        UserError: there is no such genotype, or the file can't be written.
    """
    name, options = parse(command, ShowOptions(), words)
    genotype = load_genotype(name)
    title = ALIASES.get(name.upper(), Path(name).name or name)
    if options.json:
        sys.stdout.write(genotype.to_json())
    elif options.svg is None:
        draw_terminal(genotype, title, size_line(genotype))
    if options.svg is not None:
        write_text(Path(options.svg), draw_svg(genotype, title, size_line(genotype)))
        _log.info("%s written", options.svg)


def size_line(genotype: Genotype) -> str:
    """Return the size of the network of a genotype at its space's default size; "" if unknown."""
    space = built_in_space(genotype)
    if space is None:
        return ""
    options = space.network_options()
    network = Blueprint(space, options, num_classes=10, image_shape=(3, 32, 32)).skeleton(genotype)
    values = []
    for name, value in asdict(options).items():
        # How a limit is counted means nothing without one.
        if type(value) in {int, str} and name != "counting":
            values.append(f"{name} {value}")
    size = f"{count_parameters(network) / 1e6:.2f} M parameters"
    return ", ".join([f"{size} with 10 classes", *values])
