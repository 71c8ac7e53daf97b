"""The compiled backend runs what was compiled, for more networks of a class than PyTorch keeps."""

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from unas.common.errors import UserError
from unas.latency import backends, measure


class Wide(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, 2, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def test_without_a_compiler_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        UserError, match="there is no C\\+\\+ compiler 'no-such-compiler'; install one"
    ) as error:
        measure(Wide(2), (3, 8, 8), "compiled")
    assert "\n" not in str(error.value)


def test_a_device_without_a_compiler_gives_one_line() -> None:
    with pytest.raises(UserError, match="device is meta"):
        measure(Wide(2), (3, 8, 8), "compiled", "meta")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_every_one_of_many_networks_is_compiled() -> None:
    counters.clear()
    with torch._dynamo.config.patch(recompile_limit=2):
        clocks = [
            backends.get("compiled")().prepare(Wide(width), (1, 3, 8, 8), torch.device("cpu"), 1)
            for width in range(2, 6)
        ]
        assert counters["stats"]["unique_graphs"] == 4
        assert all(clock() > 0 for clock in clocks)
    assert counters["stats"]["unique_graphs"] == 4  # and stays so when they run in turn
    assert not counters["graph_break"]
    measured = measure(Wide(4), (3, 8, 8), "compiled", samples=6)
    assert measured.backend == "compiled"
