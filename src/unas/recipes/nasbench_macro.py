"""NAS-Bench-Macro: a search whose outcome a published table judges."""

from unas.config import Config
from unas.data import Augmentation
from unas.data.cifar10 import Cifar10
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.objectives.cross_entropy import CrossEntropy
from unas.searching.choosing import ChoosingConfig
from unas.searching.config import AdamConfig, SearchConfig
from unas.spaces.nasbench_macro import NasBenchMacroNetworkOptions, NasBenchMacroSpace
from unas.training import TrainingConfig


def nasbench_macro() -> Config:
    """Return a search on CIFAR-10 sized for two CPU cores.

    Smaller than published: the supernet's channels, half as many, and the number of epochs.
    """
    return Config(
        dataset=Cifar10(),
        space=NasBenchMacroSpace(width=0.5, bn="routed"),
        network=NasBenchMacroNetworkOptions(width=1.0),
        search=SearchConfig(
            warm_up_epochs=6,
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
