"""Training from scratch against torch's own schedules and optimiser, and against hand computations."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unas.architecture.published import load_genotype
from unas.compute.runtime import RuntimeConfig
from unas.spaces import create_network
from unas.training import TrainingConfig, TrainingStep, evaluate

RUNTIME = RuntimeConfig(device="cpu").build()


def batch(seed: int, size: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 1, 4, 4, generator=generator), torch.randint(
        3, (size,), generator=generator
    )


def linear() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


class Fixed(nn.Module):
    """Gives the same logits for every image, and says what it was told."""

    def __init__(self, *logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.ParameterList(nn.Parameter(torch.tensor(row)) for row in logits)
        self.progress: list[float] = []

    def set_progress(self, fraction: float) -> None:
        self.progress.append(fraction)

    def forward(self, images: Tensor) -> Any:
        outputs = tuple(row.expand(len(images), -1) for row in self.logits)
        return outputs if len(outputs) > 1 else outputs[0]


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")
def test_learning_rate_is_that_of_torchs_schedules() -> None:
    epochs, warm_up_epochs, steps_per_epoch = 5, 2, 3
    total, warm_up = epochs * steps_per_epoch, warm_up_epochs * steps_per_epoch
    config = TrainingConfig(epochs=epochs, warm_up_epochs=warm_up_epochs, lr=0.3)
    step = TrainingStep(linear(), config, RUNTIME, 0, steps_per_epoch)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.3)
    schedules = torch.optim.lr_scheduler
    rising = schedules.LinearLR(optimiser, 1 / warm_up, total_iters=warm_up - 1)
    falling = schedules.CosineAnnealingLR(optimiser, total - warm_up)
    schedule = schedules.SequentialLR(optimiser, [rising, falling], [warm_up - 1])
    found, expected = [], []
    for number in range(total):
        step(number, *batch(number))
        found.append(step.optimiser.param_groups[0]["lr"])
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert found == pytest.approx(expected, abs=1e-7)
    assert found[0] > 0
    assert max(found) == pytest.approx(0.3)
    assert found[-1] == pytest.approx(0, abs=1e-9)


def test_learning_rate_without_warm_up_starts_near_its_largest() -> None:
    config = TrainingConfig(epochs=10, warm_up_epochs=0, lr=0.3)
    assert config.lr_at(0) == 0.3
    assert config.lr_at(5) == pytest.approx(0.15)
    assert config.lr_at(10) == pytest.approx(0, abs=1e-12)


def test_cosine_of_all_epochs_is_cut_off_by_the_end_of_training() -> None:
    config = TrainingConfig(epochs=8, warm_up_epochs=2, lr=1.0, cosine="all_epochs")
    assert config.lr_at(1) == 0.5
    assert config.lr_at(2) == 1.0
    assert config.lr_at(4) == pytest.approx(0.5 + 0.5**1.5)  # (1 + cos 45°) / 2
    assert config.lr_at(6) == pytest.approx(0.5)
    assert config.lr_at(8) == pytest.approx(0.5 - 0.5**1.5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_label_smoothed_and_counts_the_auxiliary_head(smoothing: float) -> None:
    rows = ([1.0, 2.0, -1.0], [0.5, 0.0, 3.0])
    config = TrainingConfig(
        label_smoothing=smoothing, auxiliary_weight=0.4, epochs=1, warm_up_epochs=0
    )
    labels = torch.tensor([0, 1, 1, 2])
    expected = []
    for row in np.array(rows):
        log_p = row - np.log(np.exp(row).sum())
        target = np.eye(3)[labels.numpy()] * (1 - smoothing) + smoothing / 3
        expected.append(-(target * log_p).sum(1).mean())
    with_head = TrainingStep(Fixed(*rows), config, RUNTIME, 0, 1)(
        0, torch.zeros(4, 1, 1, 1), labels
    )
    assert with_head["loss"] == pytest.approx(expected[0] + 0.4 * expected[1], rel=1e-6)
    without = TrainingStep(Fixed(rows[0]), config, RUNTIME, 0, 1)(
        0, torch.zeros(4, 1, 1, 1), labels
    )
    assert without["loss"] == pytest.approx(expected[0], rel=1e-6)


def test_drop_path_grows_linearly_over_the_training() -> None:
    network = Fixed([0.0, 0.0, 0.0])
    step = TrainingStep(
        network, TrainingConfig(epochs=4, warm_up_epochs=0), RUNTIME, 0, steps_per_epoch=2
    )
    for number in range(8):
        step(number, *batch(number))
    assert network.progress == [number / 8 for number in range(8)]


def test_steps_are_sgd_with_momentum_weight_decay_and_clipping_by_hand() -> None:
    config = TrainingConfig(
        epochs=2, warm_up_epochs=1, lr=0.5, momentum=0.8, weight_decay=0.1, clip_norm=0.2
    )
    network, runs = linear().double(), [0.25, 0.5, 0.25, 0.0]
    step = TrainingStep(network, config, RUNTIME, 0, steps_per_epoch=2)
    weight, bias = (p.detach().numpy().copy() for p in network.parameters())
    velocity: list[Any] = [0.0, 0.0]
    for number, lr in enumerate(runs):
        images, labels = batch(number)
        step(number, images.double(), labels)
        x = images.double().numpy().reshape(6, -1)
        logits = x @ weight.T + bias
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        error = (p - np.eye(3)[labels.numpy()]) / 6
        gradients = [error.T @ x, error.sum(0)]
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        assert norm > 0.2
        assert step.watched() == pytest.approx({"lr": lr, "gradient_norm": norm}, rel=1e-5)
        for i, (value, gradient) in enumerate(zip((weight, bias), gradients, strict=True)):
            decayed = gradient * 0.2 / (norm + 1e-6) + 0.1 * value
            velocity[i] = 0.8 * velocity[i] + decayed
            np.subtract(value, lr * velocity[i], out=value)
        for found, value in zip(network.parameters(), (weight, bias), strict=True):
            np.testing.assert_allclose(found.detach().numpy(), value, rtol=1e-5, atol=1e-7)


def darts(**options: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return create_network(load_genotype("UNAS_CIFAR10"), 3, 1, channels=2, layers=3, **options)


def test_noise_of_a_step_depends_on_seed_and_step_alone() -> None:
    def loss(seed: int, number: int, *, disturb: bool = False) -> float:
        step = TrainingStep(
            darts(drop_path=0.5), TrainingConfig(epochs=2, warm_up_epochs=0), RUNTIME, seed, 4
        )
        if disturb:
            torch.rand(7)
        return step(number, *batch(0))["loss"]

    assert loss(0, 5) == loss(0, 5, disturb=True)
    assert len({loss(0, 5), loss(0, 6), loss(1, 5)}) == 3


def test_evaluate_is_a_plain_loop_over_batches_of_any_size() -> None:
    network = darts(drop_path=0.5).train()
    batches = [batch(0, 5), batch(1, 3)]
    scores = evaluate(network, batches, RUNTIME)
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    with torch.no_grad():
        logits = torch.stack([network.eval()(image[None])[0] for image in images]).double().numpy()
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert scores.top1 == (logits.argmax(1) == labels.numpy()).mean()
    assert scores.loss == pytest.approx(-log_p[np.arange(8), labels.numpy()].mean(), rel=1e-5)


def test_goes_on_from_its_state_as_if_never_stopped() -> None:
    config = TrainingConfig(epochs=2, warm_up_epochs=1, lr=0.1)
    step, resumed = (TrainingStep(darts(drop_path=0.3), config, RUNTIME, 0, 3) for _ in range(2))
    for number in range(3):
        step(number, *batch(number))
    resumed.load_state_dict(copy.deepcopy(step.state_dict()))
    for number in range(3, 6):
        assert step(number, *batch(number)) == resumed(number, *batch(number))
    for name, value in step.network.state_dict().items():
        assert resumed.network.state_dict()[name].equal(value), name
