"""Figures as people read them."""

from __future__ import annotations


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
    return f"step {first:,.0f}" if first == last else f"steps {first:,.0f} to {last:,.0f}"
