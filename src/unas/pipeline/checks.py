"""What is refused before a directory is made, because the run would refuse it later."""

from __future__ import annotations

from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.compute.ranks import ONE_PROCESS, Ranks
from unas.config import Config
from unas.data import DataSize, validation_count
from unas.pipeline.batches import count_searched, count_trained
from unas.searching.config import SearchConfig
from unas.searching.loop import policy_updates


def check(config: Config, data: DataSize, ranks: Ranks = ONE_PROCESS) -> None:
    """Refuse a configuration that these images or processes can't serve.

    Raises:
        UserError: the data has too few images, or the space can't do what the configuration asks.
    """
    _check_precision(config)
    _check_colours(config, data.image_shape[0])
    images = count_trained(config, data.train)
    _check_batch("training", config.training.batch_size, images, "training", ranks)
    if config.genotype is None:
        _check_search(config, data, ranks)
    else:
        blueprint = config.blueprint(data.num_classes, data.image_shape)
        blueprint.skeleton(load_genotype(config.genotype))


def _check_colours(config: Config, channels: int) -> None:
    """Refuse to change colours of images that have neither one channel nor red, green and blue."""
    augmentations = {"training": config.training.augmentation}
    if config.genotype is None:
        augmentations["search"] = config.search.augmentation
    for owner, augmentation in augmentations.items():
        for name in ("contrast", "saturation", "hue"):
            strength = getattr(augmentation, name)
            if strength and channels not in {1, 3}:
                raise UserError(
                    f"{owner}.augmentation.{name} is {strength}, but the images have {channels} "
                    "channels, not 1 or 3; make it 0"
                )


def _check_precision(config: Config) -> None:
    is_slow = config.space.has_float32_kernels and config.runtime.build().device.type == "cpu"
    if config.runtime.precision == "bfloat16" and is_slow:
        raise UserError(
            f"precision is bfloat16, which on a CPU takes longer than float32 in the "
            f"{config.space.registry_name} space (docs/benchmarks.md); use --precision float32"
        )


def _check_search(config: Config, data: DataSize, ranks: Ranks) -> None:
    search = config.search
    for term in search.objectives.values():
        term.check(config.space)
    validation = validation_count(data.train, search.validation_fraction)
    images = count_searched(config, data.train)
    if search.small_images:
        _check_small_side(search.small_images.side, data)
    _check_batch("search", search.batch_size, images, "training", ranks)
    if config.choosing.finalists:
        _check_batch("training", config.training.batch_size, images, "finalists' training", ranks)
    _check_batch("search", search.batch_size, validation, "validation", ranks)
    _check_architectures(search.num_architectures(search.batch_size), search.batch_size, ranks)
    _check_comparison(search, images // search.batch_size)


def _check_small_side(side: int, data: DataSize) -> None:
    """Refuse smaller images that aren't smaller."""
    _, height, width = data.image_shape
    if side >= min(height, width):
        raise UserError(
            f"search.small_side is {side}, but the images have {height}×{width} pixels; make it "
            f"less than {min(height, width)}, or give --search.small-epochs 0"
        )


def _check_comparison(search: SearchConfig, steps_per_epoch: int) -> None:
    """Refuse a policy whose estimator has too few architectures to compare."""
    count = search.num_architectures(search.batch_size)
    fewest = search.estimator.fewest_samples
    if count < fewest and policy_updates(search, steps_per_epoch):
        raise UserError(
            f"search.architectures_per_batch is {count}, but the estimator compares {fewest} "
            f"architectures at least; make it {fewest} or more, or give the estimator more draws"
        )


def _check_architectures(count: int, batch_size: int, ranks: Ranks) -> None:
    """Refuse a number of architectures of which processes would have parts.

    Each process needs as many as any other, and each architecture as many images.
    """
    if count % ranks.size:
        possible = [n for n in range(ranks.size, batch_size + 1, ranks.size) if batch_size % n == 0]
        nearest = min(possible, key=lambda n: abs(n - count))
        raise UserError(
            f"search.architectures_per_batch is {count}, which {ranks.size} processes can't share "
            f"out evenly; make it {nearest}"
        )


def _check_batch(phase: str, batch_size: int, images: int, kind: str, ranks: Ranks) -> None:
    ranks.share(batch_size, f"{phase}.batch_size")
    if batch_size > images:
        raise UserError(
            f"{phase}.batch_size is {batch_size}, but there are {images} {kind} images; lower it"
        )
