"""Families of operations, each with its colours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Operations that are drawn in the same colours.

    Args:
        label: what the legend calls the family.
        prefix: how the operations' names begin.
        line: colour of edges, and of text on `fill`.
        fill: colour behind labels.
        terminal: colour in a terminal, as rich calls it.
    """

    label: str
    prefix: str
    line: str
    fill: str
    terminal: str


FAMILIES = (
    Family("skip connection", "skip", "#5b6573", "#eef0f3", "bright_black"),
    Family("separable convolution", "sep_conv", "#1f5fbf", "#e4eefc", "blue"),
    Family("dilated convolution", "dil_conv", "#7a3fb0", "#f1e8fa", "magenta"),
    Family("max pooling", "max_pool", "#b3541e", "#fdecdf", "yellow"),
    Family("average pooling", "avg_pool", "#157a6e", "#def4f0", "cyan"),
    Family("mobile convolution 3×3", "mbconv_3x3", "#157a6e", "#def4f0", "cyan"),
    Family("mobile convolution 5×5", "mbconv_5x5", "#1f5fbf", "#e4eefc", "blue"),
    Family("mobile convolution 7×7", "mbconv_7x7", "#7a3fb0", "#f1e8fa", "magenta"),
)
OTHER = Family("other", "", "#a3294f", "#fbe5ec", "red")


def family_of(operation: str) -> Family:
    """Return the family of an operation by its name."""
    for family in FAMILIES:
        if operation.startswith(family.prefix):
            return family
    return OTHER
