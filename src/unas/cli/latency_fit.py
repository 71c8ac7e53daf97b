"""`unas latency fit`: a predictor of the latency of a space's networks, from measuring a few."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unas import spaces
from unas.cli.commands import Command
from unas.cli.configuring import named_recipe
from unas.cli.latency_measure import fingerprint_rows
from unas.cli.latency_names import DEFAULT_SHAPE, backend_of, image_shape
from unas.cli.options import FitOptions
from unas.cli.output import print_rows
from unas.cli.words import require_no_more, take, take_name
from unas.common.errors import UserError
from unas.common.files import make_directory
from unas.common.registry import one_of
from unas.common.text import readable_time
from unas.config import Config
from unas.latency.fitting import fit_predictor
from unas.latency.predictor import Predictor
from unas.recipes import names as recipe_names
from unas.spaces import NetworkOptions, SearchSpace

_DEFAULT_CLASSES = 10


@dataclass(frozen=True)
class Sizes:
    """How large the networks are that are measured.

    Args:
        space: the search space.
        network: the size of the network that is to be deployed.
    """

    space: SearchSpace
    network: NetworkOptions


def fit(command: Command, words: Sequence[str]) -> None:
    """Do `unas latency fit` with the words that follow it.

    Raises:
        UserError: a word is wrong, or something can't be measured here.
    """
    options, words = take(FitOptions(), words)
    name, words = take_name(command, words)
    config = _recipe(name)
    if config is None:
        space = spaces.get(name)()
        sizes = Sizes(space, space.network_options())
    else:
        sizes = Sizes(config.space, config.network)
    sizes, words = take(sizes, words)
    require_no_more(command, words, options, sizes)
    shape, classes = _images(options, config)
    make_directory(Path(options.out).parent)  # before minutes of measurements
    start = time.monotonic()
    predictor = fit_predictor(
        sizes.space,
        sizes.network,
        (options.batch, *shape),
        backend_of(options),
        options.device,
        num_classes=classes,
        threads=options.threads,
        architectures=options.architectures,
        held_out=options.held_out,
        rounds=options.rounds,
        seed=options.seed,
    )
    predictor.save(Path(options.out))
    seconds = readable_time(time.monotonic() - start)
    print_rows([*_rows(predictor), ("time", seconds), ("written", options.out)])


def _recipe(name: str) -> Config | None:
    """Return the configuration of a recipe; None if `name` is a space's.

    Raises:
        UserError: it is neither.
    """
    # A space of somebody's own model is known only as part of a recipe.
    known = tuple(space for space in spaces.names() if spaces.get(space).all_choices() is not None)
    if name in known:
        return None
    if ":" not in name and name.lower() not in recipe_names():
        hint = one_of(name, (*recipe_names(), *known))
        raise UserError(f"{name!r} is neither a recipe nor a space; {hint}")
    return named_recipe(name)


def _images(options: FitOptions, config: Config | None) -> tuple[tuple[int, int, int], int]:
    """Return (C, H, W) and the number of classes: as typed, or as the recipe's data have them."""
    shape = None if options.input_shape is None else image_shape(options.input_shape)
    classes = options.classes
    if config is not None and (shape is None or classes is None):
        config = replace(config, data_root=options.data_root)
        data = config.dataset.load(config.data_directory)
        shape = shape or data.image_shape
        classes = classes or data.num_classes
    return shape or DEFAULT_SHAPE, classes or _DEFAULT_CLASSES


def _rows(predictor: Predictor) -> list[tuple[str, str]]:
    quality = predictor.quality
    measured = (
        f"{quality.architectures} architectures, {quality.forwards} forwards, "
        f"{quality.measuring_seconds:.3g} s; building them {quality.building_seconds:.3g} s"
    )
    held_out = f"{quality.held_out} architectures"
    if math.isfinite(quality.mape):
        held_out += f": mean absolute error {quality.mape:.2f} %"
    if math.isfinite(quality.spearman):
        held_out += f", rank correlation {quality.spearman:.3f}"
    _, least_ms = predictor.least()
    return [
        ("measured", measured),
        ("held out", held_out),
        ("least possible", f"{least_ms:.4g} ms"),
        *fingerprint_rows(predictor.fingerprint),
    ]
