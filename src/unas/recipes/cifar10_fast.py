"""CIFAR-10 in hours on a CPU."""

from unas.config import Config
from unas.data import Augmentation
from unas.data.cifar10 import Cifar10
from unas.recipes._short_search import short_search
from unas.searching.choosing import ChoosingConfig
from unas.spaces.darts import DartsNetworkOptions, DartsSpace
from unas.training import TrainingConfig


def cifar10_fast() -> Config:
    """Return a short search in the DARTS space, and a short training of a small network.

    What is published, `cifar10`, trains C 36, L 20 for 600 epochs. Eight finalists are trained for
    an epoch of the search's training images, the better four for another, and the best two for four
    in all.
    """
    augmentation = Augmentation(crop_padding=4, flip=True)
    return Config(
        dataset=Cifar10(),
        space=DartsSpace(channels=16, layers=5, bn="routed"),
        network=DartsNetworkOptions(channels=16, layers=8, drop_path=0.1),
        search=short_search(warm_up_epochs=8, augmentation=augmentation, architectures=8),
        # Trainings of an epoch and more rank cells, shorter ones and the supernet hardly do
        # (docs/log.md).
        choosing=ChoosingConfig(candidates=31, finalists=8, finalist_share=0.3),
        training=TrainingConfig(
            epochs=30,
            warm_up_epochs=2,
            lr=0.1,
            augmentation=Augmentation(crop_padding=4, flip=True, cutout=16),
        ),
    )
