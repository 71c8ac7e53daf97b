"""CIFAR-100: the published recipe (UNAS, arXiv 1912.07651, section 4)."""

from dataclasses import replace

from unas.config import Config
from unas.data.cifar100 import Cifar100
from unas.recipes.cifar10 import cifar10
from unas.spaces.darts import DartsNetworkOptions


def cifar100() -> Config:
    """Return the published search and training: those of CIFAR-10 with more drop-path."""
    network = DartsNetworkOptions(channels=36, layers=20, auxiliary=True, drop_path=0.3)
    return replace(cifar10(), dataset=Cifar100(), network=network)
