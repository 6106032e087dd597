"""A study small enough to run a stage in a second, and a server that misbehaves."""

from __future__ import annotations

import os
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ibench import REPOSITORY
from ibench.files import tree_sha256
from ibench.params import Pairing
from ibench.records import Evidence, Submission
from ibench.serving.launch import LAUNCHER
from ibench.serving.processes import free_port
from ibench.stages.relaunch import relaunch
from ibench.store import RECORD, load_record
from ibench.study.assets import Assets
from ibench.study.definition import Study
from ibench.study.job import OpenJob

ALONE, IN_TURNS = Pairing(), Pairing(kind="alternate", lives=2)
CELL, BASE = "a/default-transformers-serve/21-1337", "a/baseline/21-1337"
REQUESTS = 3
MARK = f"ibench-stage-test-{os.getpid()}"  # in the command line of every process

# One fault at a time: the server names the model it was given and keeps a plausible
# pace, so that no other rule sees anything.
SERVE = """
import itertools, json, os, socketserver, sys, time
import faulty_server as faulty

NAME = json.dumps(os.environ["MODEL_ID"]).encode()
count = itertools.count(1)

def raw(self, data, send=faulty._Reply.raw):
    send(self, data.replace(b'"faulty"', NAME))

def dies(reply):
    if next(count) > 3:
        os._exit(7)
    time.sleep(0.01)
    reply.head()
    for _ in range(reply.body["max_tokens"]):
        reply.raw(faulty.chunk(" word"))
        time.sleep(0.002)
    reply.raw(faulty.chunk(None, "length") + faulty.DONE)

class Server(faulty._Server):
    def __init__(self, mode, port):
        socketserver.ThreadingTCPServer.__init__(
            self, ("127.0.0.1", port), faulty._Handler
        )
        self.mode, self.bodies, self.heads = faulty.MODES[mode], [], []

faulty._Reply.raw = raw
faulty.MODES["dies"] = dies
Server(sys.argv[1], int(sys.argv[2])).serve_forever()
"""


@dataclass(frozen=True)
class Bench:
    """Tiny studies over one model; request sets are cached for the module."""

    model_dir: Path
    cache: Path

    def study(
        self, folder: Path, pairing: Pairing = ALONE, /, **measure: float
    ) -> Study:
        shutil.copytree(REPOSITORY / "params", folder / "params")
        path = folder / "params" / "profiles" / "smoke.yaml"
        profile = yaml.safe_load(path.read_text())
        burst = {"burst": {"requests": REQUESTS}}
        profile["scenarios"] = ["a"]
        profile["scale"] = {
            "a": {"input_tokens": 64, "output_tokens": 8, "phases": burst}
        }
        profile["methods"] = profile["methods"][:1]
        profile["pairing"] = pairing.model_dump(mode="json")
        profile["questions"] |= {"n": 20, "development_n": 2}
        profile["measure"] |= {"warmup_requests": 1, **measure}
        path.write_text(yaml.safe_dump(profile))
        if (
            "ready_timeout_s" in measure
        ):  # no profile may wait less than an engine needs
            for engine in (folder / "params" / "engines").glob("*.yaml"):
                text = re.sub(r"(?m)^ready_s: .*$", "ready_s: 1.0", engine.read_text())
                engine.write_text(text)
        return Study("smoke", folder / "params", folder / "results")

    def open(self, study: Study, name: str) -> OpenJob:
        job = OpenJob(study, study.job(name))
        job.assets = Assets(study, self.cache)
        job.assets.model_dir = self.model_dir
        return job

    def lend(self, baseline: Study, study: Study) -> None:
        """Publish a measured baseline in a study that has other limits than its own."""
        source = baseline.job(f"{BASE}/baseline").folder
        job = self.open(study, f"{BASE}/baseline")
        ours = (RECORD, "request.json")
        shutil.copytree(source, job.folder, ignore=lambda *_: ours, dirs_exist_ok=True)
        job.publish(load_record(source).result)

    def submit(self, study: Study, script: str | None, mode: int = 0o755) -> None:
        """Publish what stage 2 would have, by hand."""
        job = self.open(study, f"{CELL}/submission")
        folder = job.folder / "submission"
        folder.mkdir()
        shutil.copy(REPOSITORY / "tests" / "faulty_server.py", folder)
        (folder / "serve.py").write_text(SERVE)
        if script is not None:
            (folder / LAUNCHER).write_text(script)
            (folder / LAUNCHER).chmod(mode)
        job.publish(
            Submission(
                method=job.cell.method,
                path="submission",
                sha256=tree_sha256(folder),
                outcome="finished",
                budget_s=None,
                used_s=0.0,
                sandbox="none",
            )
        )


@dataclass(frozen=True)
class Ran:
    """A finished stage 3, and the port its server was given."""

    study: Study
    evidence: Evidence
    port: int


def run_stage_3(bench: Bench, study: Study) -> Ran:
    given: list[int] = []

    def noted() -> int:
        given.append(free_port())
        return given[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ibench.serving.launch.free_port", noted)
        job = bench.open(study, f"{CELL}/relaunch")
        evidence = relaunch(job)
        job.publish(evidence)
    return Ran(study, evidence, given[0])


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
