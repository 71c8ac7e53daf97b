"""Energy against a directory like the kernel's, where a network writes how much it has used."""

import sys
import types
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from torch import nn

from unas.common.errors import UserError
from unas.latency.energy import measure_energy
from unas.latency.energy_counters import NvmlCounter, RaplCounter, find_counter

RANGE = 1_000_000


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Return a root with two packages, a part of one, and a zone of another kind."""
    for name, used in (
        ("intel-rapl:0", 100),
        ("intel-rapl:1", 7),
        ("intel-rapl:0:0", 90),
        ("intel-rapl-mmio:0", 1),
    ):
        zone = tmp_path / name
        zone.mkdir()
        (zone / "energy_uj").write_text(f"{used}\n")
        (zone / "max_energy_range_uj").write_text(f"{RANGE}\n")
    (tmp_path / "intel-rapl").mkdir()
    return tmp_path


def set_energy(root: Path, zone: str, microjoules: int | str) -> None:
    (root / f"intel-rapl:{zone}" / "energy_uj").write_text(f"{microjoules}\n")


def test_packages_are_added_and_parts_of_them_are_not(powercap: Path) -> None:
    counter = RaplCounter(powercap)
    before = counter.now()
    set_energy(powercap, "0", 100 + 3000)
    set_energy(powercap, "1", 7 + 500)
    set_energy(powercap, "0:0", 99_999)
    assert counter.between(before, counter.now()) == 3.5


def test_the_whole_platform_is_not_added_to_its_packages(powercap: Path) -> None:
    for zone, name in (("0", "package-0"), ("1", "psys")):
        (powercap / f"intel-rapl:{zone}" / "name").write_text(f"{name}\n")
    counter = RaplCounter(powercap)
    before = counter.now()
    set_energy(powercap, "0", 100 + 3000)
    set_energy(powercap, "1", 7 + 5000)
    assert counter.between(before, counter.now()) == 3.0
    assert counter.name == "RAPL, 1 CPU package"


def test_a_counter_that_begins_again_has_counted_to_its_end(powercap: Path) -> None:
    counter = RaplCounter(powercap)
    set_energy(powercap, "0", RANGE - 400)
    before = counter.now()
    set_energy(powercap, "0", 600)
    set_energy(powercap, "1", 7 + 1000)
    assert counter.between(before, counter.now()) == pytest.approx((400 + 600 + 1000) / 1e3)


class Consumer(nn.Module):
    """Uses 2 mJ a forward, past the end of the counter's range more than once."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        path = self.root / "intel-rapl:0" / "energy_uj"
        path.write_text(f"{(int(path.read_text()) + 2000) % RANGE}\n")
        return images


def test_energy_of_a_forward_is_what_the_network_uses(powercap: Path) -> None:
    energy = measure_energy(
        Consumer(powercap), (3, 4, 4), windows=6, window_seconds=0.02, root=powercap
    )
    assert energy.median_mj == pytest.approx(2.0, rel=0.02)
    assert energy.low_mj <= energy.median_mj <= energy.high_mj
    assert energy.windows == 6
    assert energy.forwards > 20
    assert energy.counter == "RAPL, 2 CPU packages"


def test_a_kernel_that_counts_nothing_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no intel-rapl zone of a package") as error:
        measure_energy(nn.Identity(), (3, 4, 4), root=tmp_path / "nowhere")
    assert "\n" not in str(error.value)


def test_a_counter_that_is_not_readable_names_the_fix(
    powercap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)  # this test may run as root
    with pytest.raises(UserError, match="sudo chmod"):
        RaplCounter(powercap)


def test_a_damaged_counter_gives_one_line(powercap: Path) -> None:
    set_energy(powercap, "1", "many")
    with pytest.raises(UserError, match="energy_uj can't be read"):
        RaplCounter(powercap)


def test_without_the_package_of_nvml_the_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(UserError, match="nvidia-ml-py is missing"):
        NvmlCounter(torch.device("cuda:0"))


def test_nvml_counts_millijoules(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([1000, 1000, 1250])
    fake = types.SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda _handle: next(used),
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: types.SimpleNamespace(uuid="1-2")
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    counter = NvmlCounter(torch.device("cuda:0"))
    before = counter.now()
    assert counter.between(before, counter.now()) == 250


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"windows": 5}, "windows is 5"),
        ({"window_seconds": 0.0}, "window_seconds is 0"),
        ({"device": "meta"}, "the eager backend measures on cpu and cuda"),
    ],
)
def test_wrong_arguments_give_one_line(options: dict[str, Any], part: str, powercap: Path) -> None:
    with pytest.raises(UserError, match=part):
        measure_energy(nn.Identity(), (3, 4, 4), root=powercap, **options)


def test_a_device_without_a_counter_gives_one_line(powercap: Path) -> None:
    with pytest.raises(UserError, match="energy is counted on cpu"):
        find_counter(torch.device("meta"), powercap)
