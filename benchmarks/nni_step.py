"""Search steps of NNI 3.0's own DARTS space under its own strategies: one for each line of input.

    uv run --isolated --no-project --with nni==3.0 --with torch==2.13 --with "setuptools<80" \
        --with "pytorch_lightning<2" python benchmarks/nni_step.py GumbelDARTS

It needs packages that unas does not go with. Each line of standard input is answered by "seconds"
and how long the step took; benchmarks/all.py times its own steps in between.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as lightning
import torch
from nni.nas import strategy
from nni.nas.evaluator.pytorch import Classification
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.hub.pytorch import DARTS
from nni.nas.space import RawFormatModelSpace
from torch.utils.data import DataLoader, IterableDataset

STRATEGIES = {"DARTS": strategy.DARTS, "GumbelDARTS": strategy.GumbelDARTS}


class RandomImages(IterableDataset[Any]):
    """The same batch of random images, again and again."""

    def __init__(self, batch: int) -> None:
        self.batch = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield self.batch


class OnDemand(lightning.Callback):  # type: ignore[misc]
    """Lets a step begin when a line arrives, and tells how long it took."""

    def on_train_batch_start(self, *_: Any) -> None:
        """Wait for a line; at the end of them there is nothing left to do."""
        if not sys.stdin.readline():
            os._exit(0)
        self.start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """Answer the line."""
        print("seconds", time.perf_counter() - self.start, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("strategy", choices=STRATEGIES)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    space = DARTS(width=arguments.channels, num_cells=arguments.layers, dataset="cifar")
    images = DataLoader(RandomImages(arguments.batch), batch_size=None)
    evaluator = Classification(
        train_dataloaders=images,
        val_dataloaders=images,
        num_classes=10,
        max_epochs=1,
        callbacks=[OnDemand()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    model_space = RawFormatModelSpace(space, evaluator)
    STRATEGIES[arguments.strategy]()(model_space, SequentialExecutionEngine())


if __name__ == "__main__":
    main()
