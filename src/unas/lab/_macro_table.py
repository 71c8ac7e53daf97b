"""NAS-Bench-Macro (Su et al. 2021) as it is published: JSON, architectures as digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from unas.common.errors import UserError
from unas.lab.table import ArchitectureTable

OPTIONS = ("identity", "mbconv_3x3_e3", "mbconv_5x5_e6")  # by digit
MAX_LAYERS = 64


def parse_macro(document: Any) -> ArchitectureTable:
    """Read the published document: a digit of an architecture's name is the option of a layer.

    It is {"02012100": {"mean_acc": 89.2, "test_acc": [89.5, 88.9, 89.2], …}, …}. A list becomes one
    metric a place: `test_acc_1`, `test_acc_2`, …

    Raises:
        UserError: it isn't such a document.
    """
    if not isinstance(document, dict) or not document:
        raise UserError(
            "not a table as NAS-Bench-Macro is published: a JSON object of architectures written "
            "as digits"
        )
    layers = len(next(iter(document)))
    for key in document:
        if not 0 < len(key) <= MAX_LAYERS or len(key) != layers or set(key) - set("012"):
            raise UserError(
                f"architecture {key[:80]!r} must be written as {layers} digits 0, 1 or 2, like all "
                "others"
            )
    found = {key: _metrics(key, value) for key, value in document.items()}
    names = tuple(next(iter(found.values())))
    for key, metrics in found.items():
        if tuple(metrics) != names:
            raise UserError(
                f"architecture {key}: its metrics are not those of the first: "
                f"{', '.join(names) or 'none'}"
            )
    if not names:
        raise UserError("architectures have no metrics; each needs the same names with numbers")
    return ArchitectureTable(
        {f"layer{i + 1}": OPTIONS for i in range(layers)},
        np.array([[int(digit) for digit in key] for key in document], dtype=np.int64),
        {name: np.array([metrics[name] for metrics in found.values()]) for name in names},
    )


def _metrics(key: str, value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise UserError(f"architecture {key}: its value must be an object of metrics")
    found = {}
    for name, entry in sorted(value.items()):
        if isinstance(entry, list):
            found.update(
                {f"{name}_{i + 1}": _number(key, name, item) for i, item in enumerate(entry)}
            )
        else:
            found[name] = _number(key, name, entry)
    return found


def _number(key: str, name: str, value: Any) -> float:
    try:
        number = (
            float(value)
            if isinstance(value, int | float) and not isinstance(value, bool)
            else float("nan")
        )
    except OverflowError:
        number = float("inf")
    if not np.isfinite(number):
        raise UserError(
            f"architecture {key}: {name[:40]} is {str(value)[:40]!r}; it must be a finite number"
        )
    return number
