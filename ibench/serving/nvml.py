"""NVML (``pynvml`` of ``nvidia-ml-py``): the one module that opens the GPU driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from ibench.errors import DriverError

__all__ = ["GpuState", "Nvml", "gpu_names", "gpu_states", "nvml_session", "nvml_text"]


class Nvml(Protocol):
    """What a meter uses of the ``pynvml`` module."""

    @property
    def NVMLError(self) -> type[Exception]: ...  # noqa: D102
    def nvmlInit(self) -> None: ...  # noqa: D102
    def nvmlShutdown(self) -> None: ...  # noqa: D102
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: D102
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: D102, ANN401
    def nvmlDeviceGetName(self, handle: Any) -> str | bytes: ...  # noqa: D102, ANN401
    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int: ...  # noqa: D102, ANN401
    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int: ...  # noqa: D102, ANN401
    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> list[Any]: ...  # noqa: D102, ANN401


@contextmanager
def nvml_session(nvml: Any = None) -> Iterator[Any]:  # noqa: ANN401 (untyped)
    """Open the driver for the length of a ``with`` block.

    Args:
        nvml: the ``pynvml`` module or its like; by default it is imported.

    Raises:
        DriverError: the package is missing, or no driver answers.
    """
    if nvml is None:
        try:
            import pynvml  # noqa: PLC0415 (only where a GPU is asked for)
        except ImportError as error:
            raise DriverError("nvidia-ml-py is not installed") from error
        nvml = pynvml
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise DriverError(f"no NVIDIA driver answers ({error})") from error
    try:
        yield nvml
    finally:
        nvml.nvmlShutdown()


def nvml_text(value: str | bytes) -> str:
    """Read what NVML says; its older versions say it in bytes."""
    return value.decode() if isinstance(value, bytes) else value


def gpu_names(nvml: Any | None = None) -> tuple[str, ...]:  # noqa: ANN401 (untyped)
    """Names of this host's GPUs; none where no driver answers."""
    try:
        with nvml_session(nvml) as opened:
            handles = map(
                opened.nvmlDeviceGetHandleByIndex, range(opened.nvmlDeviceGetCount())
            )
            return tuple(nvml_text(opened.nvmlDeviceGetName(h)) for h in handles)
    except DriverError:
        return ()


class GpuState(NamedTuple):
    """One GPU at an instant; None where the driver does not tell."""

    clock_mhz: float | None
    power_w: float | None
    temperature_c: float | None
    throttle: tuple[str, ...]


# NVML's clock event reasons by their bits; an idle GPU and a set clock are no brake.
_THROTTLE = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "thermal slowdown (software)",
    0x40: "thermal slowdown (hardware)",
    0x80: "power brake",
}
_SM_CLOCK, _GPU_SENSOR = 1, 0


def gpu_states(nvml: Any | None = None) -> tuple[GpuState, ...]:  # noqa: ANN401 (untyped)
    """Clock, power, temperature and brakes of every GPU; none without a driver."""
    try:
        with nvml_session(nvml) as opened:
            handles = map(
                opened.nvmlDeviceGetHandleByIndex, range(opened.nvmlDeviceGetCount())
            )
            return tuple(_state(opened, handle) for handle in handles)
    except DriverError:
        return ()


def _state(nvml: Any, handle: Any) -> GpuState:  # noqa: ANN401 (untyped)
    def ask(name: str, *arguments: int) -> float | None:
        try:
            return float(getattr(nvml, name)(handle, *arguments))
        except (nvml.NVMLError, AttributeError):
            return None

    power_mw = ask("nvmlDeviceGetPowerUsage")
    bits = int(ask("nvmlDeviceGetCurrentClocksEventReasons") or 0)
    return GpuState(
        ask("nvmlDeviceGetClockInfo", _SM_CLOCK),
        None if power_mw is None else power_mw / 1e3,
        ask("nvmlDeviceGetTemperature", _GPU_SENSOR),
        tuple(text for bit, text in _THROTTLE.items() if bits & bit),
    )
