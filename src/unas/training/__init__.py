"""A network from scratch: one step, and the loop."""

from unas.training.loop import training_loop
from unas.training.step import TrainingConfig, TrainingStep, evaluate

__all__ = ["TrainingConfig", "TrainingStep", "evaluate", "training_loop"]
