"""NAS-Bench-201: a search whose outcome a published table judges."""

from unas.config import Config
from unas.data import Augmentation
from unas.data.cifar10 import Cifar10
from unas.recipes._short_search import short_search
from unas.spaces.nasbench201 import NasBench201NetworkOptions, NasBench201Space
from unas.training import TrainingConfig


def nasbench201() -> Config:
    """Return a search on CIFAR-10 sized for two CPU cores.

    Smaller than published: the supernet has one cell a stage instead of five and sees images of
    16×16 first, and the network is trained for 50 epochs instead of 200.
    """
    augmentation = Augmentation(crop_padding=4, flip=True)
    return Config(
        dataset=Cifar10(),
        space=NasBench201Space(channels=16, cells=1, bn="routed"),
        network=NasBench201NetworkOptions(channels=16, cells=5),
        # Small images first: a convolution needs more steps than a pool to show what it is worth.
        search=short_search(
            warm_up_epochs=62,
            small_epochs=50,
            small_side=16,
            augmentation=augmentation,
            settling_steps=100,
        ),
        training=TrainingConfig(epochs=50, warm_up_epochs=2, lr=0.1, augmentation=augmentation),
    )
