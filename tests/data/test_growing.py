"""Smaller images at first: what they show, in which epochs, and that the stream is else the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unas.compute.ranks import Ranks
from unas.data import Augmentation, BatchStream, ImagesInMemory, Normalisation, SmallImages

EPOCHS = 2


def stream(small: SmallImages | None, shape: tuple[int, ...], **options: int) -> BatchStream:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (20, *shape), dtype=torch.uint8, generator=generator)
    ranks = Ranks(options.get("rank", 0), options.get("size", 1))
    return BatchStream(
        ImagesInMemory(images, torch.arange(20)),
        4 // ranks.size,
        Augmentation(crop_padding=2, flip=True),
        Normalisation((0.5,) * 3, (0.2,) * 3),
        seed=3,
        stream="test",
        ranks=ranks,
        small=small,
    )


@pytest.mark.parametrize(
    ("shape", "small_shape"),
    [((3, 8, 8), (3, 4, 4)), ((3, 16, 8), (3, 8, 4)), ((3, 8, 20), (3, 4, 10))],
)
def test_pixels_are_means_of_those_of_the_same_stream(
    shape: tuple[int, int, int], small_shape: tuple[int, int, int]
) -> None:
    small = SmallImages(side=4, epochs=EPOCHS)
    assert small.shape_of(shape) == small_shape
    assert small.area_of(shape) == pytest.approx(
        small_shape[1] * small_shape[2] / (shape[1] * shape[2])
    )
    growing, usual = stream(small, shape), stream(None, shape)
    for step in (0, 1, 9):
        images, labels = growing.batch(step)
        whole, same_labels = usual.batch(step)
        assert torch.equal(labels, same_labels)
        assert images.is_contiguous(memory_format=torch.channels_last)
        channels, height, width = small_shape
        blocks = whole.numpy().reshape(
            4, channels, height, shape[1] // height, width, shape[2] // width
        )
        np.testing.assert_allclose(images.numpy(), blocks.mean((3, 5)), atol=1e-5)


def test_an_area_that_is_no_whole_number_of_pixels() -> None:
    """Of five pixels, three are means of two each, which overlap, as of adaptive pooling."""
    images = torch.arange(5.0).expand(1, 1, 5, 5)
    (row, *_) = SmallImages(side=3, epochs=1).of(images)[0, 0]
    assert row.tolist() == [0.5, 2.0, 3.5]


def test_images_are_whole_after_so_many_epochs() -> None:
    growing, usual = stream(SmallImages(4, EPOCHS), (3, 8, 8)), stream(None, (3, 8, 8))
    assert growing.steps_per_epoch == 5
    sides = [growing.batch(step)[0].shape[-1] for step in range(3 * 5)]
    assert sides == [4] * 10 + [8] * 5
    for step in (10, 14):
        assert torch.equal(growing.batch(step)[0], usual.batch(step)[0])


def test_ranks_have_rows_of_the_same_batch() -> None:
    small = SmallImages(4, EPOCHS)
    whole, _ = stream(small, (3, 8, 8)).batch(3)
    parts = [stream(small, (3, 8, 8), rank=rank, size=2).batch(3)[0] for rank in range(2)]
    assert torch.equal(torch.cat(parts), whole)
