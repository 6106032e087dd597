"""HTCondor: a DAG with a node a cell, and judging as its last node.

The submit descriptions are built by HTCondor's own library, so that what it would
refuse is refused here; they go to the pool through ``condor_submit_dag``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ibench.cluster.cell import PREEMPTED, RETRY
from ibench.cluster.cells import MAX_RETRIES
from ibench.cluster.submissions import Batch, ClusterSubmission, Queued
from ibench.cluster.tools import Tool, chunks
from ibench.errors import ClusterError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["MAX_RELEASES", "Condor", "cell_description", "finish_description"]

MAX_RELEASES = 5
HELD_S = 86_400
_POLICY_HOLD = 3  # HoldReasonCode: a policy of the job's own
_STATES: dict[int, Queued] = {1: "pending", 2: "running", 5: "held", 6: "running"}
_DAG = "study.dag"
_ARGUMENTS = 200  # cells in one constraint


class Condor:
    """Cells as nodes of a DAG.

    Args:
        tool: runs HTCondor's commands.
    """

    def __init__(self, tool: Tool) -> None:
        """Keep the way to the commands."""
        self._tool = tool

    def submit(self, batch: Batch) -> tuple[tuple[str, ...], str | None]:
        """Write the DAG and hand it over; the last node belongs to the DAG."""
        batch.logs.mkdir(parents=True, exist_ok=True)
        path = _write_dag(batch)
        most = str(batch.cluster.max_parallel)
        said = self._tool(["condor_submit_dag", "-maxjobs", most, str(path)])
        found = re.search(r"submitted to cluster (\d+)", said)
        if found is None:
            line = " ".join(said.split())
            raise ClusterError(f"condor_submit_dag: named no cluster: {line}")
        return (found[1],), None

    def poll(self, submission: ClusterSubmission) -> Mapping[str, Queued]:
        """Ask ``condor_q``; nodes that DAGMan has not submitted yet are pending."""
        (dag,) = submission.job_ids
        ours = f"DAGManJobId == {dag} || ClusterId == {dag}"
        said = self._tool(
            [
                *("condor_q", "-json", "-constraint", ours),
                *("-attributes", "ClusterId,IbenchCell,JobStatus"),
            ]
        )
        ads = json.loads(said or "[]")
        found: dict[str, Queued] = {}
        if any(str(ad["ClusterId"]) == dag for ad in ads):
            found = dict.fromkeys(submission.cells, "pending")
        for ad in ads:
            if "IbenchCell" in ad and ad["JobStatus"] in _STATES:
                found[ad["IbenchCell"]] = _STATES[ad["JobStatus"]]
        return found

    def cancel(
        self, submission: ClusterSubmission, cells: Sequence[str] | None
    ) -> None:
        """Remove nodes that run or wait in the queue, or the whole DAG."""
        (dag,) = submission.job_ids
        if cells is None:
            self._tool(["condor_rm", dag])
            return
        for part in chunks(cells, _ARGUMENTS):
            names = " || ".join(f'IbenchCell == "{cell}"' for cell in part)
            constraint = f"DAGManJobId == {dag} && ({names})"
            self._tool(["condor_rm", "-constraint", constraint])


def _write_dag(batch: Batch) -> Path:
    htcondor2, dags = _library()
    try:
        cell = htcondor2.Submit(cell_description(batch))
        finish = htcondor2.Submit(finish_description(batch))
    except ValueError as error:
        raise ClusterError(
            f"HTCondor refuses the description of a job ({error}): look at options in "
            f"params/clusters/{batch.name}.yaml"
        ) from error
    dag = dags.DAG()
    cells = [{"cell": name} for name in batch.cells]
    dag.layer(name="cell", submit_description=cell, vars=cells)
    # A final node runs whatever became of the others: it says what is missing. The
    # writer writes the descriptions of layers only.
    path = batch.write("finish.sub", [f"{finish}queue"])
    dag.final(name="finish", submit_description=path)
    return Path(dags.write_dag(dag, batch.folder, dag_file_name=_DAG))


def cell_description(batch: Batch) -> dict[str, str]:
    """Describe the job of one cell; ``$(cell)`` comes from the DAG."""
    forgotten = f"JobStatus == 5 && time() - EnteredCurrentStatus > {HELD_S}"
    released = f"HoldReasonCode == {_POLICY_HOLD} && HoldReasonSubCode == {PREEMPTED}"
    return {
        **_common(batch, "cell", "$(ClusterId)"),
        "arguments": "$(cell) $(ClusterId).$(ProcId)",
        "request_gpus": str(batch.cluster.gpus),
        # Preempted: hold keeps it, release lets it start again elsewhere.
        "on_exit_hold": f"ExitCode =?= {PREEMPTED}",
        "on_exit_hold_reason": '"preempted: saved and to be continued"',
        "on_exit_hold_subcode": str(PREEMPTED),
        "periodic_release": f"{released} && NumHolds <= {MAX_RELEASES}",
        # What nobody released in a day would keep the last node waiting for ever.
        "periodic_remove": forgotten,
        # The machine failed: try again. The job itself counts and stops asking.
        "max_retries": str(MAX_RETRIES),
        "retry_until": f"ExitCode =!= {RETRY}",
        "my.IbenchCell": '"$(cell)"',
        **_options(batch),
    }


def finish_description(batch: Batch) -> dict[str, str]:
    """Describe the last job: no GPU."""
    return _common(batch, "finish", "finish") | _options(batch)


def _common(batch: Batch, verb: str, log: str) -> dict[str, str]:
    cluster = batch.cluster
    described = {
        "universe": "vanilla",
        "executable": str(batch.script(verb)),
        "initialdir": str(batch.home),
        "getenv": "False",
        "should_transfer_files": "NO",
        "request_cpus": str(cluster.cpus),
        "request_memory": f"{cluster.memory_mib}MB",
        "allowed_execute_duration": str(cluster.time_limit_s),
        "output": str(batch.logs / f"{log}.log"),
        "error": str(batch.logs / f"{log}.log"),
        "log": str(batch.logs / "condor.log"),
    }
    if cluster.account:
        described["accounting_group"] = cluster.account
    return described


def _options(batch: Batch) -> dict[str, str]:
    pairs = [option.partition("=") for option in batch.cluster.options]
    return {key.strip(): value.strip() for key, _, value in pairs}


def _library() -> tuple[ModuleType, Any]:
    try:
        import htcondor2  # noqa: PLC0415 (22 MB that only this scheduler needs)
        from htcondor2 import dags  # noqa: PLC0415
    except ImportError as error:
        raise ClusterError(
            "htcondor2: not installed: pip install htcondor==25.14.1"
        ) from error
    return htcondor2, dags
