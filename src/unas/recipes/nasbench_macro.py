"""NAS-Bench-Macro: a search whose outcome a published table judges."""

from unas.config import Config
from unas.data import Augmentation
from unas.data.cifar10 import Cifar10
from unas.recipes._short_search import short_search
from unas.spaces.nasbench_macro import NasBenchMacroNetworkOptions, NasBenchMacroSpace
from unas.training import TrainingConfig


def nasbench_macro() -> Config:
    """Return a search on CIFAR-10 sized for two CPU cores.

    Smaller than published: the supernet's channels, half as many, and the number of epochs.
    """
    augmentation = Augmentation(crop_padding=4, flip=True)
    return Config(
        dataset=Cifar10(),
        space=NasBenchMacroSpace(width=0.5, bn="routed"),
        network=NasBenchMacroNetworkOptions(width=1.0),
        search=short_search(warm_up_epochs=4, augmentation=augmentation),
        training=TrainingConfig(epochs=50, warm_up_epochs=2, lr=0.1, augmentation=augmentation),
    )
