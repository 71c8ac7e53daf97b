"""Compare the supernets with the plain ones of the tests; print the largest differences.

Float64, so that what is left is rounding and a mistake of any size shows. Example:

    python benchmarks/supernet_oracle.py --batch 8 --channels 4 --layers 5
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from supernet_comparison import compare
from unas.spaces import SearchSpace
from unas.spaces.darts import DartsSpace
from unas.spaces.proxylessnas import ProxylessSpace

COLUMNS = ("space", "sample", "BatchNorm", "G", "logits", "weight gradients", "sample gradients")
SIZES = {"darts, cifar stem": 16, "darts, imagenet stem": 64, "proxylessnas": 64}
MODES: Any = (("relaxed", "batch"), ("hard", "batch"), ("hard", "routed"))
NOTES = """
The oracles (`tests/support/plain_supernet.py`, `plain_proxyless.py`) compute every operation on
every edge, multiply and sum; with routed BatchNorm they run an operation on exactly the images
whose architecture picked it. Largest absolute difference in units of the largest value of the same
tensor; gradients of a random linear function of the logits, of every weight and of every weight of
the sample. The engine doesn't run what a hard sample leaves out, so those weights of the sample get
a gradient of zero, where the oracle's dense sum has one; the table compares the picked ones. A
shift that the next BatchNorm removes has a gradient of zero: of those (all of ProxylessNAS's
projections), rounding is compared.
"""


def rows(batch: int, channels: int, layers: int) -> Iterator[tuple[str, ...]]:
    for name, size in SIZES.items():
        for kind, bn in MODES:
            for num_samples in sorted({1, 4, batch}):
                space: SearchSpace = ProxylessSpace(width=0.1, bn=bn)
                if name.startswith("darts"):
                    space = DartsSpace(
                        channels=channels, layers=layers, stem=cast("Any", name.split()[1]), bn=bn
                    )
                largest = compare(space, num_samples, kind == "hard", batch=batch, size=size)
                values = (largest.output, largest.weights, largest.sample)
                yield (name, kind, bn, str(num_samples), *(f"{value:.1e}" for value in values))


def line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=8, help="images, a multiple of 4 (default: 8)")
    parser.add_argument(
        "--channels", type=int, default=4, help="channels of the first cells (default: 4)"
    )
    parser.add_argument("--layers", type=int, default=5, help="cells (default: 5)")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    if arguments.batch < 4 or arguments.batch % 4:
        parser.error(f"--batch is {arguments.batch}; 4 architectures share it: a multiple of 4")
    torch.set_num_threads(1)
    versions = f"Python {platform.python_version()}, PyTorch {torch.__version__}"
    head = (
        "# The supernets against plain ones\n\n"
        f"{platform.machine()}, 1 thread; {versions}; float64; B = {arguments.batch}; "
        f"DARTS: C = {arguments.channels}, L = {arguments.layers}, 7 operations, "
        "images of 16 (cifar) and 64 (imagenet) pixels; "
        "ProxylessNAS: width 0.1, all 21 layers, 64 pixels; seed 0.\n\n"
        f"Command: `python {shlex.join(['benchmarks/supernet_oracle.py', *sys.argv[1:]])}`\n"
        f"{NOTES}"
    )
    lines = [head, line(COLUMNS), line(("---", "---", "---", *["---:"] * 4))]
    print("\n".join(lines), flush=True)
    for row in rows(arguments.batch, arguments.channels, arguments.layers):
        lines.append(line(row))
        print(lines[-1], flush=True)
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
