"""Figures as people read them."""

from __future__ import annotations

from collections.abc import Callable


def percent(share: float) -> str:
    """Return a share of 0 to 1: "98.89 %"."""
    return f"{100 * share:.2f} %"


def milliseconds(value: float) -> str:
    """Return a time in ms, with four digits, which is more than a clock gives."""
    return f"{value:.4g} ms"


def budget(typed: str) -> str:
    """Return a budget as it was typed, with the sign that was meant."""
    return typed.replace("<=", " ≤ ")


def steps(first: float, last: float) -> str:
    """Return which steps a point of a curve stands for."""
    if first == last:
        return f"step {first:,.0f}"
    return f"steps {first:,.0f} to {last:,.0f}"


def whole(value: float) -> str:
    """Return a whole number in full: "1,437"."""
    return f"{value:,.0f}"


def if_known(value: float | None, words: Callable[[float], str]) -> str:
    """Return a figure in words, "" where there is none."""
    return "" if value is None else words(value)


def plural(count: float, noun: str) -> str:
    """Return how many there are: "1 epoch", "600 epochs"."""
    return f"{whole(count)} {noun}" if count == 1 else f"{whole(count)} {noun}s"
