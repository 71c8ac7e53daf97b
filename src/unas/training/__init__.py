"""A network from scratch: one step, and the loop."""

from unas.training.config import Keep, TrainingConfig
from unas.training.loop import training_loop
from unas.training.step import TrainingStep, evaluate
from unas.training.watching import Watch

__all__ = ["Keep", "TrainingConfig", "TrainingStep", "Watch", "evaluate", "training_loop"]
