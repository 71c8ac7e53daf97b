"""A run of seconds: 120 digits, a supernet of three cells with two channels, a handful of steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from unas.compute.runtime import RuntimeConfig
from unas.config import Config
from unas.data import Augmentation, Dataset, ImageData
from unas.data.digits import Digits
from unas.runs.session import CheckpointConfig
from unas.searching.choosing import ChoosingConfig
from unas.searching.config import AdamConfig, SearchConfig
from unas.spaces.darts import DartsNetworkOptions, DartsSpace
from unas.training import TrainingConfig

# 96 images train, 24 of them validate the search; 24 test.
SEARCH_STEPS = 9  # 3 an epoch, of 72 images in batches of 24
TRAINING_STEPS = 8  # 4 an epoch, of 96 images in batches of 24


@dataclass(frozen=True)
class TinyDigits(Dataset):
    """A few of the digits: a dataset from outside the package."""

    num_classes: ClassVar[int | None] = 10
    image_channels: ClassVar[int | None] = 1

    def load(self, root: Path) -> ImageData:
        data = Digits().load(root)
        rows = data.train.labels.argsort(stable=True).view(-1).long()
        train = data.train.subset(rows[:: len(rows) // 96][:96])
        test = data.test.subset(data.test.labels.argsort(stable=True)[:: len(data.test) // 24][:24])
        return replace(data, name="tiny", train=train, test=test)


def tiny_recipe() -> Config:
    """Return all phases with everything random that a run can have: crops, drop-path, noise,
    candidates.
    """
    augmentation = Augmentation(crop_padding=1)
    return Config(
        dataset=TinyDigits(),
        space=DartsSpace(channels=2, layers=3, operations=3),
        network=DartsNetworkOptions(channels=4, layers=3, drop_path=0.2),
        search=SearchConfig(
            warm_up_epochs=1,
            epochs=2,
            batch_size=24,
            architectures_per_batch=4,
            validation_fraction=0.25,
            weights=AdamConfig(lr=5e-3, final_lr=1e-3, weight_decay=3e-4),
            policy=AdamConfig(lr=5e-2, final_lr=1e-2, weight_decay=1e-6),
            augmentation=augmentation,
        ),
        choosing=ChoosingConfig(candidates=3),
        training=TrainingConfig(
            epochs=2, warm_up_epochs=1, batch_size=24, lr=0.1, augmentation=augmentation
        ),
        runtime=RuntimeConfig(device="cpu"),
        checkpoint=CheckpointConfig(every_seconds=1e6, every_steps=2),
    )
