"""Stage 2 by an agent: a session in a sandbox under the budget clock."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ibench.errors import AccessError, InfrastructureError, PreemptedError
from ibench.methods.agents.access import Access, resolve_access
from ibench.methods.agents.continuation import needs_a_person
from ibench.methods.agents.driver import Driver, ScriptDriver
from ibench.methods.agents.harbor import HarborDriver
from ibench.methods.agents.install import find
from ibench.methods.agents.links import own_path, remove, reopen, shown
from ibench.methods.agents.places import Places
from ibench.methods.agents.preemption import preemptible
from ibench.methods.agents.saved import Ended, Saved
from ibench.methods.agents.saving import save_session
from ibench.methods.agents.server_workspace import ServerWorkspace
from ibench.methods.agents.session import Session, run_session
from ibench.methods.agents.session_end import BEFORE, ENDED, take_session
from ibench.methods.agents.workspace import Workspace
from ibench.params import Agent, AgentMethod
from ibench.records import Submission
from ibench.serving.sandbox import PROCESS_GROUP_WARNING, Sandbox, SandboxKind
from ibench.study.job import OpenJob
from ibench.study.live import sandbox_of
from ibench.study.progress import STOP
from ibench.workloads.hub.snapshot import Snapshot, changed_files, hashes, take_snapshot

__all__ = ["session_submission"]

STATE, TASK, MODEL = "session.json", "task.md", "$MODEL_PATH"


def session_submission(job: OpenJob, method: AgentMethod, target: Path) -> Submission:
    """Run an agent under the budget clock and take its workspace's launcher.

    A session that was preempted, or stopped by its provider, lies in ``.work`` and goes
    on where it was, with its clock where it stood. One that is over and has no record
    lies there too, and is finished without its agent.

    Raises:
        ParameterError: a program or a key of the agent is missing.
        AccessError: its provider says no, and waiting cannot help.
        InfrastructureError: its provider says no, for now.
        PreemptedError: the machine was wanted for something else.
    """
    agent = job.study.method_agent(method)
    source = str(job.study.params / "agents" / f"{agent.name}.yaml")
    access = resolve_access(agent, os.environ, source)
    root = job.study.root / ".work" / job.job.run_id[:12]
    workspace = ServerWorkspace(job, method)
    ended = Ended.read(root / ENDED) if (root / "workspace").is_dir() else None
    if ended is None:
        ended = _live(job, method, workspace, access, root, source)
    return take_session(job, workspace, ended, access.values, root, target)


def _live(
    job: OpenJob,
    method: AgentMethod,
    workspace: Workspace,
    access: Access,
    root: Path,
    source: str,
) -> Ended:
    """Run the session, or go on with it, until it is over."""
    budget, agent = job.study.budget, job.study.method_agent(method)
    saved = _earlier_life(root)
    if saved is None:
        remove(root)
        root.mkdir(mode=0o700, parents=True)  # until the end it may hold a login
        _lay_out(workspace, root)
    else:
        reopen(root)
    places, base = Places.below(root), job.assets.checked_model()
    kind, driver = _driver(job, workspace, agent, access, places, source)
    left_s = budget.agent_s - (saved.used_s if saved else 0.0)
    job.status.phase("agent session", left_s)
    stop = job.folder / STOP
    stop.unlink(missing_ok=True)
    with preemptible(job.folder) as preempted:
        session = run_session(
            driver,
            root / "workspace",
            _task(workspace, root),
            budget_s=budget.agent_s,
            grace_s=budget.grace_s,
            rules=agent.continuation,
            remind=workspace.reminder,
            saved=saved,
            preempted=preempted,
            stopped=stop.exists,
            keep=lambda state: state.write(root / STATE),
        )
        own_path(root, "workspace").mkdir(exist_ok=True)
        # First of all: whatever ends this process now, the agent has had its time.
        ended = _ended(job, session, kind, base) if session.is_over else None
        if ended is not None:
            ended.write(root / ENDED)
            return ended
        session.state.write(root / STATE)
    reopen(root)
    save_session(root, job.folder, access.values, facts={}, over=False, keep=job.keep)
    raise _unfinished(job, session)


def _earlier_life(root: Path) -> Saved | None:
    saved = Saved.read(root / STATE)
    return saved if (root / "workspace").is_dir() else None


def _lay_out(workspace: Workspace, root: Path) -> None:
    task = workspace.task()
    (root / TASK).write_text(task)
    before = workspace.lay_out(root / "workspace", task)
    (root / BEFORE).write_text(json.dumps(before))


def _task(workspace: Workspace, root: Path) -> str:
    """Read what the agent was told first; what lies in its workspace is its own."""
    path = root / TASK
    return path.read_text() if path.is_file() else workspace.task()


def _ended(job: OpenJob, session: Session, kind: SandboxKind, base: Snapshot) -> Ended:
    warnings, usage, state = [*session.warnings], session.usage, session.state
    if (job.folder / STOP).exists():
        left_s = job.study.budget.agent_s - session.used_s
        warnings.append(f"stopped by a person with {left_s:.0f} s left")
    if kind == "process_group":
        warnings.append(PROCESS_GROUP_WARNING)
    return Ended(
        outcome=session.outcome,
        used_s=session.used_s,
        sandbox=kind,
        warnings=tuple(map(shown, warnings)),
        evaluator_changed=_changed_base(job.assets.model_dir, base),
        exit_code=session.exit_code,
        turns=state.turns,
        resumes=state.resumes,
        preemptions=state.preemptions,
        pauses=state.pauses,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
    )


def _unfinished(job: OpenJob, session: Session) -> Exception:
    left_s = job.study.budget.agent_s - session.state.used_s
    text = f"{session.outcome} with {left_s:.0f} s of budget left"
    if session.outcome == "preempted":
        return PreemptedError(f"{text}; run it again to go on")
    detail = " ".join(session.detail.split())[:300]
    text = f"{text}; run it again to go on: {detail}"
    last = session.last
    if last is not None and needs_a_person(last):
        return AccessError(text)
    return InfrastructureError(text)


def _driver(
    job: OpenJob,
    workspace: Workspace,
    agent: Agent,
    access: Access,
    places: Places,
    source: str,
) -> tuple[SandboxKind, Driver]:
    kind, house = sandbox_of(job)
    sandbox = Sandbox(
        workdir=places.home.parent / "workspace",
        read_only=(job.assets.model_dir,),
        fixed=workspace.fixed,
        env=workspace.environment(),
        network=agent.network,
        **house.model_dump(),
    )
    if agent.harbor is None:
        return kind, ScriptDriver(agent.argv, sandbox, kind, places.transcript)
    installed = find(agent, job.assets.cache / "agents", source)
    name = job.job.run_id[:12]
    return kind, HarborDriver(
        agent.harbor, installed, access, sandbox, kind, places, name
    )


def _changed_base(model_dir: Path, before: Snapshot) -> dict[str, str]:
    """Files of the base model that changed while the session ran."""
    after = take_snapshot(model_dir, before)
    changed = changed_files(hashes(before), hashes(after))
    return {f"{MODEL}/{name}": sha256 for name, sha256 in changed.items()}
