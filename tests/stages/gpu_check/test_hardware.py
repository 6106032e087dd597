"""What is known of a card, and what is refused, from made-up NVML readings."""

from __future__ import annotations

import pytest

from ibench import REPOSITORY
from ibench.errors import UserError
from ibench.stages.gpu_check.hardware import Machine, cuda_machine, find_machine
from tests.study.doctor.test_doctor import FakeNvml

PARAMS = REPOSITORY / "params"
GIB = 2**30


def _machine(visible: str | None = None, **readings: object) -> Machine:
    return cuda_machine(FakeNvml(**readings), "13.0", PARAMS, visible)


def test_a_known_card_has_its_datasheet() -> None:
    found = _machine()
    assert found.card is not None
    assert (found.card.host, found.card.bandwidth_bytes_per_s) == ("h100", 3.35e12)
    assert found.card.flops_per_s == 989e12
    assert found.hardware.folder == "nvidia-h100-80gb-hbm3"
    assert found.hardware.notes == ()
    assert found.gpus is None


def test_an_unknown_card_is_measured_without_a_roofline() -> None:
    found = _machine(names=["NVIDIA L4"], total=24 * GIB, power_mw=72_000)
    assert found.card is None
    assert found.hardware.memory_mib == 24 * 1024
    (note,) = found.hardware.notes
    assert note == "no roofline: no file of params/hosts knows this card"


def test_a_pcie_card_is_not_its_sister() -> None:
    found = _machine(names=["NVIDIA H100 PCIe"], power_mw=350_000)
    assert found.card is None
    assert "gpu 0 power limit: 350 W" in found.hardware.notes
    assert "not the card of host h100 (gpu 0 power limit)" in found.hardware.notes[-1]


def test_a_gpu_in_use_by_somebody_else_is_refused() -> None:
    with pytest.raises(UserError, match=r"gpu 0 idle: in use by pid 4242 .*wait"):
        _machine(processes=[(4242, 30 * GIB)])


def test_among_several_the_chosen_one_alone_counts() -> None:
    names = ["NVIDIA L4", "NVIDIA H100 80GB HBM3"]
    found = _machine("1", names=names)
    assert found.card is not None
    assert found.gpus == ("1",)
    first = _machine(names=names, power_mw=72_000)
    assert (first.hardware.name, first.gpus) == ("NVIDIA L4", ("0",))


def test_a_device_that_has_no_number_is_refused() -> None:
    with pytest.raises(UserError, match="CUDA_VISIBLE_DEVICES: 'GPU-5f'"):
        _machine("GPU-5f")


def test_a_silent_driver_is_refused() -> None:
    with pytest.raises(UserError, match="GPU 0: no NVIDIA driver answers"):
        _machine(driver=None)


def test_a_cpu_has_neither_card_nor_driver() -> None:
    found = find_machine("cpu", PARAMS)
    assert found.card is None
    assert found.hardware.folder == "cpu"
    assert found.hardware.driver is None
    assert found.hardware.cpus >= 1
