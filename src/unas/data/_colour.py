"""Colour jitter of a batch on its device: brightness, contrast, saturation and hue.

Each image has its own factors, and its own order in which they are applied.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

# The order of the columns of what is drawn, of strengths, and of `_FUNCTIONS`.
PARTS = ("brightness", "contrast", "saturation", "hue")
_NUM_GREY_PARTS = 2  # the first parts, which change grey images too
_GREY = (0.2989, 0.587, 0.114)  # ITU-R BT.601, rounded as torchvision rounds it


def draw_jitter(
    strengths: tuple[float, ...], batch: int, generator: torch.Generator
) -> tuple[Float32[Tensor, "{batch} 4"], Int64[Tensor, "{batch} 4"]]:
    """Draw the jitter of `batch` images, on the CPU, as torchvision's ColorJitter does for one.

    Args:
        strengths: one for each of `PARTS`. Factors are from max(0, 1 - strength) to 1 + strength,
            and for the hue from -strength to +strength.
        batch: B.
        generator: on the CPU.

    Returns:
        factors, float32 [B, 4], of each of `PARTS`; and orders, int64 [B, 4]: which of `PARTS`
        comes first, second, third and last.
    """
    drawn = torch.rand(batch, 4, generator=generator)
    orders = torch.rand(batch, 4, generator=generator).argsort(1)
    strength = torch.tensor(strengths)
    centre = torch.tensor((1.0, 1.0, 1.0, 0.0))  # the factor that changes nothing
    low = torch.where(centre > 0, (centre - strength).clamp(min=0.0), -strength)
    return low + (centre + strength - low) * drawn, orders


def jitter(
    images: Float32[Tensor, "images channels height width"],
    factors: Float32[Tensor, "images 4"],
    orders: Int64[Tensor, "images 4"],
    strengths: tuple[float, ...],
) -> Float32[Tensor, "images channels height width"]:
    """Return the images with other colours.

    Args:
        images: float32 [B, C, H, W] from 0 to 1, not channels last, and changed here; C is 3, or 1
            for grey images, which have no saturation and hue.
        factors: float32 [B, 4], see `draw_jitter`.
        orders: int64 [B, 4] on the CPU: the host knows which images come when.
        strengths: one for each of `PARTS`; parts with strength 0 are left out.
    """
    num_parts = len(PARTS) if images.shape[1] == 3 else _NUM_GREY_PARTS
    used = [part for part in range(num_parts) if strengths[part]]
    factors = factors.to(images.device, non_blocking=True)[:, :, None, None, None]
    order_of_each = orders.tolist()
    for place in range(len(PARTS)):
        for part in used:
            change = _FUNCTIONS[part]
            rows = [row for row, order in enumerate(order_of_each) if order[place] == part]
            if len(rows) == len(images):
                images = change(images, factors[:, part])
            elif rows:
                index = torch.tensor(rows).to(images.device, non_blocking=True)
                images.index_copy_(0, index, change(images[index], factors[index, part]))
    return images


def _brightness(images: Tensor, factor: Tensor) -> Tensor:
    return images.mul_(factor).clamp_(0, 1)


def _contrast(images: Tensor, factor: Tensor) -> Tensor:
    mean = _grey(images).mean(dim=(1, 2, 3), keepdim=True)
    return images.mul_(factor).add_(mean * (1 - factor)).clamp_(0, 1)


def _saturation(images: Tensor, factor: Tensor) -> Tensor:
    grey = _grey(images).mul_(1 - factor)
    return images.mul_(factor).add_(grey).clamp_(0, 1)


def _grey(
    images: Float32[Tensor, "images channels height width"],
) -> Float32[Tensor, "images 1 height width"]:
    """Return the luma, [B, 1, H, W]."""
    if images.shape[1] == 1:
        return images.clone()
    red, green, blue = images.chunk(3, dim=1)
    return (red * _GREY[0]).add_(green, alpha=_GREY[1]).add_(blue, alpha=_GREY[2])


def _hue(images: Tensor, factor: Tensor) -> Tensor:
    """Turn the hue of HSV by `factor` of a whole turn; its value and saturation stay."""
    red, green, blue = images.chunk(3, dim=1)
    high = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    spread = high - low
    # Grey has differences of 0, so any scale will do.
    scale = spread.clamp(min=1e-9).mul_(6).reciprocal_()
    # The largest channel says in which third of the circle the hue is. Where `channel` is the
    # largest, the sign is 0 and its third replaces the turn so far; elsewhere it is 1 and the turn
    # stays. `torch.where` would say so, but is far slower on a CPU.
    turn = (red - green).mul_(scale).add_(2 / 3)
    for channel, difference, third in ((green, blue - red, 1 / 3), (red, green - blue, 0.0)):
        turn_here = difference.mul_(scale).add_(third)
        turn = torch.addcmul(turn_here, turn.sub_(turn_here), (high - channel).sign_())
    turn.add_(factor)
    turn.sub_(turn.floor()).mul_(6)
    # How much of the spread each channel has: a trapezium around its own hue.
    shares = (
        (turn - 3).abs_().sub_(1),
        (turn - 2).abs_().neg_().add_(2),
        (turn - 4).abs_().neg_().add_(2),
    )
    return torch.cat([torch.addcmul(low, share.clamp_(0, 1), spread) for share in shares], dim=1)


# Each changes images [B, C, H, W] with factors [B, 1, 1, 1], and may do so in place.
_FUNCTIONS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    _brightness,
    _contrast,
    _saturation,
    _hue,
)
