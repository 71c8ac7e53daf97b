"""Time JPEG files to batches, ours against a plain loop over torchvision's ImageFolder.

    python benchmarks/image_folder.py [--size 224] [--repeats 7] [--images 128]

Both run on one core. What counts is processor time, of all threads together: other work on the
machine disturbs it less than time on the wall, and threads don't make it look better.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from unas.compute.hardware import cpu_name
from unas.data import Augmentation, BatchStream, evaluation_batches
from unas.data._crops import draw_crops
from unas.data._decode import resized_side
from unas.data.imagenet import ImageNet

BATCH = 32
MEAN, STD = ImageNet().mean, ImageNet().std
COLOURS: Any = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.2}


def write_tree(root: Path, images: int) -> float:
    """Write JPEG files of 500 × 375 into train/ and val/, and return their mean size in KiB."""
    numbers = np.random.default_rng(0)
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    for part in ("train", "val"):
        for label, photograph in enumerate(photographs):
            folder = root / part / f"n{label:08d}"
            folder.mkdir(parents=True)
            for number in range(images // 2):
                left, top = int(numbers.integers(641 - 500)), int(numbers.integers(428 - 375))
                photograph.crop((left, top, left + 500, top + 375)).save(
                    folder / f"{number}.JPEG", quality=92
                )
    sizes = [path.stat().st_size for path in root.rglob("*.JPEG")]
    return statistics.mean(sizes) / 1024


def plain(root: Path, part: str, transforms: list[Any]) -> Callable[[], Iterator[Any]]:
    """Return the usual loop: one PIL image at a time through torchvision, then stacked."""
    last = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    images = ImageFolder(str(root / part), v2.Compose([*transforms, *last]))
    return lambda: iter(DataLoader(images, BATCH, shuffle=part == "train", drop_last=True))


def rows(
    root: Path, size: int
) -> Iterator[tuple[str, Callable[[], Iterator[Any]], Callable[[], Iterator[Any]]]]:
    """Yield (name, plain, ours) for each kind of batch."""
    data = ImageNet(size=size, workers=1).load(root)
    crop, flip, jitter = (
        v2.RandomResizedCrop(size),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(**COLOURS),
    )

    def stream(augmentation: Augmentation) -> Callable[[], Iterator[Any]]:
        batches = BatchStream(
            data.train, BATCH, augmentation, data.normalisation, seed=0, stream="benchmark"
        )
        return lambda: map(batches.batch, range(batches.steps_per_epoch))

    def read() -> Iterator[Any]:
        for indices in torch.split(torch.arange(len(data.train)), BATCH):
            yield data.train.read(indices, draw_crops(0.08, BATCH, torch.Generator())).result()

    full = plain(root, "train", [crop, flip, jitter])
    yield "training", full, stream(Augmentation(crop_share=0.08, flip=True, **COLOURS))
    yield "training, where a GPU does all but reading", full, read
    yield (
        "training without colour jitter",
        plain(root, "train", [crop, flip]),
        stream(Augmentation(0, True, 0, 0.08)),
    )
    middle = [v2.Resize(resized_side(size)), v2.CenterCrop(size)]
    yield (
        "evaluation",
        plain(root, "val", middle),
        lambda: evaluation_batches(data.test, BATCH, data.normalisation),
    )


def images_a_second(batches: Callable[[], Iterator[Any]]) -> float:
    """Return how many images are ready after a second of processor time."""
    start = time.process_time()
    count = sum(len(labels) for _, labels in batches())
    return count / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--images", type=int, default=128)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    versions = (
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"Pillow {PIL.__version__}"
    )
    with tempfile.TemporaryDirectory() as folder:
        size = write_tree(Path(folder), arguments.images)
        print(f"{cpu_name()}, one core, {versions}")
        files = f"{arguments.images} files of 500 × 375 ({size:.0f} KiB)"
        print(f"{files}, to {arguments.size}, batches of {BATCH}")
        print("| batches | plain, images/s a core | ours | ratio | least to largest |")
        print("|---|---:|---:|---:|---:|")
        for name, theirs, ours in rows(Path(folder), arguments.size):
            images_a_second(theirs), images_a_second(ours)  # warm both up
            pairs = [
                (images_a_second(theirs), images_a_second(ours)) for _ in range(arguments.repeats)
            ]
            slow = statistics.median(pair[0] for pair in pairs)
            fast = statistics.median(pair[1] for pair in pairs)
            ratios = [fast / slow for slow, fast in pairs]
            ratio = f"**{statistics.median(ratios):.2f}**"
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"| {name} | {slow:.0f} | {fast:.0f} | {ratio} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
