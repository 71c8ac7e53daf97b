"""The layout that a user's own model computes with: the faster one, and the same after a stop."""

from __future__ import annotations

import io
import logging

import pytest
import torch
from torch import Tensor, nn

from unas.compute.ranks import Ranks
from unas.compute.runtime import RuntimeConfig
from unas.estimators.rebar import Rebar
from unas.nn.choice import OpChoice
from unas.objectives.cross_entropy import CrossEntropy
from unas.searching.config import SearchConfig
from unas.searching.layout import settle_layout
from unas.searching.step import SearchStep
from unas.spaces.module import ModuleSpace, ModuleSupernet

CONFIG = SearchConfig(
    architectures_per_batch=2,
    batch_size=4,
    estimator=Rebar(),
    objectives={"cross_entropy": CrossEntropy()},
)


class Counting(nn.Module):
    """A choice, a statistic, and a note of how the images lay in memory."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        convolutions = {f"conv{k}": nn.Conv2d(3, 4, k, padding=k // 2) for k in (1, 3)}
        self.choice = OpChoice(convolutions, name="op")
        self.head = nn.Linear(4, 10)
        self.register_buffer("count", torch.zeros(()))
        self.strides: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        self.count += 1
        self.strides.append(images.stride())
        logits: Tensor = self.head(self.choice(images).mean((2, 3)))
        return logits


class Clock:
    """Time that passes only in passes of a supernet, by its layout."""

    def __init__(self, supernet: ModuleSupernet, seconds: dict[str, float]) -> None:
        self.supernet = supernet
        self.seconds = seconds
        self.now = 0.0

    def run(self) -> None:
        """Let a pass go by."""
        self.supernet.get_buffer("model.count").add_(1)
        self.now += self.seconds[str(self.supernet.layout)]


@pytest.mark.parametrize(
    ("channels_last", "contiguous", "expected"),
    [
        (0.5, 0.8, "channels_last"),
        (0.5, 0.3, "contiguous"),
        (0.5, 0.48, "channels_last"),  # as good as equal: always the same one
        (0.03, 0.01, None),  # too short to matter
    ],
)
def test_the_faster_layout_is_taken_where_it_pays(
    channels_last: float,
    contiguous: float,
    expected: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    supernet = ModuleSupernet(Counting())
    clock = Clock(supernet, {"channels_last": channels_last, "contiguous": contiguous})
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    with caplog.at_level(logging.INFO, "unas"):
        settle_layout(supernet, clock.run, Ranks())
    assert supernet.layout == expected
    assert float(supernet.get_buffer("model.count")) == 0
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(" (")[0] for line in lines] == (
        [f"layout of the images: {expected}"] if expected else []
    )


def build() -> SearchStep:
    return SearchStep(ModuleSpace(Counting), CONFIG, 10, 3, RuntimeConfig(device="cpu").build())


def batch(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, x_val = torch.randn(2, 4, 3, 6, 6, generator=generator)
    y, y_val = torch.randint(10, (2, 4), generator=generator)
    return x, y, x_val, y_val


@pytest.mark.parametrize("gains", [0.0, 1e9])  # a layout that always wins
def test_a_resumed_search_computes_with_the_layout_that_was_tried(
    gains: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unas.searching.layout.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("unas.searching.layout.CONTIGUOUS_GAINS", gains)
    search = build()
    search.warm_up(*batch(0)[:2])
    state = io.BytesIO()
    torch.save(search.state_dict(), state)
    state.seek(0)
    monkeypatch.setattr("unas.searching.step.settle_layout", None)  # no second trial
    resumed = build()
    resumed.load_state_dict(torch.load(state, weights_only=True))
    assert search(*batch(1)) == resumed(*batch(1))
    for expected, weight in zip(search.weights, resumed.weights, strict=True):
        assert weight.equal(expected)
    contiguous = batch(1)[0]
    expected_image = contiguous if gains else contiguous.to(memory_format=torch.channels_last)
    model = resumed.supernet.get_submodule("model")
    assert isinstance(model, Counting)
    assert set(model.strides) == {expected_image.stride()}


def test_larger_images_are_tried_anew_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    search = build()
    monkeypatch.setattr("unas.searching.step.settle_layout", lambda *_: tried.append(search.steps))
    x, y, x_val, y_val = batch(0)
    small, small_val = x[..., :4, :4], x_val[..., :4, :4]
    search.warm_up(small, y)
    search(small, y, small_val, y_val)
    search.warm_up(x, y)
    search(x, y, x_val, y_val)
    search.warm_up(small, y)
    assert tried == [0, 2]
    resumed = build()
    resumed.load_state_dict(search.state_dict())
    resumed.warm_up(x, y)
    assert tried == [0, 2]


def test_state_of_before_there_was_a_trial_and_of_no_layout() -> None:
    search = build()
    search.warm_up(*batch(0)[:2])
    state = search.state_dict()
    with pytest.raises(ValueError, match="layout 'sideways'"):
        build().load_state_dict({**state, "layout": "sideways"})
    del state["layout"], state["most_pixels"]
    resumed = build()
    resumed.load_state_dict(state)
    assert isinstance(resumed.supernet, ModuleSupernet)
    assert resumed.supernet.layout is None
