"""Images: the datasets by name, their splits, and batches that are augmented on the device."""

from __future__ import annotations

from unas.common.registry import Registry
from unas.data._augment import Augmentation, augment, normalise
from unas.data._growing import SmallImages
from unas.data._images_in_memory import ImagesInMemory
from unas.data._record import DataRecord
from unas.data._size import DataSize
from unas.data._stream import BatchStream, evaluation_batches, num_evaluation_batches
from unas.data.base import (
    Dataset,
    ImageData,
    ImageSet,
    Normalisation,
    split,
    validation_count,
)

registry: Registry[Dataset] = Registry(
    "dataset",
    "unas.data",
    Dataset,  # type: ignore[type-abstract]
)
get = registry.get
names = registry.names

__all__ = [
    "Augmentation",
    "BatchStream",
    "DataRecord",
    "DataSize",
    "Dataset",
    "ImageData",
    "ImageSet",
    "ImagesInMemory",
    "Normalisation",
    "SmallImages",
    "augment",
    "evaluation_batches",
    "get",
    "names",
    "normalise",
    "num_evaluation_batches",
    "registry",
    "split",
    "validation_count",
]
