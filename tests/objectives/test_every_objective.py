"""What every term about images must hold; a new one is found by itself."""

from __future__ import annotations

import pytest
import torch

from unas import objectives
from unas.architecture.policy import Layout, Sample
from unas.common.errors import UserError
from unas.objectives import Evaluation, Objective
from unas.spaces.darts import DartsSpace

SPACE = DartsSpace(channels=2, layers=3, operations=3)
LAYOUT = Layout(SPACE.choices, SPACE.registry_name)
B, G = 6, 3
ALL = [
    pytest.param(cls, id=name)
    for name, cls in ((name, objectives.get(name)) for name in objectives.names())
    if issubclass(cls, Objective)
]


def groups(seed: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(G, len(names), len(SPACE.choices[names[0]])) for names in LAYOUT.groups]
    return tuple(
        torch.randn(s, generator=generator, dtype=torch.float64).softmax(-1) for s in shapes
    )


def evaluation(
    weights: tuple[torch.Tensor, ...], *, is_hard: bool = False, validated: bool = True
) -> Evaluation:
    """Return losses that depend on the weights of their own architecture and on the image."""
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(2):
        pairs = [
            (w, torch.randn(w.shape[1:], generator=generator, dtype=torch.float64)) for w in weights
        ]
        score = torch.stack([(w * factor).sum((1, 2)) for w, factor in pairs]).sum(0)
        losses.append(
            score.repeat_interleave(B // G)
            * torch.rand(B, generator=generator, dtype=torch.float64)
        )
    return Evaluation(
        SPACE, Sample(LAYOUT, weights, is_hard), losses[0], losses[1] if validated else None
    )


@pytest.mark.parametrize("objective", ALL)
@pytest.mark.parametrize("is_hard", [False, True])
def test_gives_one_finite_number_an_architecture(objective: type[Objective], is_hard: bool) -> None:
    weights = groups(1)
    if is_hard:
        weights = tuple(
            torch.nn.functional.one_hot(w.argmax(-1), w.shape[-1]).double() for w in weights
        )
    value = objective()(evaluation(weights, is_hard=is_hard))
    assert value.shape == (G,)
    assert value.isfinite().all()


@pytest.mark.parametrize("objective", ALL)
def test_gradient_in_relaxed_weights_is_that_of_finite_differences(
    objective: type[Objective],
) -> None:
    weights = tuple(w.requires_grad_() for w in groups(2))
    assert torch.autograd.gradcheck(lambda *w: objective()(evaluation(w)), weights)


@pytest.mark.parametrize("objective", ALL)
def test_an_architecture_is_scored_by_its_own_images_and_weights(
    objective: type[Objective],
) -> None:
    weights = tuple(w.requires_grad_() for w in groups(3))
    found = torch.autograd.grad(objective()(evaluation(weights))[1], weights)
    assert all((gradient[[0, 2]] == 0).all() for gradient in found)
    assert any((gradient[1] != 0).any() for gradient in found)


@pytest.mark.parametrize("objective", ALL)
def test_asks_for_validation_exactly_if_it_is_needed(objective: type[Objective]) -> None:
    without = evaluation(groups(4), validated=False)
    if objective.needs_validation:
        with pytest.raises(AssertionError):
            objective()(without)
    else:
        assert objective()(without).equal(objective()(evaluation(groups(4))))


@pytest.mark.parametrize("objective", ALL)
def test_weight_grows_linearly_over_its_first_steps(objective: type[Objective]) -> None:
    term = objective(weight=2.0, warm_up_steps=4)
    assert [term.weight_at(step) for step in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert objective(weight=2.0).weight_at(0) == 2.0


@pytest.mark.parametrize("objective", ALL)
def test_refuses_negative_warm_up(objective: type[Objective]) -> None:
    with pytest.raises(UserError, match="warm_up_steps is -1"):
        objective(warm_up_steps=-1)
