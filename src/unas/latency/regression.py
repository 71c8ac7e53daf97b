"""Bayesian linear regression of latencies: what is alike costs alike, until measurements say otherwise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Standard deviations before anything is measured, in those of the noise of a median architecture.
MEAN_SCALE = 1e4  # of the intercept: as good as free
SIZE_SCALE = 100.0  # of the cost of each kind of size: free as well
ALIKE = (
    0.01  # sizes of all groups whose spread is less than this part of the largest are all one size
)
GROUP_SCALES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of a group's cost around what its sizes say
TERM_SCALES = (0.03, 0.1, 0.3, 1.0, 3.0)  # of a term's cost around its group's

TAIL = (
    4  # degrees of freedom of the noise, a Student's t: a disturbed measurement is no catastrophe
)
STEPS = 6  # of finding the weights that make it so


@dataclass(frozen=True)
class Fit:
    """What was learned.

    Args:
        intercept: the cost of the architecture of all first options.
        terms: what each term adds, [terms].
    """

    intercept: float
    terms: Array


def fit_terms(terms: Array, groups: Array, sizes: Array, costs: Array) -> Fit:
    """Return the posterior mean of cost = intercept + Σ_terms (what its group costs + a deviation of its own) + noise.

    A group's cost is a linear function of its sizes plus a deviation. Noise is proportional to the
    cost and has the tails of a Student's t, by iteratively reweighted normals (Lange, Little and
    Taylor, 1989). The scales of both kinds of deviation are those with the largest marginal
    likelihood on a grid.

    Args:
        terms: which terms each measured architecture has, [n, terms] of 0 and 1.
        groups: which group each term is in, [terms, groups]; a row of zeros is a term whose group
            costs nothing.
        sizes: of each group, [groups, kinds], in any units.
        costs: what was measured, [n], all positive.
    """
    scale = float(np.median(costs))
    y = costs / scale
    of_groups, standard = terms @ groups, SIZE_SCALE * sizes / _units(sizes)
    of_sizes = of_groups @ standard
    fixed = MEAN_SCALE**2 + of_sizes @ of_sizes.T
    kernels = {
        (group_scale, term_scale): fixed
        + group_scale**2 * of_groups @ of_groups.T
        + term_scale**2 * terms @ terms.T
        for group_scale, term_scale in itertools.product(GROUP_SCALES, TERM_SCALES)
    }
    weights = np.ones(len(y))
    for _ in range(STEPS):
        noise = y**2 / weights
        found = {scales: _evidence(kernel, noise, y) for scales, kernel in kernels.items()}
        scales = max(found, key=lambda each: found[each][0])
        solved = found[scales][1]
        weights = _student_weights(noise * solved / y)
    group_scale, term_scale = scales
    shared = standard @ (of_sizes.T @ solved) + group_scale**2 * of_groups.T @ solved
    own = groups @ shared + term_scale**2 * terms.T @ solved
    return Fit(scale * MEAN_SCALE**2 * float(solved.sum()), scale * own)


def _units(sizes: Array) -> Array:
    """Return what one of each kind of size is: what groups differ by, or all of it where they hardly differ, [kinds].

    A single group differs from no other; raw sizes, millions, would leave a kernel that can't be
    factored.
    """
    spread, most = sizes.std(0), np.abs(sizes).max(0, initial=0.0)
    return np.where(spread > ALIKE * most, spread, np.where(most > 0, most, 1.0))


def _evidence(kernel: Array, noise: Array, y: Array) -> tuple[float, Array]:
    """Return the log marginal likelihood of y at the best scale of the noise, and (kernel + noise)⁻¹·y."""
    # An architecture a thousand times as fast as the median has less noise than the kernel has
    # rounding error.
    rounding = len(y) * np.finfo(np.float64).eps * kernel.diagonal().max()
    factor = np.linalg.cholesky(kernel + np.diag(noise + rounding))
    half = np.linalg.solve(factor, y)
    log_determinant = 2 * float(np.log(np.diag(factor)).sum())
    evidence = -0.5 * (len(y) * np.log(float(half @ half)) + log_determinant)
    return float(evidence), np.linalg.solve(factor.T, half)


def _student_weights(residuals: Array) -> Array:
    """Return the weights of relative residuals whose scale is taken from their median."""
    variance = max(
        float(np.median(residuals**2)) / 0.455, 1e-18
    )  # the median of a squared standard normal
    return np.asarray((TAIL + 1) / (TAIL + residuals**2 / variance))
