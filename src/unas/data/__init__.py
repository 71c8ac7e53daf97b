"""Images: the datasets by name, their splits, and batches that are augmented on the device."""

from __future__ import annotations

from unas.common.registry import Registry
from unas.data._augment import Augmentation, augment, normalise
from unas.data._memory import ImagesInMemory
from unas.data._stream import BatchStream, evaluation_batches
from unas.data.base import Dataset, ImageData, ImageSet, split

__all__ = [
    "Augmentation",
    "BatchStream",
    "Dataset",
    "ImageData",
    "ImageSet",
    "ImagesInMemory",
    "augment",
    "evaluation_batches",
    "get",
    "name_of",
    "names",
    "normalise",
    "split",
]

_registry = Registry("dataset", "unas.data", Dataset)  # type: ignore[type-abstract]
get = _registry.get
names = _registry.names
name_of = _registry.name_of
