"""Checks of options that several spaces have."""

from __future__ import annotations

from typing import get_args

from unas.common.errors import UserError
from unas.nn.mixed import BatchNormRows


def check_width(what: str, width: float, most: float) -> None:
    """Check what every number of channels is multiplied with; `what` has the field in messages.

    Raises:
        UserError: it is out of its range.
    """
    if not (isinstance(width, int | float) and 0 < width <= most):
        raise UserError(f"{what}.width is {width!r}; it must be more than 0 and at most {most}")


def check_bn(bn: str) -> None:
    """Check what a hard sample's BatchNorm takes its statistics over.

    Raises:
        UserError: there is no such way.
    """
    known = get_args(BatchNormRows)
    if bn not in known:
        raise UserError(f"space.bn is {bn!r}; it must be {' or '.join(known)}")
