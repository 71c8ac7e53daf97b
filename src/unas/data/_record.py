"""What a run keeps of its data: classes, counts, where the test images are from, fingerprints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unas.common.errors import UserError
from unas.common.text import printable, shown
from unas.common.values import check_value
from unas.data.base import ImageData, ImageSet

_MOST_NAMES = 6  # of classes, in a line


@dataclass(frozen=True)
class PartRecord:
    """The training or the test images of a dataset.

    Args:
        images: how many there are.
        fingerprint: `ImageSet.fingerprint`.
    """

    images: int
    fingerprint: str

    @classmethod
    def of(cls, images: ImageSet) -> PartRecord:
        """Return the record of images."""
        return cls(len(images), images.fingerprint())

    @classmethod
    def from_json(cls, value: Any, path: str) -> PartRecord:
        """Read what a manifest holds; `path` names it in messages."""
        fields = _object(value, path)
        return cls(
            images=check_value(int, fields.get("images"), f"{path}.images"),
            fingerprint=check_value(str, fields.get("fingerprint"), f"{path}.fingerprint"),
        )


@dataclass(frozen=True)
class DataRecord:
    """The data of a run, as its manifest.json has them.

    Args:
        dataset: `ImageData.name`.
        classes: their names, in the order of their labels.
        train: the training images.
        test: the test images.
        test_from: `ImageData.test_from`.
        left_out: `ImageData.left_out`.
    """

    dataset: str
    classes: tuple[str, ...]
    train: PartRecord
    test: PartRecord
    test_from: str = ""
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: ImageData) -> DataRecord:
        """Return the record of a dataset."""
        return cls(
            dataset=data.name,
            classes=data.class_names,
            train=PartRecord.of(data.train),
            test=PartRecord.of(data.test),
            test_from=data.test_from,
            left_out=data.left_out,
        )

    @classmethod
    def from_json(cls, value: Any, path: str) -> DataRecord:
        """Read what a manifest holds.

        Args:
            value: a JSON value, which may be somebody else's.
            path: what messages call it.

        Raises:
            UserError: it is not what unas writes.
        """
        fields = _object(value, path)
        return cls(
            dataset=check_value(str, fields.get("dataset"), f"{path}.dataset"),
            classes=check_value(tuple[str, ...], fields.get("classes"), f"{path}.classes"),
            train=PartRecord.from_json(fields.get("train"), f"{path}.train"),
            test=PartRecord.from_json(fields.get("test"), f"{path}.test"),
            test_from=check_value(str, fields.get("test_from", ""), f"{path}.test_from"),
            left_out=check_value(tuple[str, ...], fields.get("left_out", ()), f"{path}.left_out"),
        )

    @property
    def images(self) -> int:
        """How many images there are, training and test together."""
        return self.train.images + self.test.images

    def line(self) -> str:
        """Return how many images train and test, and where those that test come from."""
        classes = f"{len(self.classes):,} classes ({_some_names(self.classes)})"
        return f"{self.dataset}: {classes}, train {self.train.images:,}, {self._test()}"

    def _test(self) -> str:
        source = f" of {self.test_from}" if self.test_from else ""
        return f"test {self.test.images:,}{source}"


def _some_names(names: tuple[str, ...]) -> str:
    """Return names in a line: all of a few, else the first ones."""
    # Whoever made a folder chose its name, which may change the direction of a line.
    if len(names) <= _MOST_NAMES:
        return printable(", ".join(names))
    return printable(", ".join(names[: _MOST_NAMES - 1]) + ", …")


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{path} is {shown(value)}; it must be an object, as unas wrote it")
    return value
