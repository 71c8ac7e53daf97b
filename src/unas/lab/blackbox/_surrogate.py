"""A model of the cost, fitted on the architectures asked for so far."""

from __future__ import annotations

import torch
from torch import Tensor

SCALES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
NOISES = (1e-4, 1e-3, 1e-2, 1e-1)
REFIT_EVERY = 10


class GaussianProcess:
    """A Gaussian process with the kernel exp(−γ·d), γ and noise of greatest likelihood.

    In one-hot weights the kernel is exp(−γ·(C − z·z')), a product over choices: every order of
    interaction counts, the lower the more. It is defined, and smooth, for relaxed weights too.
    """

    def __init__(self) -> None:
        self.scale, self.noise = 0.2, 1e-2
        self._next_fit = 0

    def fit(self, features: Tensor, costs: Tensor, num_choices: int) -> None:
        """Take in what is known: one-hot architectures [n, ΣK], standardised costs [n], float64."""
        self.features, self.num_choices = features, num_choices
        if len(costs) >= self._next_fit:
            pairs = [(scale, noise) for scale in SCALES for noise in NOISES]
            self.scale, self.noise = max(
                pairs, key=lambda pair: self._log_likelihood(pair[0], pair[1], costs)
            )
            self._next_fit = len(costs) + REFIT_EVERY
        factor = self._cholesky(self.scale, self.noise)
        # The inverse is taken once, and thousands of predictions are then one product each.
        self.whitening = torch.linalg.solve_triangular(
            factor, torch.eye(len(costs), dtype=costs.dtype), upper=False
        )
        white = self.whitening @ costs
        self.variance = float(white.square().mean())
        self.weights = self.whitening.T @ white

    def __call__(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and standard deviation of the cost of architectures [m, ΣK], [m] each."""
        kernel = self._kernel(features, self.scale)
        left = (1 - (kernel @ self.whitening.T).square().sum(1)).clamp_min(1e-12)
        return kernel @ self.weights, (self.variance * left).sqrt()

    def _kernel(self, features: Tensor, scale: float) -> Tensor:
        return torch.exp(scale * (features @ self.features.T - self.num_choices))

    def _cholesky(self, scale: float, noise: float) -> Tensor:
        kernel = self._kernel(self.features, scale)
        factor: Tensor = torch.linalg.cholesky(
            kernel + noise * torch.eye(len(kernel), dtype=kernel.dtype)
        )
        return factor

    def _log_likelihood(self, scale: float, noise: float, costs: Tensor) -> float:
        factor = self._cholesky(scale, noise)
        white = torch.linalg.solve_triangular(factor, costs[:, None], upper=False)
        variance = white.square().mean().clamp_min(1e-12)
        return float(-0.5 * len(costs) * variance.log() - factor.diagonal().log().sum())
