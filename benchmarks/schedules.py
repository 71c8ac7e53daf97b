"""Print the learning rates of every recipe at ten points beside those of the published rule.

Nothing is trained. The rules and their figures stand here once more, apart from the recipes, so
that a recipe that is changed by mistake differs from its rule. Example:

    python benchmarks/schedules.py > docs/recipes.md
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from unas.config import Config
from unas.recipes import names, recipe

POINTS = 10
INTRODUCTION = """\
# Learning rates of the recipes

Command: `python benchmarks/schedules.py > docs/recipes.md`; a test compares this page with it.

The first of two figures is the recipe's, after so many epochs; the second is the rule's, by hand.

- Search, published: the weights' rate is constant in warm-up; after it both optimisers start anew,
  and both rates fall along a cosine over the search epochs alone, from the full rate to a floor
  that is not scaled with the batch (`search.schedule` is `restarted`).
- Search, `cifar10-fast`, digits, Fashion-MNIST and NAS-Bench, ours: both cosines run over all
  epochs (`whole`).
- Training, CIFAR, published, and ours: linear warm-up, then a cosine to 0 over the other epochs
  (`training.cosine` is `after_warm_up`).
- Training, ImageNet, published: linear warm-up, then the beginning of a cosine that is as long as
  all epochs and that the training's end cuts off (`all_epochs`).
"""


@dataclass(frozen=True)
class SearchRule:
    """How the rates of a search fall.

    Args:
        warm_up: epochs that train the weights alone.
        epochs: epochs after them.
        weights: rate of the weights, from and to.
        policy: rate of the policy, from and to.
        is_restarted: whether the cosines begin after warm-up.
    """

    warm_up: int
    epochs: int
    weights: tuple[float, float]
    policy: tuple[float, float]
    is_restarted: bool = True

    def rates(self, epoch: float) -> tuple[float, float]:
        """Return the rates of weights and policy after so many epochs."""
        over = epoch / (self.warm_up + self.epochs)
        if self.is_restarted:
            over = max(0.0, epoch - self.warm_up) / self.epochs
        return _between(*self.weights, over), _between(*self.policy, over)


@dataclass(frozen=True)
class TrainingRule:
    """How the rate of a training rises and falls.

    Args:
        warm_up: epochs in which it rises.
        epochs: all epochs.
        rate: the largest rate.
        cosine: epochs from the largest rate to 0, were the training long enough.
    """

    warm_up: int
    epochs: int
    rate: float
    cosine: int

    def rates(self, epoch: float) -> tuple[float]:
        """Return the rate after so many epochs."""
        if epoch < self.warm_up:
            return (self.rate * epoch / self.warm_up,)
        return (_between(self.rate, 0.0, (epoch - self.warm_up) / self.cosine),)


CIFAR = (
    SearchRule(15, 85, weights=(6e-4, 1e-4), policy=(2e-3, 3e-4)),
    TrainingRule(30, 600, rate=0.05, cosine=570),
)
RULES = {
    "cifar10": CIFAR,
    "cifar100": CIFAR,
    "cifar10-fast": (
        SearchRule(8, 1, weights=(2e-3, 1e-4), policy=(1e-1, 5e-2), is_restarted=False),
        TrainingRule(2, 30, rate=0.1, cosine=28),
    ),
    "digits": (
        SearchRule(70, 10, weights=(2e-3, 1e-4), policy=(1e-1, 5e-2), is_restarted=False),
        TrainingRule(2, 25, rate=0.1, cosine=23),
    ),
    "fashion-mnist": (
        SearchRule(10, 1, weights=(2e-3, 1e-4), policy=(1e-1, 5e-2), is_restarted=False),
        TrainingRule(2, 40, rate=0.1, cosine=38),
    ),
    "imagenet": (
        SearchRule(5, 15, weights=(3e-4, 1e-4), policy=(1e-3, 3e-4)),
        TrainingRule(5, 250, rate=0.8, cosine=250),
    ),
    "imagenet-mobile": (
        SearchRule(20, 15, weights=(3e-4, 1e-4), policy=(1e-3, 3e-4)),
        TrainingRule(5, 300, rate=0.2, cosine=300),
    ),
    "nasbench-macro": (
        SearchRule(4, 1, weights=(2e-3, 1e-4), policy=(1e-1, 5e-2), is_restarted=False),
        TrainingRule(2, 50, rate=0.1, cosine=48),
    ),
    "nasbench201": (
        SearchRule(62, 1, weights=(2e-3, 1e-4), policy=(1e-1, 5e-2), is_restarted=False),
        TrainingRule(2, 50, rate=0.1, cosine=48),
    ),
}


def _between(high: float, low: float, over: float) -> float:
    """Return what a half cosine from `high` to `low` has come to after a part of its length."""
    return low + (high - low) * math.cos(math.pi * over / 2) ** 2


def search_rates(config: Config, epoch: int) -> tuple[float, float]:
    """Return the rates of weights and policy that a recipe's search has after so many epochs."""
    search = config.search
    policy_epochs = max(0, epoch - search.warm_up_epochs)
    elapsed = search.elapsed(epoch, policy_epochs, search.warm_up_epochs + search.epochs)
    return search.weights.lr_at(elapsed), search.policy.lr_at(elapsed)


def points(epochs: int) -> list[int]:
    """Return up to ten whole numbers of epochs, from none to all."""
    numbers = [round(epochs * point / (POINTS - 1)) for point in range(POINTS)]
    return list(dict.fromkeys(numbers))


def _pair(own: float, rule: float) -> str:
    return f"{own:.4g} / {rule:.4g}"


def search_table(name: str) -> Iterator[str]:
    """Yield the lines of the table of a recipe's search."""
    rule, _ = RULES[name]
    yield "| epoch of the search | weights: recipe / rule | policy: recipe / rule |"
    yield "| ---: | ---: | ---: |"
    for epoch in points(rule.warm_up + rule.epochs):
        weights, policy = search_rates(recipe(name), epoch)
        weights_rule, policy_rule = rule.rates(epoch)
        shown_policy = _pair(policy, policy_rule)
        if epoch < rule.warm_up:
            shown_policy = "–"
        yield f"| {epoch} | {_pair(weights, weights_rule)} | {shown_policy} |"


def training_table(name: str) -> Iterator[str]:
    """Yield the lines of the table of a recipe's training."""
    _, rule = RULES[name]
    yield "| epoch of the training | weights: recipe / rule |"
    yield "| ---: | ---: |"
    for epoch in points(rule.epochs):
        (rate,) = rule.rates(epoch)
        yield f"| {epoch} | {_pair(recipe(name).training.lr_at(epoch), rate)} |"


def page() -> str:
    """Return the whole page."""
    lines = [INTRODUCTION]
    for name in names():
        lines += [f"## {name}", "", *search_table(name), "", *training_table(name), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
