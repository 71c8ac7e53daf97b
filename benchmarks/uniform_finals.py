"""What the finals of a search find among architectures drawn uniformly, not by its policy.

    python benchmarks/uniform_finals.py RUN --out FOLDER [--seeds 3]

RUN is the directory of a search with finalists, such as runs/quality-cifar10/search-found-0 of
`unas lab quality`: its configuration is taken. As many architectures as it had finalists are drawn
for each seed, and trained in the same rungs; the best is trained like what a search has found. The
same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from unas.common.documents import read_json
from unas.common.errors import UserError
from unas.common.files import make_directory, read_text, write_text
from unas.compute.seeds import step_seed
from unas.config import Config
from unas.config.document import config_from_json
from unas.costs.blocks import random_genotypes
from unas.lab.quality_time import Seconds
from unas.pipeline import train
from unas.pipeline.finalists import Finals
from unas.pipeline.opening import work_in
from unas.pipeline.rungs import planned
from unas.runs.names import CONFIG, GENOTYPE, SUMMARY
from unas.searching.candidates import Candidate


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3, help="(default: 3)")
    arguments = parser.parse_args()
    config = config_from_json(read_text(arguments.run / CONFIG))
    make_directory(arguments.out)
    seconds = Seconds(arguments.out / "seconds.json")
    for seed in range(arguments.seeds):
        accuracy = best_of_uniform(replace(config, seed=seed), arguments.out, seconds)
        print(f"seed {seed}: {accuracy:.4f}", flush=True)
    mean = seconds.mean("finals-")
    if mean is not None:
        print(f"finals took {mean:.0f} s on average, but for those that were stopped in between")


def best_of_uniform(config: Config, out: Path, seconds: Seconds) -> float:
    """Return the test accuracy of the best of a seed's finals; note the seconds of the finals."""
    directory = out / f"finals-{config.seed}"
    with (
        seconds.of(directory),
        work_in(config, directory, "search", resume=True, quiet=True) as work,
    ):
        generator = np.random.default_rng(1000 + config.seed)
        drawn = random_genotypes(config.space, config.choosing.finalists, generator)
        finalists = [
            Candidate(genotype, "random", 0, math.inf, math.nan, math.nan, math.nan)
            for genotype in drawn
        ]
        plan = planned(config, len(finalists), len(work.data.train))
        if not plan:
            raise UserError(f"{directory}: its configuration trains no finalists")
        best = Finals(work, plan).best_of(finalists).genotype
    write_text(directory / GENOTYPE, best.to_json())
    trained = out / f"train-{config.seed}"
    if not (trained / SUMMARY).exists():
        # With the seed of what `unas lab quality` trains.
        seed = step_seed(config.seed, "quality", 0) % 2**31
        seeded = replace(config, seed=seed, genotype=str(directory / GENOTYPE), budgets=())
        train(seeded, out=trained, resume=True, quiet=True)
    return float(read_json(trained / SUMMARY)["test_accuracy"])


if __name__ == "__main__":
    main()
