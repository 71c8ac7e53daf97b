"""Bayesian linear regression of latencies: terms that are alike cost alike, until measured."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Standard deviations before anything is measured, in those of the noise of a median architecture.
MEAN_SCALE = 1e4  # of the intercept: as good as free
SIZE_SCALE = 100.0  # of the cost of each kind of size: free as well
GROUP_SCALES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of a group's cost around what its sizes say
TERM_SCALES = (0.03, 0.1, 0.3, 1.0, 3.0)  # of a term's cost around its group's

ALIKE = 0.01  # groups whose sizes spread less, as a part of the largest, are of one size
TAIL = 4  # degrees of freedom of the noise, a Student's t: one disturbed measurement does no harm
STEPS = 6  # of reweighting, which finds the noise of each measurement
SQUARED_NORMAL_MEDIAN = 0.455  # the median of a squared standard normal


@dataclass(frozen=True)
class Fit:
    """The costs that a regression has learned.

    Args:
        intercept: the cost of the architecture of all first options.
        terms: what each term adds, [terms].
    """

    intercept: float
    terms: Array


def fit_terms(terms: Array, groups: Array, sizes: Array, costs: Array) -> Fit:
    """Return the posterior mean of cost = intercept + Σ_terms (group's cost + deviation) + noise.

    A group's cost is a linear function of its sizes plus a deviation. Noise is proportional to the
    cost and has the tails of a Student's t, by iteratively reweighted normals (Lange, Little and
    Taylor, 1989). The scales of both kinds of deviation are those with the largest marginal
    likelihood on a grid.

    Args:
        terms: which terms each measured architecture has, [n, terms] of 0 and 1.
        groups: which group each term is in, [terms, groups]; a row of zeros is a term whose group
            costs nothing.
        sizes: the sizes of each group, [groups, kinds], in any units.
        costs: the measured costs, [n], all positive.
    """
    scale = float(np.median(costs))
    y = costs / scale
    has_group = terms @ groups
    standard_sizes = SIZE_SCALE * sizes / _units(sizes)
    has_size = has_group @ standard_sizes
    fixed = MEAN_SCALE**2 + has_size @ has_size.T
    group_scale, term_scale, solved = _best_scales(fixed, has_group, terms, y)
    group_costs = standard_sizes @ (has_size.T @ solved) + group_scale**2 * has_group.T @ solved
    term_costs = groups @ group_costs + term_scale**2 * terms.T @ solved
    return Fit(scale * MEAN_SCALE**2 * float(solved.sum()), scale * term_costs)


def _best_scales(
    fixed: Array, has_group: Array, terms: Array, y: Array
) -> tuple[float, float, Array]:
    """Return the scales of groups and terms with the most evidence, and (kernel + noise)⁻¹·y."""
    weights = np.ones(len(y))
    of_groups, of_terms = has_group @ has_group.T, terms @ terms.T
    for _ in range(STEPS):
        noise = y**2 / weights
        most = -math.inf
        for group_scale, term_scale in itertools.product(GROUP_SCALES, TERM_SCALES):
            kernel = fixed + group_scale**2 * of_groups + term_scale**2 * of_terms
            evidence, solution = _evidence(kernel, noise, y)
            if evidence > most:
                most, best, solved = evidence, (group_scale, term_scale), solution
        weights = _student_weights(noise * solved / y)
    return *best, solved


def _units(sizes: Array) -> Array:
    """Return the unit of each kind of size, [kinds]: what the groups differ by.

    Where they hardly differ, as a single group does, it is the largest size: raw sizes, millions,
    would leave a kernel that can't be factored.
    """
    spread = sizes.std(0)
    most = np.abs(sizes).max(0, initial=0.0)
    largest = np.where(most > 0, most, 1.0)
    return np.where(spread > ALIKE * most, spread, largest)


def _evidence(kernel: Array, noise: Array, y: Array) -> tuple[float, Array]:
    """Return the log marginal likelihood of y, and (kernel + noise)⁻¹·y.

    The scale of kernel and noise together is the one that makes y the most likely.
    """
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
    variance = max(float(np.median(residuals**2)) / SQUARED_NORMAL_MEDIAN, 1e-18)
    return np.asarray((TAIL + 1) / (TAIL + residuals**2 / variance))
