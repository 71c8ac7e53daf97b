"""Batches by number: coverage, ranks, random access."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats

from unas.common.errors import UserError
from unas.compute.ranks import ONE_PROCESS, Ranks
from unas.data import Augmentation, BatchStream, ImagesInMemory, Normalisation, evaluation_batches

NORMALISATION = Normalisation((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
AUGMENTATION = Augmentation(crop_padding=2, flip=True, cutout=4)


def image_set(count: int) -> ImagesInMemory:
    """Labels are the images' own numbers."""
    images = torch.randint(
        256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return ImagesInMemory(images, torch.arange(count))


def make(
    count: int = 40,
    batch_size: int = 8,
    augmentation: Augmentation | None = AUGMENTATION,
    *,
    seed: int = 0,
    stream: str = "train",
    ranks: Ranks = ONE_PROCESS,
) -> BatchStream:
    images = image_set(count)
    return BatchStream(
        images, batch_size, augmentation, NORMALISATION, seed=seed, stream=stream, ranks=ranks
    )


def labels_of_epoch(stream: BatchStream, epoch: int) -> list[int]:
    steps = range(epoch * stream.steps_per_epoch, (epoch + 1) * stream.steps_per_epoch)
    return torch.cat([stream.batch(step)[1] for step in steps]).tolist()


def batches_of(batches: BatchStream, start: int, stop: int) -> list[tuple[torch.Tensor, ...]]:
    return [batches.batch(step) for step in range(start, stop)]


def same(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("count", "batch_size", "steps"), [(40, 8, 5), (43, 8, 5), (7, 7, 1), (5, 1, 5)]
)
def test_an_epoch_visits_each_image_at_most_once(count: int, batch_size: int, steps: int) -> None:
    stream = make(count, batch_size)
    assert stream.steps_per_epoch == steps
    epochs = [labels_of_epoch(stream, epoch) for epoch in range(3)]
    for labels in epochs:
        assert len(set(labels)) == len(labels) == steps * batch_size
    if count == steps * batch_size:
        assert all(sorted(labels) == list(range(count)) for labels in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_images_left_out_change_with_the_epoch() -> None:
    stream = make(count=11, batch_size=4)
    left_out = torch.zeros(11, dtype=torch.long)
    for epoch in range(400):
        labels = labels_of_epoch(stream, epoch)
        left_out += 1 - torch.tensor(labels).bincount(minlength=11)
    assert stats.chisquare(left_out).pvalue > 1e-3


def test_images_belong_to_their_labels() -> None:
    stream = make(augmentation=None)
    images, labels = stream.batch(3)
    ((expected, _),) = evaluation_batches(image_set(40).subset(labels), 8, NORMALISATION)
    assert torch.equal(images, expected)
    assert images.shape == (8, 3, 8, 8)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64


def test_a_batch_depends_on_its_number_alone() -> None:
    stream = make()
    in_order = batches_of(stream, 0, 23)
    assert all(same(stream.batch(step), in_order[step]) for step in (22, 0, 7, 22, 3))
    torch.manual_seed(99)
    resumed = batches_of(make(), 11, 23)
    assert len(resumed) == 12
    assert all(same(one, other) for one, other in zip(resumed, in_order[11:], strict=True))


@pytest.mark.parametrize("other", [{"seed": 1}, {"stream": "validation"}])
def test_seeds_and_streams_are_independent(other: dict[str, Any]) -> None:
    assert labels_of_epoch(make(), 0) != labels_of_epoch(make(**other), 0)


def test_the_same_image_is_augmented_anew_each_step() -> None:
    stream = make(count=1, batch_size=1, augmentation=Augmentation(crop_padding=3, flip=True))
    different = {stream.batch(step)[0].numpy().tobytes() for step in range(60)}
    assert len(different) > 30  # of 98


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_one_global_batch(world_size: int) -> None:
    alone = make(batch_size=8)
    ranks = [
        make(batch_size=8 // world_size, ranks=Ranks(r, world_size)) for r in range(world_size)
    ]
    assert {stream.steps_per_epoch for stream in ranks} == {alone.steps_per_epoch}
    for step in (0, 4, 5, 12):
        images, labels = zip(*(stream.batch(step) for stream in ranks), strict=True)
        assert len(set(torch.cat(labels).tolist())) == 8
        assert same((torch.cat(images), torch.cat(labels)), alone.batch(step))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 41}, "batch_size is 41, but train has 40 images; make it 40 or less"),
        (
            {"batch_size": 16, "ranks": Ranks(0, 3)},
            r"batch_size is 16 on each of 3 ranks \(48 together\), "
            "but train has 40 images; make it 13 or less",
        ),
        ({"batch_size": 1, "ranks": Ranks(0, 41)}, "use fewer ranks"),
        ({"batch_size": 0}, "batch_size is 0; it must be 1 or more"),
    ],
)
def test_a_batch_larger_than_the_data_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(**arguments)


@pytest.mark.parametrize(
    ("images", "sizes"),
    [(40, [13, 13, 14]), (27, [13, 14]), (14, [14]), (1, [1]), (28, [13, 13, 2]), (13, [13])],
)
@pytest.mark.parametrize("world_size", [1, 2])
def test_no_image_is_evaluated_alone(images: int, sizes: list[int], world_size: int) -> None:
    shares = []
    for rank in range(world_size):
        ranks = Ranks(rank, world_size)
        batches = evaluation_batches(image_set(images), 13, NORMALISATION, ranks)
        shares.append([len(labels) for _, labels in batches])
    assert shares == [sizes[rank::world_size] for rank in range(world_size)]


@pytest.mark.parametrize("batch_size", [1, 6, 40, 64])
def test_evaluation_sees_everything_in_order(batch_size: int) -> None:
    batches = list(evaluation_batches(image_set(40), batch_size, NORMALISATION))
    assert [len(labels) for _, labels in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(40))
    pixels = torch.cat([images for images, _ in batches]).double()
    mean, std = (
        torch.tensor(v, dtype=torch.float64).view(3, 1, 1)
        for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    )
    torch.testing.assert_close(
        pixels * std + mean, image_set(40).images / 255.0, atol=1e-6, rtol=0, check_dtype=False
    )
