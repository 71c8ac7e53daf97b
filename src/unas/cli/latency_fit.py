"""`unas latency fit`: a predictor of the latency of a space's networks, from measuring a few of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from unas import spaces
from unas.cli.flags import parse
from unas.cli.latency_measure import fingerprint_rows
from unas.cli.latency_options import DEFAULT_SHAPE, Where
from unas.cli.output import print_rows
from unas.cli.words import take_name
from unas.common.errors import UserError, one_line_errors
from unas.common.registry import one_of
from unas.common.text import readable_time
from unas.config import Config
from unas.latency.fitting import fit_predictor
from unas.latency.predictor import Predictor
from unas.recipes import names, recipe
from unas.spaces import NetworkOptions, SearchSpace


@dataclass(frozen=True)
class FitOptions:
    """What to measure, and how.

    Args:
        space: the search space.
        network: the size of the networks that are measured: that of the one to be deployed.
        where: the backend and the device.
        input_shape: channels, height and width of an image; none is that of the recipe's data, or
            3,32,32 for a space.
        classes: how many the networks tell apart; none is as many as the recipe's data, or 10 for a
            space.
        data_root: where data sets are, if the recipe's must be looked at.
        batch: images of a forward.
        architectures: how many are measured; none is 32, and one for every two kinds of terms.
        held_out: how many others the predictor is compared with.
        rounds: how often each network has its turn, of one forward to warm up and three that are
            clocked.
        seed: of what is drawn.
        out: the file to write.
    """

    space: SearchSpace
    network: NetworkOptions
    where: Where = Where()
    input_shape: tuple[int, ...] | None = None
    classes: int | None = None
    data_root: str | None = None
    batch: int = 1
    architectures: int | None = None
    held_out: int = 20
    rounds: int = 5
    seed: int = 0
    out: str = "predictor.json"


def fit(command: str, words: list[str]) -> int:
    """Do `unas latency fit` with the words that follow it.

    Raises:
        UserError: a word is wrong, or something can't be measured here.
    """
    name, words = take_name(words, "RECIPE or SPACE", f"unas {command} digits")
    config = _recipe(name)
    if config is None:
        defaults = FitOptions(spaces.get(name)(), spaces.get(name).network_options())
    else:
        defaults = FitOptions(config.space, config.network)
    about = "Measure some networks of a space and learn to predict the latency of all."
    options: FitOptions = parse(defaults, words, f"unas {command} {name}", about, ("where",))
    shape, classes = _images(options, config)
    if options.batch < 1:
        raise UserError(f"--batch is {options.batch}; it must be 1 or more")
    start = time.monotonic()
    predictor = fit_predictor(
        options.space,
        options.network,
        (options.batch, *shape),
        options.where.build(),
        options.where.device,
        num_classes=classes,
        threads=options.where.threads,
        architectures=options.architectures,
        held_out=options.held_out,
        rounds=options.rounds,
        seed=options.seed,
    )
    predictor.save(Path(options.out))
    print_rows(
        [
            *_rows(predictor),
            ("time", readable_time(time.monotonic() - start)),
            ("written", options.out),
        ]
    )
    return 0


def _rows(predictor: Predictor) -> list[tuple[str, str]]:
    quality = predictor.quality
    genotype_ms = predictor.least()[1]
    return [
        (
            "measured",
            f"{quality.architectures} architectures, {quality.forwards} forwards, {quality.measuring_seconds:.3g} s; "
            f"building them {quality.building_seconds:.3g} s",
        ),
        (
            "held out",
            f"{quality.held_out} architectures: mean absolute error {quality.mape:.2f} %, "
            f"rank correlation {quality.spearman:.3f}",
        ),
        ("least possible", f"{genotype_ms:.4g} ms"),
        *fingerprint_rows(predictor.fingerprint),
    ]


def _recipe(name: str) -> Config | None:
    """Return the configuration of a recipe; None if `name` is a space's.

    Raises:
        UserError: it is neither.
    """
    known = tuple(space for space in spaces.names() if spaces.get(space).all_choices() is not None)
    if name in known:
        return None
    if ":" not in name and name.lower() not in names():
        raise UserError(
            f"{name!r} is neither a recipe nor a space; {one_of(name, (*names(), *known))}"
        )
    with one_line_errors(f"recipe {name!r}"):
        return recipe(name)


def _images(options: FitOptions, config: Config | None) -> tuple[tuple[int, ...], int]:
    """Return (C, H, W) and the number of classes: as given, or as the recipe's data has them."""
    shape, classes = options.input_shape, options.classes
    if config is not None and (shape is None or classes is None):
        data = replace(config, data_root=options.data_root)
        loaded = data.dataset.load(data.data_directory)
        shape, classes = shape or loaded.image_shape, classes or loaded.num_classes
    shape, classes = shape or DEFAULT_SHAPE, 10 if classes is None else classes
    if len(shape) != 3 or min(shape) < 1:
        raise UserError(
            f"--input-shape is {shape}; give channels, height and width, for example 3,32,32"
        )
    if classes < 1:
        raise UserError(f"--classes is {classes}; it must be 1 or more")
    return shape, classes
