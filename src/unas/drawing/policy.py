"""A policy as a picture: a row for each choice, a field for each option, dark if likely."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from unas.common.text import drawable

_ROW, _NAME, _FIELD = 16, 150, 96  # pixels
_LETTERS_OF_NAME, _LETTERS_OF_OPTION = 24, 15
_LIGHT = np.array([255, 255, 255])
_DARK = np.array([33, 92, 152])
_MAX_ROWS = 200


def draw_policy(probabilities: Mapping[str, Mapping[str, float]]) -> npt.NDArray[np.uint8]:
    """Return the picture, uint8 [height, width, 3].

    Args:
        probabilities: those of each option, by choice; of more than 200 choices the first ones are
            drawn.
    """
    from PIL import Image, ImageDraw

    rows = list(probabilities.items())[:_MAX_ROWS]
    most = max(len(options) for _, options in rows)
    size = (_NAME + most * _FIELD, len(rows) * _ROW)
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for y, (name, options) in enumerate(rows):
        pen.text((4, y * _ROW + 2), _short(name, _LETTERS_OF_NAME), fill="black")
        for x, (option, probability) in enumerate(options.items()):
            left, top = _NAME + x * _FIELD, y * _ROW
            shade = _LIGHT + (_DARK - _LIGHT) * min(max(probability, 0.0), 1.0)
            colour = tuple(int(value) for value in shade)
            box = (left, top, left + _FIELD - 2, top + _ROW - 2)
            pen.rectangle(box, fill=colour, outline="#c8c8c8")
            ink = "white" if probability > 0.5 else "black"
            pen.text((left + 3, top + 2), _short(option, _LETTERS_OF_OPTION), fill=ink)
    return np.asarray(image, dtype=np.uint8)


def _short(text: str, letters: int) -> str:
    """Return the end of a text, which tells choices of one kind apart."""
    # The default font has Latin letters alone.
    plain = drawable(text).encode("latin-1", "replace").decode("latin-1")
    return plain if len(plain) <= letters else f"...{plain[3 - letters :]}"
