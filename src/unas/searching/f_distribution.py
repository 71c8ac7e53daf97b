"""Tails of Fisher's F and of Student's t, by the incomplete beta function."""

from __future__ import annotations

import math

PRECISION = 1e-13
MOST_TERMS = 100_000  # as many as the square root of the degrees of freedom are needed


def f_tail(f: float, between: float, within: float) -> float:
    """Return the probability that Fisher's F is `f` or more.

    Args:
        f: 0 or more; may be infinite.
        between: degrees of freedom of the numerator, above 0; not only whole ones.
        within: those of the denominator.
    """
    if f <= 0:
        return 1.0
    if math.isinf(f):
        return 0.0
    total = within + between * f
    return _incomplete_beta(within / 2, between / 2, within / total, between * f / total)


def t_tail(t: float, freedom: float) -> float:
    """Return the probability that Student's t, of so many degrees of freedom, is `t` or more."""
    beyond = f_tail(t * t, 1, freedom) / 2
    return beyond if t >= 0 else 1 - beyond


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """Return the regularised incomplete beta function of x; `rest` is 1 - x, without rounding."""
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    factor = math.exp(logarithm + a * math.log(x) + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast
        return factor * _fraction(a, b, x) / a
    return 1 - factor * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the function (Abramowitz and Stegun, 26.5.8), by Lentz."""
    above = 1.0
    below = 1 / (1 - (a + b) * x / (a + 1))
    value = below
    for m in range(1, MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            below = 1 / (1 + term * below)
            above = 1 + term / above
            value *= above * below
        if abs(above * below - 1) < PRECISION:
            break
    return value
