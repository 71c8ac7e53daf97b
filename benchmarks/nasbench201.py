"""What searches on NAS-Bench-201 ended with, for whoever holds the benchmark's table.

    python benchmarks/nasbench201.py RUN ... > docs/nasbench201.json

A RUN is the directory of a `unas search nasbench201`. Architectures are written as the benchmark
writes them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from unas.architecture.genotype import Genotype
from unas.runs.names import GENOTYPE, POLICY
from unas.spaces.nasbench201 import to_text


def found(run: Path) -> dict[str, Any]:
    """Return the seed of a search, what it chose, its policy's mode, and how sure the policy is."""
    path = run / GENOTYPE
    config = json.loads((run / "config.json").read_text())
    chosen = Genotype.from_json(path.read_text(), str(path))
    probabilities = json.loads((run / POLICY).read_text())[-1]["probabilities"]
    mode = {edge: max(options, key=options.get) for edge, options in probabilities.items()}
    return {
        "seed": config["seed"],
        "settling_steps": config["search"].get("settling_steps", 0),
        "chosen": to_text(chosen),
        "mode": to_text(Genotype(chosen.space, mode)),
        "normalised_entropy": json.loads((run / "summary.json").read_text())["normalised_entropy"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+")
    print(json.dumps([found(run) for run in parser.parse_args().runs], indent=2))


if __name__ == "__main__":
    main()
