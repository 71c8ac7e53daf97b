"""Estimators of the gradient of an expected cost over architectures; one a file."""

from unas.common.registry import Registry
from unas.estimators._gumbel import draw_hard, draw_relaxed
from unas.estimators.base import Cost, Estimator, LearningEstimator, RunningEstimator, State

registry: Registry[Estimator] = Registry("estimator", "unas.estimators", Estimator)  # type: ignore[type-abstract]
get = registry.get
names = registry.names

__all__ = [
    "Cost",
    "Estimator",
    "LearningEstimator",
    "RunningEstimator",
    "State",
    "draw_hard",
    "draw_relaxed",
    "get",
    "names",
    "registry",
]
