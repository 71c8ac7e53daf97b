"""The data that a run began with, and whether they are the same now."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from unas.common.errors import UserError
from unas.data import DataRecord, ImageData
from unas.runs.directory import RunDirectory
from unas.runs.manifest import starts_in
from unas.runs.names import GENOTYPE, MANIFEST
from unas.runs.network import num_classes_of

DATA = "data"  # the field of manifest.json
_MOST_NAMES = 10  # of classes, in a message

_log = logging.getLogger("unas.pipeline")


def recorded_data(run: RunDirectory) -> DataRecord | None:
    """Return what the run keeps of its data; None, which is told, where an older unas wrote it.

    Raises:
        UserError: it is not what unas writes.
    """
    path = run.path(MANIFEST)
    if os.path.lexists(path):
        for start in starts_in(run.read_json(MANIFEST)):
            if DATA in start:
                return DataRecord.from_json(start[DATA], f"{path}: {DATA}")
    _log.warning("%s says nothing about the data of the run: they are not compared", path)
    return None


def require_same_data(now: DataRecord, began: DataRecord, directory: Path, place: Path) -> None:
    """Refuse to go on with a run on other data than it began with.

    Its test images could be among those that it has learned from.

    Args:
        now: the data at hand.
        began: those that the run began with.
        directory: of the run.
        place: where the data at hand are.

    Raises:
        UserError: says what differs, and what can be done.
    """
    _require_classes(now, began, directory, place)
    if (now.train, now.test) == (began.train, began.test):
        return
    if now.images != began.images:
        classes = len(now.classes)
        says = (
            f"has {now.images:,} images in {classes:,} classes, the run began with {began.images:,}"
        )
    elif now.train.images != began.train.images:
        says = f"has {_counts(now)}, the run began with {_counts(began)}"
    else:
        says = (
            f"has as many images as the run in {directory} began with, but other ones: their "
            "names, sizes or classes differ"
        )
    raise UserError(f"{now.dataset}: {place} {says}; {_what_to_do(directory)}")


def _counts(record: DataRecord) -> str:
    return f"{record.train.images:,} images to train and {record.test.images:,} to test"


def _what_to_do(directory: Path) -> str:
    again = "put them back as they were, or begin another run with another --out"
    if (directory / GENOTYPE).exists():
        again += f" (--genotype {shlex.quote(str(directory))} keeps the architecture)"
    return again


def require_same_classes(data: ImageData, run: RunDirectory, place: Path) -> str:
    """Refuse data of other classes than a trained network tells apart.

    Args:
        data: what the network is to be tested on.
        run: its run.
        place: where the data are.

    Returns:
        How many images there are, and whether they are those of the run, in one line.

    Raises:
        UserError: names the classes.
    """
    now = DataRecord.of(data)
    began = recorded_data(run)
    if began is None:
        count = num_classes_of(run.directory)
        if len(now.classes) != count:
            raise UserError(
                f"{now.dataset}: {place} has {len(now.classes)} classes, and the network in "
                f"{run.directory} tells {count} apart; give its own data with --data-root"
            )
        return now.line()
    _require_classes(now, began, run.directory, place)
    if now.test == began.test:
        return f"{now.line()}, those of the run"
    if data.test_share is not None and now.train != began.train:
        _log.warning(
            "the images at %s are not those of the run, and the test images are a share of them: "
            "some may have trained the network; put images that never did into val/",
            place,
        )
    return f"{now.line()}, not those of the run"


def _require_classes(now: DataRecord, began: DataRecord, directory: Path, place: Path) -> None:
    if now.classes == began.classes:
        return
    raise UserError(
        f"{now.dataset}: {place} has {_classes(now.classes, began.classes)}, the run in "
        f"{directory} has {_classes(began.classes, now.classes)}; give the data of these classes, "
        "in this order, with --data-root, or begin another run with another --out"
    )


def _classes(names: Sequence[str], others: Sequence[str]) -> str:
    """Return the names of some classes; of many, the first that are not among the others."""
    count = f"{len(names):,} classes"
    if len(names) <= _MOST_NAMES:
        return f"{count}: {', '.join(names)}"
    different = [name for name in names if name not in set(others)]
    if not different:
        return count
    more = ", …" if len(different) > _MOST_NAMES else ""
    return f"{count}, among them {', '.join(different[:_MOST_NAMES])}{more}"
