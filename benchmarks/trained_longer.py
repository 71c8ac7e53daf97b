"""How good architectures are after a longer training of a smaller network, on fewer images.

    python benchmarks/trained_longer.py RUN CELL [CELL ...] --out FILE [--channels 8]
        [--images 12800] [--epochs 12] [--seed 0]

RUN is the directory of a search, such as runs/quality-cifar10/search-found-0 of `unas lab quality`:
data, network and training are its own but for what the options say. A CELL is a run or a file of an
architecture. Prints the test accuracy of each, and Kendall's τ of it with minus the training loss
of the first steps and of each epoch; then what finals among eight of them would take, trained for a
sixth, a third and two thirds of the epochs as `--choosing.finalists 8` does it, on average over all
such eight. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.common.documents import read_json, write_json
from unas.common.files import read_text
from unas.compute.ranks import ONE_PROCESS
from unas.config import Config
from unas.config.document import config_from_json
from unas.data import BatchStream, ImageData
from unas.lab.ranking.agreement import kendall_tau
from unas.pipeline.batches import EvaluationBatches
from unas.pipeline.rungs import rungs
from unas.runs.names import CONFIG
from unas.training import TrainingStep, evaluate

EARLY = slice(20, 30)  # steps
FINALISTS, LEAST_EPOCHS = 8, 6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("cells", nargs="+", metavar="CELL")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--channels", type=int, default=8, help="C (default: 8)")
    parser.add_argument("--images", type=int, default=12_800, help="(default: 12800)")
    parser.add_argument("--epochs", type=int, default=12, help="(default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    arguments = parser.parse_args()
    config: Any = config_from_json(read_text(arguments.run / CONFIG))
    config = replace(
        config,
        network=replace(config.network, channels=arguments.channels),
        training=replace(config.training, epochs=arguments.epochs, warm_up_epochs=1),
        seed=arguments.seed,
    )
    data = config.dataset.load(config.data_directory)
    data = replace(data, train=data.train.subset(torch.arange(arguments.images)))
    found: dict[str, dict[str, Any]] = read_json(arguments.out) if arguments.out.exists() else {}
    for cell in arguments.cells:
        if cell not in found:
            found[cell] = trained(config, data, load_genotype(cell))
            write_json(arguments.out, found)
        print(f"{cell}: {found[cell]['test_accuracy']:.4f}", flush=True)
    accuracies = [entry["test_accuracy"] for entry in found.values()]
    early = [-entry["early_loss"] for entry in found.values()]
    print(f"τ with steps {EARLY.start} to {EARLY.stop - 1}: {kendall_tau(early, accuracies):.2f}")
    for epoch in range(arguments.epochs):
        losses = [-entry["epoch_losses"][epoch] for entry in found.values()]
        print(f"τ with epoch {epoch + 1}: {kendall_tau(losses, accuracies):.2f}")
    if len(found) >= FINALISTS and arguments.epochs >= LEAST_EPOCHS:
        accuracy = fmean(taken(list(found.values()), arguments.epochs // LEAST_EPOCHS))
        print(f"finals among {FINALISTS} of them take {accuracy:.4f} on average")


def taken(trainings: Sequence[Mapping[str, Any]], first: int) -> Iterator[float]:
    """Yield the accuracy of what finals take of each eight of the trainings.

    Args:
        trainings: with their `epoch_losses` and `test_accuracy`.
        first: epochs of the first rung.
    """
    plan = rungs(FINALISTS, 16 * first, 1)  # 8 + 4 + 2 × 2 times the first
    for finalists in combinations(trainings, FINALISTS):
        left = list(finalists)
        for rung in plan:
            left = sorted(left[: rung.networks], key=lambda one: one["epoch_losses"][rung.end - 1])
        yield left[0]["test_accuracy"]


def trained(config: Config, data: ImageData, genotype: Genotype) -> dict[str, Any]:
    """Return how an architecture's network learns from all training images, and its test."""
    training, runtime = config.training, config.runtime.build()
    torch.manual_seed(config.seed)
    network = config.blueprint(data.num_classes, data.image_shape).network(genotype)
    stream = BatchStream(
        data.train,
        training.batch_size,
        training.augmentation,
        data.normalisation,
        seed=config.seed,
        stream="judge",
    )
    step = TrainingStep(network, training, runtime, config.seed, stream.steps_per_epoch)
    epoch = stream.steps_per_epoch
    steps = range(training.epochs * epoch)
    losses = [step(number, *stream.batch(number))["loss"] for number in steps]
    scores = evaluate(step.network, EvaluationBatches(data, data.test, ONE_PROCESS), runtime)
    return {
        "test_accuracy": scores.top1,
        "test_loss": scores.loss,
        "early_loss": fmean(losses[EARLY]),
        "epoch_losses": [fmean(losses[n : n + epoch]) for n in range(0, len(losses), epoch)],
    }


if __name__ == "__main__":
    main()
