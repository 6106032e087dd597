"""Which device files a sandbox shows for what a scheduler has chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibench.errors import SandboxError
from ibench.serving.devices import gpu_nodes, visible_gpus
from ibench.serving.sandbox import Sandbox, environment

DRIVER = ["nvidia-caps", "nvidia-uvm", "nvidiactl"]


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidia10", *DRIVER, "null"):
        (tmp_path / name).touch()
    return tmp_path


def shown(
    dev: Path, gpus: tuple[str, ...] | None, usable: str = "0 1 2 10"
) -> list[str]:
    """Numbers of the cards that are shown beside the driver's own files."""
    can = {f"nvidia{n}" for n in usable.split()}
    found = [p.name for p in gpu_nodes(gpus, dev, lambda path: path.name in can)]
    assert sorted(n for n in found if n in DRIVER) == DRIVER
    return sorted(n.removeprefix("nvidia") for n in found if n not in DRIVER)


def test_a_number_is_the_hosts_card_where_all_can_be_opened(dev: Path) -> None:
    assert shown(dev, None) == ["0", "1", "10", "2"]
    assert shown(dev, ("2",)) == ["2"]
    assert shown(dev, ("10", "0")) == ["0", "10"]
    assert shown(dev, ()) == []


def test_a_scheduler_that_locks_cards_away_counts_the_rest_anew(dev: Path) -> None:
    assert shown(dev, ("0",), usable="2") == ["2"]
    assert shown(dev, ("0", "1"), usable="0 10") == ["0", "10"]
    assert shown(dev, None, usable="2") == ["2"]


def test_a_uuid_is_one_of_those_that_can_be_opened(dev: Path) -> None:
    assert shown(dev, ("GPU-6a96bd13",), usable="1") == ["1"]
    assert shown(dev, ("GPU-6a96bd13",)) == ["0", "1", "10", "2"]


def test_a_choice_without_a_device_is_refused(dev: Path, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="CUDA_VISIBLE_DEVICES: 3: none of 4 GPUs"):
        shown(dev, ("3",), usable="")
    (empty := tmp_path / "empty").mkdir()
    assert gpu_nodes(("0",), empty) == []


def test_the_variable_goes_in_as_it_came(tmp_path: Path) -> None:
    for variable in ("0,3", "GPU-6a96bd13-0001,GPU-77", ""):
        sandbox = Sandbox(workdir=tmp_path, gpus=visible_gpus(variable))
        env = environment(sandbox, "process_group")
        assert env["CUDA_VISIBLE_DEVICES"] == variable
    assert visible_gpus(None) is None
