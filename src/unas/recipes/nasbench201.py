"""NAS-Bench-201: a search whose outcome a published table judges."""

from unas.config import Config
from unas.data import Augmentation
from unas.data.cifar10 import Cifar10
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.objectives.cross_entropy import CrossEntropy
from unas.searching.choosing import ChoosingConfig
from unas.searching.config import AdamConfig, SearchConfig
from unas.spaces.nasbench201 import NasBench201NetworkOptions, NasBench201Space
from unas.training import TrainingConfig


def nasbench201() -> Config:
    """Return a search on CIFAR-10 sized for two CPU cores.

    Smaller than published: the supernet has one cell a stage instead of five, and the network is
    trained for 50 epochs instead of 200.
    """
    return Config(
        dataset=Cifar10(),
        space=NasBench201Space(channels=16, cells=1, bn="routed"),
        network=NasBench201NetworkOptions(channels=16, cells=5),
        search=SearchConfig(
            warm_up_epochs=14,
            epochs=3,
            batch_size=128,
            architectures_per_batch=8,
            validation_fraction=0.5,
            estimator=ReinforceLeaveOneOut(draws=1),
            objectives={"cross_entropy": CrossEntropy()},
            weights_on="hard",
            weights=AdamConfig(lr=2e-3, final_lr=2e-4, weight_decay=3e-4),
            policy=AdamConfig(lr=2e-2, final_lr=5e-3, weight_decay=1e-6),
            augmentation=Augmentation(crop_padding=4, flip=True),
        ),
        choosing=ChoosingConfig(candidates=8),
        training=TrainingConfig(
            epochs=50,
            warm_up_epochs=2,
            lr=0.1,
            augmentation=Augmentation(crop_padding=4, flip=True),
        ),
    )
