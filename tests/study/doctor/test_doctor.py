"""Every check against readings that are well and readings that are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ibench import REPOSITORY
from ibench.__main__ import main
from ibench.params.files import load_yaml
from ibench.params.hosts import Host
from ibench.study.definition import Study
from ibench.study.doctor import HealthCheck, doctor_parts
from ibench.study.doctor.data import data_checks
from ibench.study.doctor.gpu import gpu_checks
from ibench.study.doctor.judge import judge_check
from ibench.study.doctor.machine import MachineReadings, machine_checks, read_machine
from ibench.terminal import plain
from ibench.workloads.hub.lock import file_entry
from ibench.workloads.hub.sources import place, sources_of

PARAMS = REPOSITORY / "params"
HOSTS = {p.stem: load_yaml(Host, p) for p in (PARAMS / "hosts").glob("*.yaml")}
H100, GIB = HOSTS["h100"], 1024**3
WELL: dict[str, Any] = {
    "driver": "580.82.07",
    "names": ["NVIDIA H100 80GB HBM3"],
    "total": 81559 * 1024**2,
    "used": GIB // 2,
    "busy": 0,
    "processes": [],
    "power_mw": 700_000,
    "reasons": 0x01,
    "errors": 0,
    "mig": [0, 0],
    "persistence": 1,
}


class NoNvmlError(Exception):
    """What the fake raises for a reading it does not have."""


class FakeNvml:
    """GPUs that are all alike, with the readings given; ``None`` is unsupported."""

    NVMLError = NoNvmlError
    NVML_CLOCK_SM = 1
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC = 1, 0
    nvmlClocksThrottleReasonApplicationsClocksSetting = 0x02

    def __init__(self, **readings: Any) -> None:
        self.r, self.open = WELL | readings, 0

    def _get(self, name: str) -> Any:
        if self.r[name] is None:
            raise NoNvmlError("Not Supported")
        return self.r[name]

    def nvmlInit(self) -> None:
        self._get("driver")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return str(self._get("driver"))

    def nvmlDeviceGetCount(self) -> int:
        return len(self.r["names"])

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return bytes(self.r["names"][handle], "ascii")

    def nvmlDeviceGetMemoryInfo(self, _: int) -> Any:
        return SimpleNamespace(total=self._get("total"), used=self.r["used"])

    def nvmlDeviceGetComputeRunningProcesses(self, _: int) -> list[Any]:
        return [
            SimpleNamespace(pid=pid, usedGpuMemory=used)
            for pid, used in self._get("processes")
        ]

    def nvmlSystemGetProcessName(self, pid: int) -> str:
        if pid == 77:
            raise NoNvmlError("Not Found")
        return "/usr/bin/python3"

    def nvmlDeviceGetUtilizationRates(self, _: int) -> Any:
        return SimpleNamespace(gpu=self._get("busy"))

    def nvmlDeviceGetEnforcedPowerLimit(self, _: int) -> Any:
        return self._get("power_mw")

    def nvmlDeviceGetCurrentClocksEventReasons(self, _: int) -> Any:
        return self._get("reasons")

    def nvmlDeviceGetMaxClockInfo(self, _: int, kind: int) -> int:
        assert kind == self.NVML_CLOCK_SM
        return 1980

    def nvmlDeviceGetTotalEccErrors(self, _: int, kind: int, counter: int) -> Any:
        assert (kind, counter) == (1, 0)
        return self._get("errors")

    def nvmlDeviceGetMigMode(self, _: int) -> Any:
        return self._get("mig")

    def nvmlDeviceGetPersistenceMode(self, _: int) -> Any:
        return self._get("persistence")


def states(checks: list[HealthCheck]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def one(checks: list[HealthCheck], name: str) -> HealthCheck:
    return next(check for check in checks if check.name == name)


def test_a_free_gpu_at_full_power_is_well() -> None:
    nvml = FakeNvml()
    checks = gpu_checks(H100, nvml)
    assert set(states(checks).values()) == {"ok"}
    assert len(checks) == 9
    assert nvml.open == 0
    assert one(checks, "gpu 0 clocks").found == "up to 1980 MHz"


def test_a_gpu_in_use_by_someone_names_who() -> None:
    processes = [(4242, 30 * GIB), (77, None)]
    check = one(gpu_checks(H100, FakeNvml(processes=processes)), "gpu 0 idle")
    assert check.state == "fail"
    assert check.found == "in use by pid 4242 (python3, 30.0 GiB), pid 77 (unknown)"
    assert "wait for it" in check.remedy


@pytest.mark.parametrize(
    ("reading", "name", "state", "said"),
    [
        ({"driver": "535.104.5"}, "gpu driver", "fail", "install 580.65"),
        ({"names": ["NVIDIA L4"]}, "gpu model", "fail", "host h100 is one H100"),
        ({"names": []}, "gpu model", "fail", "none"),
        ({"total": 40 * GIB}, "gpu 0 memory", "fail", "has 79 GiB"),
        ({"used": 9 * GIB}, "gpu 0 idle", "fail", "processes unseen here"),
        ({"busy": 60}, "gpu 0 idle", "fail", "60 % in use"),
        ({"power_mw": 400_000}, "gpu 0 power limit", "fail", "-i 0 -pl 700"),
        ({"reasons": 0x41}, "gpu 0 clocks", "fail", "hardware thermal limit"),
        ({"reasons": 0x02}, "gpu 0 clocks", "warn", "-rac"),
        ({"errors": 3}, "gpu 0 memory errors", "fail", "3 uncorrected"),
        ({"mig": [1, 1]}, "gpu 0 undivided", "fail", "-mig 0"),
        ({"persistence": 0}, "gpu 0 persistence", "warn", "-pm 1"),
        ({"processes": None}, "gpu 0 idle", "warn", "unknown"),
        ({"power_mw": None}, "gpu 0 power limit", "warn", "unknown"),
        ({"reasons": None}, "gpu 0 clocks", "warn", "unknown"),
        ({"errors": None}, "gpu 0 memory errors", "warn", "unknown"),
        ({"total": None}, "gpu 0 memory", "warn", "unknown"),
        ({"persistence": None}, "gpu 0 persistence", "warn", "unknown"),
        ({"mig": None}, "gpu 0 undivided", "ok", "MIG is off"),
    ],
)
def test_what_is_wrong_with_a_gpu_is_said(
    reading: dict[str, Any], name: str, state: str, said: str
) -> None:
    check = one(gpu_checks(H100, FakeNvml(**reading)), name)
    assert check.state == state
    assert said in f"{check.found} {check.remedy}"
    assert check.state == "ok" or check.remedy


def test_no_driver_and_no_need_of_one() -> None:
    (check,) = gpu_checks(H100, FakeNvml(driver=None))
    assert (check.state, check.name) == ("fail", "gpu")
    assert "H100" in check.remedy
    assert states(gpu_checks(HOSTS["cpu"], FakeNvml(driver=None))) == {"gpu": "ok"}


def test_every_host_knows_its_own_gpu_and_no_other() -> None:
    names = {
        "h100": "NVIDIA H100 80GB HBM3",
        "h200": "NVIDIA H200",
        "a100": "NVIDIA A100-SXM4-80GB",
    }
    assert set(HOSTS) == {*names, "cpu"}
    for host, name in names.items():
        for other in names:
            found = states(gpu_checks(HOSTS[other], FakeNvml(names=[name])))
            assert found["gpu model"] == ("ok" if other == host else "fail")


MACHINE = MachineReadings(
    cpus=16,
    load_1min=0.2,
    available_bytes=100 * GIB,
    free_bytes=200 * GIB,
    cached_bytes=0,
    shm_bytes=8 * GIB,
    open_files=65536,
    governor="performance",
    clocksource="tsc",
    clock_step_ns=25,
    is_synchronised=True,
    port=4000,
    sandbox="bwrap",
    results=Path("results"),
    is_writable=True,
)


def test_a_machine_that_has_it_all_is_well() -> None:
    assert set(states(machine_checks(H100, MACHINE)).values()) == {"ok"}


@pytest.mark.parametrize(
    ("changes", "name", "state"),
    [
        ({"cpus": 4}, "processor", "warn"),
        ({"load_1min": 9.0}, "load", "warn"),
        ({"available_bytes": 8 * GIB}, "memory", "fail"),
        ({"free_bytes": 60 * GIB}, "disk", "fail"),
        ({"is_writable": False}, "disk", "fail"),
        ({"shm_bytes": 64 * 1024**2}, "/dev/shm", "warn"),
        ({"shm_bytes": None}, "/dev/shm", "warn"),
        ({"open_files": 1024}, "open files", "warn"),
        ({"open_files": 256}, "open files", "fail"),
        ({"governor": "powersave"}, "frequency governor", "warn"),
        ({"clocksource": "hpet"}, "monotonic clock", "warn"),
        ({"is_synchronised": False}, "wall clock", "warn"),
        ({"port": None}, "ports", "fail"),
        ({"sandbox": "process_group"}, "namespaces", "warn"),
    ],
)
def test_what_a_machine_lacks_is_one_line_with_a_remedy(
    changes: dict[str, Any], name: str, state: str
) -> None:
    checks = machine_checks(H100, MACHINE._replace(**changes))
    assert {n: s for n, s in states(checks).items() if s != "ok"} == {name: state}
    assert one(checks, name).remedy


def test_what_is_fetched_already_needs_no_more_room() -> None:
    machine = MACHINE._replace(free_bytes=110 * GIB, cached_bytes=15 * GIB)
    assert one(machine_checks(H100, machine), "disk").state == "ok"


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    machine = read_machine(tmp_path / "not" / "yet", tmp_path)
    assert machine.cpus >= 1
    assert machine.available_bytes > 0
    assert machine.free_bytes > 0
    assert 0 < machine.clock_step_ns < 1e7
    assert machine.sandbox
    assert list(tmp_path.iterdir()) == []


def test_data_that_is_missing_or_cut_is_named(tmp_path: Path) -> None:
    params, cache = tmp_path / "params", tmp_path / "cache"
    shutil.copytree(PARAMS, params)
    study = Study("h100", params, tmp_path / "results")
    found = states(data_checks(study, cache))
    assert found.pop("request sets") == "warn"
    assert found == dict.fromkeys(
        ("MMLU-Pro", "LongBench-v2", "Mistral-7B-Instruct-v0.3"), "fail"
    )
    lock: dict[str, Any] = {"sources": {}}
    for source in sources_of(study.profile, study.model):
        path = place(source, cache) / "file"
        path.parent.mkdir(parents=True)
        path.write_text(source.key)
        lock["sources"][source.key] = {"file": file_entry(path).model_dump()}
    (params / "data.lock").write_text(json.dumps(lock))
    (cache / "workloads").mkdir()
    (cache / "workloads" / "h100.json").write_text("[]")
    assert set(states(data_checks(study, cache)).values()) == {"ok"}
    path.write_text("cut")
    (check,) = [c for c in data_checks(study, cache) if c.state != "ok"]
    assert check.name == "Mistral-7B-Instruct-v0.3"
    assert "1 of 1 files missing or cut short (file)" in check.found
    assert check.remedy == "run `make data PROFILE=h100` once with network access"


def test_lines_stand_under_each_other_and_remedies_below() -> None:
    mend = "mend " * 30
    checks = [
        HealthCheck("a", "ok", "fine"),
        HealthCheck("long name", "fail", "bad", mend),
    ]
    lines = plain(*doctor_parts(checks))
    assert lines[0] == "ok    a          fine"
    assert lines[1] == "fail  long name  bad"
    assert lines[2] == f"{' ' * 17}-> {mend}".rstrip()
    assert lines[-1] == "1 ok, 0 to know, 1 to mend"


def test_a_required_judge_needs_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_API_KEY", raising=False)
    paper, free = (Study(n, PARAMS, tmp_path) for n in ("h100", "one"))
    check = judge_check(paper)
    assert (check.state, check.found) == ("fail", "JUDGE_API_KEY")
    assert "gates: no-judge" in check.remedy
    assert judge_check(free).state == "ok"
    monkeypatch.setenv("JUDGE_API_KEY", "made-up")
    assert judge_check(paper).found.startswith("claude-sonnet-4-6 at https://")


def test_the_command_fails_when_something_must_be_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--params", str(PARAMS), "--cache", str(tmp_path)]
    options += ["--results", str(tmp_path)]
    assert main(["doctor", "--profile", "h100", *options]) == 2
    printed = capsys.readouterr().out
    assert "run `make data PROFILE=h100` once" in printed
    main(["doctor", "--profile", "smoke", *options])
    assert "host cpu needs none" in capsys.readouterr().out
