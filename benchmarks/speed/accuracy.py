"""How good networks become that are trained from scratch, beside the usual loop, seed by seed."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from speed.section import Section, Settings
from speed.training import Case, PlainTraining, cases, our_network
from unas.common.errors import UserError
from unas.compute.ranks import ONE_PROCESS
from unas.compute.runtime import RuntimeConfig
from unas.data import BatchStream, ImageData
from unas.data.cifar10 import Cifar10
from unas.data.digits import Digits
from unas.pipeline.batches import EvaluationBatches
from unas.training import TrainingConfig, TrainingStep, evaluate

CIFAR10_IMAGES = 2400  # a plain loop takes a second or two for a hundred
CIFAR10_EPOCHS = 4
DIGITS_EPOCHS = 25


@dataclass(frozen=True)
class Task:
    """A network, its images, and how long it is trained.

    Args:
        case: the network.
        data: its images.
        config: the training.
    """

    case: Case
    data: ImageData
    config: TrainingConfig

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch; what is less than a batch is left out."""
        return len(self.data.train) // self.case.batch


def accuracy(settings: Settings) -> Section:
    """Train both networks with as many seeds as there are pairs, ours and in a plain loop."""
    rows: list[tuple[str, ...]] = []
    figures: dict[str, Any] = {}
    for task in _tasks(settings):
        pairs = []
        for seed in range(settings.pairs):
            pair = (_plain(task, seed, settings), _ours(task, seed, settings))
            print(
                f"  {task.case.name}, seed {seed}: usual {pair[0]:.4f}, ours {pair[1]:.4f}",
                flush=True,
            )
            pairs.append(pair)
        differences = [ours - usual for usual, ours in pairs]
        rows.append(
            (
                task.case.name,
                f"{len(task.data.train):,}",
                f"{task.config.epochs}",
                _percent([usual for usual, _ in pairs]),
                _percent([ours for _, ours in pairs]),
                _percent(differences),
            )
        )
        figures[task.case.name] = pairs
    return Section(
        "Accuracy of a training beside the usual loop",
        "Test accuracy after the same number of epochs, with the same learning rates, batches and "
        f"augmentation, mean and standard error of {settings.pairs} seeds; the difference is taken "
        "seed by seed. The first weights and the order of the images are drawn by each itself.",
        ("", "images", "epochs", "the usual loop, %", "ours, %", "difference"),
        rows,
        figures,
    )


def _tasks(settings: Settings) -> list[Task]:
    cifar10, digits = cases(settings)
    data = Digits().load(Path())
    config = TrainingConfig(epochs=DIGITS_EPOCHS, warm_up_epochs=2, batch_size=digits.batch, lr=0.1)
    tasks = [Task(digits, _as_normalised(data, digits), config)]
    root = Path(os.environ.get("UNAS_DATA") or "data")
    try:
        data = Cifar10().load(root)
    except UserError as error:
        print(f"  CIFAR-10 is left out: {error}", flush=True)
        return tasks
    rows = torch.arange(CIFAR10_IMAGES)
    data = replace(data, train=data.train.subset(rows), test=data.test.subset(rows))
    config = TrainingConfig(
        epochs=CIFAR10_EPOCHS, warm_up_epochs=1, batch_size=cifar10.batch, lr=0.1
    )
    return [*tasks, Task(cifar10, _as_normalised(data, cifar10), config)]


def _as_normalised(data: ImageData, case: Case) -> ImageData:
    """Return the data with the normalisation of the case, which the plain loop has too."""
    normalisation = case.normalisation
    return replace(data, mean=normalisation.mean, std=normalisation.std)


def _plain(task: Task, seed: int, settings: Settings) -> float:
    torch.manual_seed(seed)
    usual = PlainTraining(task.case, task.data.train, settings.device)  # type: ignore[arg-type]
    usual.network.train()
    for step in range(task.config.epochs * task.steps_per_epoch):
        usual.step(task.config.lr_at((step + 1) / task.steps_per_epoch))
    return _test(usual.network, task, settings)


def _ours(task: Task, seed: int, settings: Settings) -> float:
    torch.manual_seed(seed)
    runtime = RuntimeConfig(device=str(settings.device), precision="float32").build()
    training = TrainingStep(
        our_network(task.case), task.config, runtime, seed, task.steps_per_epoch
    )
    data = task.data.to(settings.device)
    stream = BatchStream(
        data.train,
        task.case.batch,
        task.case.augmentation,
        task.case.normalisation,
        seed=seed,
        stream="benchmark",
    )
    for step in range(task.config.epochs * task.steps_per_epoch):
        training(step, *stream.batch(step))
    return _test(training.network, task, settings)


def _test(network: nn.Module, task: Task, settings: Settings) -> float:
    runtime = RuntimeConfig(device=str(settings.device), precision="float32").build()
    data = task.data.to(settings.device)
    batches = EvaluationBatches(data, data.test, ONE_PROCESS)
    return evaluate(network, batches, runtime).top1


def _percent(shares: list[float]) -> str:
    mean = 100 * statistics.mean(shares)
    if len(shares) < 2:
        return f"{mean:.2f}"
    return f"{mean:.2f} ± {100 * statistics.stdev(shares) / len(shares) ** 0.5:.2f}"
