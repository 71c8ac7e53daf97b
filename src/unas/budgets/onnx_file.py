"""An ONNX file that is held against budgets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from unas.graphs.onnx_size import OnnxSize, count_onnx


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file, counted once, when it is first asked for.

    Args:
        path: where it is.
        image_shape: (C, H, W) of its images.
    """

    path: Path
    image_shape: tuple[int, int, int]

    @cached_property
    def size(self) -> OnnxSize:
        """What its graph has.

        Raises:
            UserError: it is no ONNX file, or can't be counted.
        """
        return count_onnx(self.path, self.image_shape)
