"""CIFAR-10: the published recipe (UNAS, arXiv 1912.07651, section 4)."""

from unas.config import Config
from unas.data.cifar10 import Cifar10
from unas.estimators.rebar import Rebar
from unas.searching.config import SearchConfig
from unas.spaces.darts import DartsNetworkOptions, DartsSpace


def cifar10() -> Config:
    """Return the published search and training, which differ from the defaults in two fields."""
    return Config(
        dataset=Cifar10(),
        space=DartsSpace(channels=16, layers=8),
        search=SearchConfig(estimator=Rebar(), schedule="restarted"),
        network=DartsNetworkOptions(channels=36, layers=20, auxiliary=True, drop_path=0.2),
    )
