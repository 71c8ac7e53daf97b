"""How far short trainings from scratch rank architectures as a table of full trainings does.

    python benchmarks/short_trainings.py RECIPE --table FILE --out FILE [--architectures 10]
        [--steps 60] [--data-root FOLDER]

As many architectures are drawn from all of the table and from its best tenth, and each is trained
for so many steps, as finalists are. Kendall's τ is that of minus their mean training loss, in one
part of the steps after the other, with the table's accuracy. Prints it, and writes every loss
to --out; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

import unas
from unas.common.documents import read_json, write_json
from unas.lab.ranking.agreement import kendall_tau
from unas.lab.ranking.experiment import read_truth
from unas.pipeline.opening import work_in
from unas.pipeline.short_training import ShortTraining

PARTS = 6
WEIGHTS_SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--metric", default="mean_acc", help="(default: mean_acc)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--architectures", type=int, default=10, help="of each (default: 10)")
    parser.add_argument("--steps", type=int, default=60, help="of each training (default: 60)")
    parser.add_argument("--data-root")
    arguments = parser.parse_args()
    config = replace(unas.recipe(arguments.recipe), data_root=arguments.data_root)
    truth = read_truth(arguments.table, arguments.metric, config)
    generator = np.random.default_rng(config.seed)
    drawn = truth.draw(arguments.architectures, generator).tolist()
    best = truth.draw(arguments.architectures, generator, among_best=True).tolist()
    kept: dict[str, Any] = read_json(arguments.out) if arguments.out.exists() else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        work_in(config, Path(folder) / "run", "search", resume=False, quiet=True) as work,
    ):
        # In turn, so that a stop leaves as many of each.
        for position in (one for pair in zip(drawn, best, strict=True) for one in pair):
            if str(position) in kept:
                continue
            training = ShortTraining(work, truth.genotype(position), arguments.steps, WEIGHTS_SEED)
            losses = [figures["loss"] for _, figures in training.steps()]
            place = truth.place_at(position)
            entry = {"accuracy": place.accuracy, "rank": place.rank, "losses": losses}
            kept[str(position)] = entry
            write_json(arguments.out, kept)
            print(f"{len(kept)}: rank {place.rank}, loss {losses[-1]:.3f}", flush=True)
    print(to_markdown({"all": drawn, "best tenth": best}, kept, arguments.steps))


def to_markdown(
    groups: dict[str, Sequence[int]], trained: dict[str, dict[str, Any]], steps: int
) -> str:
    """Return a table of τ: a row for each part of the steps, a column for each group."""
    names = [f"{name} ({len(positions)})" for name, positions in groups.items()]
    lines = [f"| steps | τ, {' | τ, '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for part in range(PARTS):
        begin, end = steps * part // PARTS, steps * (part + 1) // PARTS
        cells = []
        for positions in groups.values():
            entries = [trained[str(position)] for position in positions]
            scores = [-fmean(entry["losses"][begin:end]) for entry in entries]
            tau = kendall_tau(scores, [entry["accuracy"] for entry in entries])
            cells.append("" if tau is None else f"{tau:.2f}")
        lines.append(f"| {begin + 1} to {end} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
