"""The GPU meter against a GPU that is a small object, and against no GPU."""

from __future__ import annotations

import builtins
import itertools
import subprocess
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from ibench import REPOSITORY
from ibench.errors import MetricUndefinedError
from ibench.serving.gpu import GpuMeter, GpuUse, energy_per_token_j
from ibench.serving.gpu_choice import chosen_gpus, gpu_users

MIB = 1024 * 1024
SERVER, OTHER = 100, 200


class NoNvmlError(Exception):
    """What the fake raises for a reading it does not have."""


class FakeNvml:
    """GPUs with scripted readings: one item a sample, the last one repeats."""

    NVMLError = NoNvmlError

    def __init__(
        self,
        memory: list[list[dict[int, int | None] | None]],
        *,
        energy_mj: list[int | None] | None = None,
        power_mw: list[int | None] | None = None,
        loads: bool = True,
    ) -> None:
        self.memory = memory
        self.energy_mj, self.power_mw = energy_mj or [None], power_mw or [None]
        self.loads, self.open = loads, 0
        self.places: dict[object, int] = {}
        self.sampled = threading.Event()

    def nvmlInit(self) -> None:
        if not self.loads:
            raise NoNvmlError("no driver")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.memory)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return UUIDS[handle]

    def nvmlDeviceGetName(self, handle: int) -> str | bytes:
        return f"GPU {handle}" if handle else b"GPU 0"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> Any:
        return self._next("energy", handle, self.energy_mj)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> Any:
        return self._next("power", handle, self.power_mw)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        used = self._next("memory", handle, self.memory[handle])
        if self.places["memory", handle] > 3:
            self.sampled.set()
        return [SimpleNamespace(pid=p, usedGpuMemory=b) for p, b in used.items()]

    def _next(self, what: str, handle: int, readings: list[Any]) -> Any:
        place = self.places.get((what, handle), 0)
        self.places[what, handle] = place + 1
        reading = readings[min(place, len(readings) - 1)]
        if reading is None:
            raise NoNvmlError("not supported")
        return reading


def seconds() -> Callable[[], int]:
    """A clock that goes on by one second a reading."""
    ticks = itertools.count(0, 10**9)
    return lambda: next(ticks)


def measured(nvml: FakeNvml, **settings: Any) -> GpuUse:
    """Two samples: no period passes within the block."""
    meter = GpuMeter(nvml, period_s=60, clock_ns=seconds(), **settings)
    with meter:
        pass
    use = meter.use()
    assert nvml.open == 0
    assert use is not None
    return use


def test_this_machine_without_a_driver_has_no_use() -> None:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        meter = GpuMeter(period_s=0.01)
        with meter:
            pass
        assert meter.use() is None
    else:
        pytest.skip("there is a driver")


@pytest.mark.gpu
def test_a_real_gpu_is_measured() -> None:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        pytest.skip("no driver")
    import torch

    meter = GpuMeter()
    with meter:
        block = torch.ones(256, MIB, device="cuda")  # 1 GiB
        for _ in range(200):
            block = block * 1.0
        torch.cuda.synchronize()
    use = meter.use()
    assert use is not None
    assert use.energy_j is None or use.energy_j > 1
    assert use.peak_mib is None or use.peak_mib > 1024


def test_without_the_package_there_is_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refused(name: str, *rest: Any) -> Any:
        if name == "pynvml":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refused)
    meter = GpuMeter()
    with meter:
        pass
    assert meter.use() is None


def test_the_package_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, ibench.serving.gpu; sys.exit('pynvml' in sys.modules)"
    python = REPOSITORY / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("no environment beside the checkout")
    subprocess.run([python, "-c", code], check=True)


@pytest.mark.parametrize("nvml", [FakeNvml([[{}]], loads=False), FakeNvml([])])
def test_no_driver_and_no_device_are_no_use(nvml: FakeNvml) -> None:
    meter = GpuMeter(nvml)
    with meter, pytest.raises(RuntimeError, match="after the `with`"):
        meter.use()
    assert meter.use() is None
    assert nvml.open == 0


def test_peak_is_of_one_sample_and_energy_of_the_counter() -> None:
    memory: list[dict[int, int | None] | None] = [
        {SERVER: 300 * MIB, OTHER: 50 * MIB},
        {SERVER: 100 * MIB, OTHER: 200 * MIB},
    ]
    use = measured(FakeNvml([memory], energy_mj=[5_000, 17_500]))
    assert use.gpus == ("GPU 0",)
    assert use.samples == 2
    assert use.peak_mib == 350  # not 300 + 200
    assert use.peak_mib_by_pid == {SERVER: 300, OTHER: 200}
    assert (use.energy_j, use.energy_source) == (12.5, "counter")
    assert energy_per_token_j(use, 50) == 0.25
    assert GpuUse.model_validate_json(use.model_dump_json()) == use


def test_two_gpus_add_up() -> None:
    gpus: list[list[dict[int, int | None] | None]] = [
        [{SERVER: 10 * MIB}],
        [{SERVER: 30 * MIB, OTHER: 5 * MIB}],
    ]
    use = measured(FakeNvml(gpus, energy_mj=[0, 1_000]))
    assert use.gpus == ("GPU 0", "GPU 1")
    assert use.peak_mib_by_pid == {SERVER: 40, OTHER: 5}
    assert use.peak_mib == 45
    assert use.energy_j == 2.0


def test_only_the_servers_processes_count() -> None:
    asked = []

    def tree() -> set[int]:
        asked.append(1)
        return {SERVER, 101} if len(asked) == 1 else set()

    one: list[dict[int, int | None] | None] = [
        {SERVER: 10 * MIB},
        {SERVER: 20 * MIB, 101: 5 * MIB, OTHER: 900 * MIB},
    ]
    use = measured(FakeNvml([one]), pids=tree)
    assert use.peak_mib_by_pid == {SERVER: 20, 101: 5}  # also after the tree is gone
    assert use.peak_mib == 25
    assert len(asked) == 2  # a process known as ours needs no walk


def test_a_server_that_is_not_listed_has_unknown_memory() -> None:
    use = measured(FakeNvml([[{OTHER: 5 * MIB}]]), pids=lambda: {SERVER})
    assert use.peak_mib is None
    assert use.peak_mib_by_pid == {}


@pytest.mark.parametrize("nothing", [None, 0, 2**64 - 1])
def test_memory_that_is_not_available_is_unknown(nothing: int | None) -> None:
    memory: list[dict[int, int | None] | None] = [
        {SERVER: 8 * MIB, OTHER: 3 * MIB},
        {SERVER: nothing, OTHER: 4 * MIB},
    ]
    use = measured(FakeNvml([memory]))
    assert use.peak_mib_by_pid == {SERVER: None, OTHER: 4}
    assert use.peak_mib is None


def test_processes_that_cannot_be_listed_leave_the_peak_unknown() -> None:
    use = measured(FakeNvml([[{SERVER: 8 * MIB}, None]]))
    assert use.peak_mib is None
    assert use.peak_mib_by_pid == {SERVER: 8}


def test_power_stands_in_for_a_counter() -> None:
    """100 W and 300 W one second apart: 200 J."""
    use = measured(FakeNvml([[{}]], power_mw=[100_000, 300_000]))
    assert (use.energy_j, use.energy_source) == (200.0, "power")


@pytest.mark.parametrize(
    ("energy", "power"),
    [
        ([None], [None]),
        ([None], [100_000, None]),
        ([7_000, 7_000], [1]),
        ([7_000, 100], [1]),
        ([7_000, None], [1]),
        ([None, 7_000], [1]),
        ([None], [0]),
    ],
)
def test_energy_without_a_whole_reading_is_unknown(
    energy: list[int | None], power: list[int | None]
) -> None:
    use = measured(FakeNvml([[{}]], energy_mj=energy, power_mw=power))
    assert use.energy_j is None
    assert use.energy_source is None
    with pytest.raises(MetricUndefinedError, match="without an energy"):
        energy_per_token_j(use, 10)


@pytest.mark.parametrize("tokens", [None, 0, -1])
def test_energy_per_no_token_is_undefined(tokens: int | None) -> None:
    use = measured(FakeNvml([[{}]], energy_mj=[0, 1_000]))
    with pytest.raises(MetricUndefinedError, match="tokens"):
        energy_per_token_j(use, tokens)
    with pytest.raises(MetricUndefinedError):
        energy_per_token_j(None, 10)


def test_the_thread_samples_while_the_block_runs() -> None:
    peak: list[dict[int, int | None] | None] = [{}, {SERVER: 9 * MIB}, {}, {}]
    nvml = FakeNvml([peak], energy_mj=[0, 1, 2, 3])
    meter = GpuMeter(nvml, period_s=0.001)
    with meter:
        assert nvml.sampled.wait(10)
    use = meter.use()
    assert use is not None
    assert use.samples >= 4
    assert use.peak_mib == 9
    assert not [t for t in threading.enumerate() if t.name.startswith("gpu-meter")]


def test_an_error_of_the_thread_is_not_lost() -> None:
    walks = itertools.count()
    reached = threading.Event()

    def tree() -> set[int]:
        if next(walks) > 0:
            reached.set()
            raise OSError("tree")
        return set()

    nvml = FakeNvml([[{OTHER: MIB}]])
    meter = GpuMeter(nvml, period_s=0.001, pids=tree)
    with pytest.raises(OSError, match="tree"), meter:
        assert reached.wait(10)
    assert nvml.open == 0
    assert meter.use() is None


def test_a_use_is_closed() -> None:
    use = measured(FakeNvml([[{}]]))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(use, "energy_j", 1.0)  # noqa: B010 (mypy refuses the plain form)


UUIDS = ("GPU-aaaa1111-2222", "GPU-bbbb1111-2222", "GPU-aaaa9999-2222")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, [0, 1, 2]),
        (("1",), [1]),
        (("2", "0"), [0, 2]),
        (("GPU-bbbb1111-2222",), [1]),
        (("GPU-aaaa9",), [2]),
        # Numbers that a scheduler counted anew, or a MIG device: all that are shown.
        (("7",), [0, 1, 2]),
        (("MIG-1",), [0, 1, 2]),
        ((), []),
    ],
)
def test_gpus_are_chosen_by_number_or_uuid(
    names: tuple[str, ...] | None, expected: list[int]
) -> None:
    assert chosen_gpus(FakeNvml([[{}]] * 3), names) == expected


def test_energy_is_that_of_the_gpus_the_run_was_given() -> None:
    nvml = FakeNvml([[{SERVER: MIB}], [{OTHER: MIB}]], energy_mj=[1000, 3000])
    with GpuMeter(nvml, period_s=60.0, gpus=("1",)) as meter:
        pass
    use = meter.use()
    assert use is not None
    assert (use.gpus, use.energy_j) == (("GPU 1",), 2.0)
    assert list(use.peak_mib_by_pid) == [OTHER]


def test_who_is_on_a_gpu_is_named_unless_it_lets_go_in_time() -> None:
    now = itertools.count()

    def users(
        names: tuple[str, ...], *looks: dict[int, int | None] | None
    ) -> list[str]:
        nvml = FakeNvml([[{}], list(looks)])
        found = gpu_users(
            names, nvml, wait_s=4.0, clock=lambda: next(now), sleep=lambda s: None
        )
        assert nvml.open == 0
        return found

    stays: dict[int, int | None] = {OTHER: 3 * 1024 * MIB}
    assert users(("1",), stays) == [f"pid {OTHER} on GPU 1, 3.0 GiB"]
    assert users(("1",), {SERVER: None}) == [f"pid {SERVER} on GPU 1"]
    assert users(("1",), stays, stays, {}) == []
    assert users(("0",), stays) == []
    assert users(("1",), None) == []  # a reading that this driver does not have
    assert gpu_users(None, FakeNvml([[stays]], loads=False)) == []
