"""One search step written the plain way, the oracle of `SearchStep`: five forwards and two
backwards.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unas.architecture.policy import Sample
from unas.compute.seeds import generator_for
from unas.searching.config import SearchConfig
from unas.searching.step import SearchStep

Weights = dict[str, Tensor]


class PlainSearchStep:
    """Starts as a copy of a `SearchStep`, and has optimisers of its own; learning rates don't fall."""

    def __init__(self, search: SearchStep) -> None:
        self.supernet = copy.deepcopy(search.supernet)
        self.layout, self.space = search.policy.layout, search.space
        self.config: SearchConfig = search.config
        self.seed = search.seed
        self.logits = {n: nn.Parameter(v.detach().clone()) for n, v in search.policy.logits.items()}
        self.weights = list(self.supernet.parameters())
        self.weight_adam = _adam(self.weights, self.config.weights)
        self.policy_adam = _adam(list(self.logits.values()), self.config.policy)
        self.history = (0.0, 0.0)
        self.steps = 0
        self.norms = (0.0, 0.0)  # of the gradients of policy and weights

    def __call__(
        self, x: Tensor, y: Tensor, x_val: Tensor, y_val: Tensor, *, reinforce: bool = False
    ) -> None:
        num = self.config.architectures_per_batch or len(x)
        hard, relaxed, log_prob = self.draw(num, "search/policy")

        def loss(images: Tensor, labels: Tensor, weights: Weights, *, is_hard: bool) -> Tensor:
            logits = self.supernet(images, Sample(self.layout, self.layout.stack(weights), is_hard))
            return F.cross_entropy(logits, labels, reduction="none")

        def objective(weights: Weights, *, is_hard: bool) -> Tensor:
            train, val = (
                loss(x, y, weights, is_hard=is_hard),
                loss(x_val, y_val, weights, is_hard=is_hard),
            )
            each_image = train + 0.5 * (val - train).abs()
            return each_image.view(num, -1).mean(1) + 0.2 * self.overlap(weights)

        self.policy_adam.zero_grad()
        with torch.no_grad():
            cost = objective(hard, is_hard=True)
        if reinforce:
            total, weight = self.history
            baseline = total / weight if weight else 0.0
            self.history = (0.9 * total + 0.1 * float(cost.mean()), 0.9 * weight + 0.1)
            ((cost - baseline) * log_prob).mean().backward()  # type: ignore[no-untyped-call]
        else:
            surrogate = objective(relaxed, is_hard=False)
            ((cost - surrogate).detach() * log_prob + surrogate).mean().backward()  # type: ignore[no-untyped-call]
        policy_norm = _norm(list(self.logits.values()))
        self.policy_adam.step()
        if reinforce:  # it makes no relaxed sample, so the weights have a draw of their own
            relaxed = self.draw(num, "search/weights")[1]
        self.weight_adam.zero_grad()
        is_hard = self.config.weights_on == "hard"
        constant = {name: w.detach() for name, w in (hard if is_hard else relaxed).items()}
        loss(x, y, constant, is_hard=is_hard).mean().backward()  # type: ignore[no-untyped-call]
        for parameter in self.weights:  # what was not run has gradient zero
            parameter.grad = (
                torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            )
        self.norms = (policy_norm, _norm(self.weights))
        nn.utils.clip_grad_norm_(self.weights, self.config.clip_norm)
        self.weight_adam.step()
        self.steps += 1

    def draw(self, num: int, stream: str) -> tuple[Weights, Weights, Tensor]:
        """Return the hard sample, the relaxed one with REBAR's corrected gradient, and log p of the
        hard one [G].
        """
        generator = generator_for(self.seed, stream, self.steps)
        hard, relaxed, log_prob = Weights(), Weights(), torch.zeros(num, dtype=torch.float64)
        for names in self.layout.groups:
            shape = (num, len(names), len(self.layout.choices[names[0]]))
            noise = torch.rand(shape, generator=generator, dtype=torch.float64)
            for i, name in enumerate(names):
                hard[name], relaxed[name], own = self.rebar(self.logits[name], noise[:, i])
                log_prob = log_prob + own
        if stream == "search/weights":  # without a correction
            relaxed = {name: w.detach() for name, w in relaxed.items()}
        return hard, relaxed, log_prob

    def rebar(self, logits: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p = logits.softmax(-1) + self.config.softening
        p = p / p.sum()
        z = p.log() - (-u.log()).log()
        k = z.argmax(-1, keepdim=True)
        p_all = p.expand_as(u)
        log_vk = (u.log().gather(-1, k) / p_all.gather(-1, k)).detach()
        log_v = (u.log() - p * log_vk).detach()
        conditional = (-(-log_v / p - log_vk).log()).scatter(-1, k, -(-log_vk).log())
        correction = (conditional / 0.4).softmax(-1)
        hard = F.one_hot(k.squeeze(-1), len(p)).to(p)
        return (
            hard,
            (z / 0.4).softmax(-1) - correction + correction.detach(),
            p_all.log().gather(-1, k).squeeze(-1),
        )

    def overlap(self, weights: Weights) -> Tensor:
        total: Any = 0
        for slots in self.space.slot_pairs():
            first, second = (weights[i][:, :, None] * weights[o][:, None, :] for i, o in slots)
            total = total + (first * second).sum((1, 2))
        return total  # type: ignore[no-any-return]


def _norm(parameters: list[Any]) -> float:
    squares = sum(float((parameter.grad**2).sum()) for parameter in parameters)
    return math.sqrt(squares)


def _adam(parameters: list[nn.Parameter], config: Any) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay)
