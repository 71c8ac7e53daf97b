"""Figures as people read them."""

from __future__ import annotations

from unas.common.text import readable_size

_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def percent(share: float) -> str:
    """Return a share of 0 to 1: "98.89 %"."""
    return f"{100 * share:.2f} %"


def short(value: float) -> str:
    """Return a figure of any size with up to four digits: "0.0371", "1.258 M"."""
    for size, letter in _LARGE:
        if abs(value) >= size and (size > 1e3 or abs(value) >= 1e4):
            return f"{value / size:.4g} {letter}"
    return f"{value:.4g}"


def count(value: float) -> str:
    """Return a whole number in full, "117,914", where that can be read: up to a hundred million."""
    return f"{value:,.0f}" if abs(value) < 1e8 else short(value)


def milliseconds(value: float) -> str:
    """Return a time in ms, with four digits, which is more than a clock gives."""
    return f"{value:.4g} ms"


def budget(typed: str) -> str:
    """Return a budget as it was typed, with the sign that was meant."""
    return typed.replace("<=", " ≤ ")


def quantity(name: str, value: float) -> str:
    """Return what a budget is about, in the base unit of summary.json, with its unit."""
    if name == "latency":
        return milliseconds(value)
    if name == "energy":
        return f"{value:.4g} mJ"
    return readable_size(round(value)) if name == "memory" else count(value)


def steps(first: float, last: float) -> str:
    """Return which steps a point of a curve stands for."""
    return f"step {first:,.0f}" if first == last else f"steps {first:,.0f} to {last:,.0f}"
