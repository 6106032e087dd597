"""A Slurm of our own on this machine: one node, two fake GPUs, no system service."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from ibench.serving.linux import descendants
from ibench.serving.processes import free_port

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
# A lost node is noticed after SlurmdTimeout, and what ran there waits until its old
# credential has expired (cred_expire): minutes by default, seconds here.
CONF = """
ClusterName=ci
SlurmctldHost={host}
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.pid
ReturnToService=2
KillWait=10
SlurmdTimeout=6
NodeName={host} CPUs={cpus} RealMemory=4000 Gres=gpu:2 State=UNKNOWN
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Say why no Slurm can be started here."""
    if os.geteuid() != 0:
        return "needs root: device nodes and Slurm's daemons"
    missing = [c for c in COMMANDS if shutil.which(c) is None]
    return f"not installed: {', '.join(missing)} (apt: slurm-wlm)" if missing else None


def wait_for(true: Callable[[], object], within_s: float, what: str) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"{what}: not in {within_s:g} s"
        time.sleep(0.25)


class SlurmBox:
    """Starts the daemons in a folder and ends them by their pids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("state", "spool", "run", "log"):
            (folder / name).mkdir()
        for number in range(2):  # plain files would leave CUDA_VISIBLE_DEVICES unset
            os.mknod(folder / f"fakegpu{number}", 0o20600, os.makedev(1, 3))
        host = socket.gethostname().partition(".")[0]
        conf = CONF.format(
            host=host,
            folder=folder,
            controller=free_port(),
            daemon=free_port(),
            cpus=os.cpu_count(),
        )
        (folder / "slurm.conf").write_text(conf)
        (folder / "gres.conf").write_text(f"Name=gpu File={folder}/fakegpu[0-1]\n")
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        run = self.folder / "run"
        (run / "munge.key").write_bytes(os.urandom(128))
        (run / "munge.key").chmod(0o400)
        munged = ["munged", "--foreground", f"--key-file={run}/munge.key"]
        munged += [f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid"]
        munged += [f"--seed-file={run}/munge.seed", f"--log-file={run}/munged.log"]
        self._start("munged", [*munged, "--force"])
        wait_for((run / "munge.socket").exists, 10, "munged")
        self._start("slurmctld", ["slurmctld", "-D"])
        self.start_node()
        wait_for(lambda: "idle" in self("sinfo", "-h", "-o", "%T"), 30, "an idle node")
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("slurmd", "slurmctld", "munged"):
            daemon = self._daemons[name]
            for pid in [*descendants(daemon.pid), daemon.pid]:
                _kill(pid)
            daemon.wait()
        for step in self.steps():
            _kill(step)

    def _start(self, name: str, argv: list[str]) -> None:
        with (self.folder / "log" / f"{name}.log").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                argv,
                env=os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf")},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __call__(self, *argv: str) -> str:
        env = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf")}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
        return done.stdout

    def start_node(self) -> None:
        self._start("slurmd", ["slurmd", "-D"])

    def steps(self) -> list[int]:
        """Step daemons of this box: they outlive slurmd, and name its folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "environ").read_bytes()
                    name = (entry / "comm").read_text().strip()
                except OSError:
                    continue
                if str(self.folder).encode() in words and name.startswith("slurmstepd"):
                    found.append(int(entry.name))
        return found

    def kill_node(self) -> None:
        """What a lost node is: daemon, steps and everything they ran, gone at once."""
        daemon = self._daemons["slurmd"]
        pids = {daemon.pid, *descendants(daemon.pid)}
        for step in self.steps():
            pids |= {step, *descendants(step)}
        for pid in pids:
            _kill(pid)
        daemon.wait()
        wait_for(lambda: "down" in self("sinfo", "-h", "-o", "%T"), 60, "a lost node")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
