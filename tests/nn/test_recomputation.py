"""Supernets that compute parts again in the backward, against the same ones that keep everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from unas.architecture.policy import Policy, Sample
from unas.compute.live_memory import LiveMemory
from unas.compute.runtime import RuntimeConfig
from unas.estimators import Estimator, draw_hard, draw_relaxed
from unas.estimators.gumbel_softmax import GumbelSoftmax
from unas.estimators.rebar import Rebar
from unas.nn.choice import OpChoice
from unas.nn.recomputation import recompute_parts
from unas.objectives import Term
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.generalisation_gap import GeneralisationGap
from unas.searching.config import SearchConfig
from unas.searching.step import SearchStep
from unas.spaces import SearchSpace
from unas.spaces.darts import DartsSpace
from unas.spaces.module import ModuleSpace
from unas.spaces.proxylessnas import ProxylessSpace

SPACES: dict[str, tuple[SearchSpace, int]] = {
    "darts": (DartsSpace(channels=4, layers=3), 16),
    "routed": (DartsSpace(channels=4, layers=3, bn="routed"), 16),
    "proxylessnas": (ProxylessSpace(width=0.1), 32),
}


def sample_of(space: SearchSpace, *, is_hard: bool) -> Sample:
    policy, noise = Policy(space.choices), torch.Generator().manual_seed(1)
    drawn = draw_hard(policy, 2, noise) if is_hard else draw_relaxed(policy, 2, 0.4, noise)
    groups = tuple(group.detach().clone().requires_grad_() for group in drawn.groups)
    return Sample(drawn.layout, groups, is_hard)


def run(
    build: Callable[[], nn.Module], sample: Sample, side: int, *, recomputes: bool
) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
    """Return the loss, all gradients and the buffers afterwards."""
    torch.manual_seed(0)
    supernet = build()
    images = torch.randn(4, 3, side, side)
    if recomputes:
        assert recompute_parts(supernet)
    loss = F.cross_entropy(supernet(images, sample), torch.arange(4))
    # As in a step: the policy's gradient first, then that of the weights, through the same graph.
    gradients = torch.autograd.grad(
        loss, sample.groups, retain_graph=True, materialize_grads=True, allow_unused=True
    )
    gradients += torch.autograd.grad(loss, list(supernet.parameters()), materialize_grads=True)
    return loss.detach(), list(gradients), dict(supernet.named_buffers())


@pytest.mark.parametrize("is_hard", [False, True])
@pytest.mark.parametrize("name", SPACES)
def test_numbers_are_those_of_a_supernet_that_keeps_everything(name: str, is_hard: bool) -> None:
    space, side = SPACES[name]
    sample = sample_of(space, is_hard=is_hard)
    build = lambda: space.supernet(10, 3)  # noqa: E731
    kept = run(build, sample, side, recomputes=False)
    again = run(build, sample, side, recomputes=True)
    torch.testing.assert_close(again, kept, rtol=1e-5, atol=1e-6)


class Model(nn.Module):
    """A model with an option that counts, draws noise, and uses a weight of another module."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.choice = OpChoice({"own": nn.Identity(), "tied": Tied(self.stem)})
        self.classifier = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.choice(self.stem(images)).mean((2, 3)))  # type: ignore[no-any-return]


class Tied(nn.Module):
    calls: Tensor

    def __init__(self, stem: nn.Conv2d) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(8)
        self.of_stem = [stem]  # not registered here
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        images = images * self.calls
        scale = self.of_stem[0].weight.mean((1, 2, 3)).view(-1, 1, 1)
        return F.dropout(self.norm(images), 0.5) * scale + images


def test_a_users_options_may_count_draw_noise_and_use_weights_of_others() -> None:
    space = ModuleSpace(Model)
    sample = sample_of(space, is_hard=False)
    build = lambda: space.supernet(10, 3)  # noqa: E731
    kept = run(build, sample, 8, recomputes=False)
    again = run(build, sample, 8, recomputes=True)
    torch.testing.assert_close(again, kept, rtol=1e-5, atol=1e-6)
    assert again[2]["model.choice.candidates.1.calls"] == 1


def test_an_option_may_have_a_spectral_norm() -> None:
    def build() -> nn.Module:
        layer = spectral_norm(nn.Conv2d(3, 8, 3))
        return nn.Sequential(OpChoice({"conv": layer, "pool": nn.Conv2d(3, 8, 3)}, name="c"))

    space = ModuleSpace(lambda **_: nn.Sequential(build(), nn.AvgPool2d(6), nn.Flatten()))
    sample = sample_of(space, is_hard=False)
    kept = run(lambda: space.supernet(10, 3), sample, 8, recomputes=False)
    again = run(lambda: space.supernet(10, 3), sample, 8, recomputes=True)
    torch.testing.assert_close(again, kept, rtol=1e-5, atol=1e-6)


def test_a_model_without_choices_among_operations_has_nothing_to_recompute() -> None:
    assert not recompute_parts(nn.Sequential(nn.Linear(2, 2)))


@pytest.mark.parametrize("estimator", [Rebar(), GumbelSoftmax()])
@pytest.mark.parametrize("space", [ProxylessSpace(width=0.1), SPACES["darts"][0]])
def test_a_step_is_that_of_a_supernet_that_keeps_everything(
    space: SearchSpace, estimator: Estimator
) -> None:
    terms: dict[str, Term] = {"cross_entropy": CrossEntropy(), "gap": GeneralisationGap()}
    config = SearchConfig(batch_size=4, estimator=estimator, objectives=terms)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    batch = (images, torch.arange(4), images.flip(0), torch.arange(4).flip(0))
    figures = []
    for recomputes in (False, True):
        runtime = replace(RuntimeConfig("cpu").build(), recomputes=recomputes)
        step = SearchStep(space, config, 10, 3, runtime)
        figures.append([step(*batch) for _ in range(2)])
    for kept, again in zip(*figures, strict=True):
        assert again == pytest.approx(kept, rel=1e-3)


@pytest.mark.parametrize("name", SPACES)
def test_it_takes_less_memory(name: str) -> None:
    space, _ = SPACES[name]
    sample = sample_of(space, is_hard=False)
    peaks = []
    for recomputes in (False, True):
        with LiveMemory() as memory:
            run(lambda: space.supernet(10, 3), sample, 32, recomputes=recomputes)
        peaks.append(memory.peak_bytes)
    assert peaks[1] < 0.7 * peaks[0]
