"""ImageNet in the DARTS space: the published recipe (UNAS, arXiv 1912.07651, section 4)."""

from unas.config import Config
from unas.data import Augmentation
from unas.data.imagenet import ImageNet
from unas.estimators.rebar import Rebar
from unas.searching.config import AdamConfig, SearchConfig
from unas.spaces.darts import DartsNetworkOptions, DartsSpace
from unas.training import TrainingConfig

AUGMENTATION = Augmentation(
    crop_share=0.08, flip=True, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2
)


def imagenet() -> Config:
    """Return the published search and training.

    Batches and learning rates are those of all 8 published processes together: 8 × 24 images a step
    of the search, each 24 with one architecture, and 8 × 128 of the training, whose 0.1 per 128
    images is 0.8. The search sees the middle of each photograph, without augmentation. The network
    is as wide as 600 million multiply-adds allow, counted by the published rule.
    """
    return Config(
        dataset=ImageNet(),
        space=DartsSpace(channels=16, layers=14, operations=5, stem="imagenet"),
        network=DartsNetworkOptions(
            channels=None,
            layers=14,
            stem="imagenet",
            auxiliary=True,
            max_macs=600_000_000,
            counting="published",
        ),
        search=SearchConfig(
            warm_up_epochs=5,
            epochs=15,
            batch_size=8 * 24,
            architectures_per_batch=8,
            estimator=Rebar(),
            softening=0.08,
            weights=AdamConfig(lr=3e-4, final_lr=1e-4, weight_decay=3e-4),
            policy=AdamConfig(lr=1e-3, final_lr=3e-4, weight_decay=1e-6),
            schedule="restarted",
            augmentation=Augmentation(),
        ),
        training=TrainingConfig(
            epochs=250,
            warm_up_epochs=5,
            batch_size=8 * 128,
            lr=8 * 0.1,
            cosine="all_epochs",
            weight_decay=3e-5,
            label_smoothing=0.1,
            augmentation=AUGMENTATION,
        ),
    )
