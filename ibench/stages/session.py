"""Stage 2 by an agent: a session in a sandbox under the budget clock."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from pydantic import JsonValue

from ibench.agents.access import Access, resolve_access
from ibench.agents.continuation import needs_a_person
from ibench.agents.driver import Driver, ScriptDriver
from ibench.agents.evaluator import EvaluatorConfig
from ibench.agents.harbor import HarborDriver
from ibench.agents.install import find
from ibench.agents.places import Places
from ibench.agents.saved import Saved
from ibench.agents.saving import save_session
from ibench.agents.session import Session, run_session
from ibench.agents.workspace import (
    build_workspace,
    evaluator_hashes,
    take_submission,
)
from ibench.data.snapshot import Snapshot, changed_files, hashes, take_snapshot
from ibench.errors import AccessError, InfrastructureError, PreemptedError
from ibench.params import Agent, AgentMethod
from ibench.records import Evaluation, Submission
from ibench.serving.launch import LAUNCHER
from ibench.serving.processes import free_port
from ibench.serving.sandbox import PROCESS_GROUP_WARNING, Sandbox, SandboxKind
from ibench.stages.folder import submission
from ibench.stages.preemption import preemptible
from ibench.stages.task import task_text, warm_start
from ibench.status import STOP
from ibench.store import file_sha256
from ibench.workbench import OpenJob

__all__ = ["session_submission"]

STATE, BEFORE, MODEL = "session.json", "before.json", "$MODEL_PATH"


def session_submission(job: OpenJob, method: AgentMethod, target: Path) -> Submission:
    """Run an agent under the budget clock and take its workspace's launcher.

    A session that was preempted, or stopped by its provider, lies in ``.work`` and goes
    on where it was, with its clock where it stood.

    Raises:
        ParameterError: a program or a key of the agent is missing.
        AccessError: its provider says no, and waiting cannot help.
        InfrastructureError: its provider says no, for now.
        PreemptedError: the machine was wanted for something else.
    """
    study, budget = job.study, job.study.budget
    agent = study.method_agent(method)
    source = str(study.params / "agents" / f"{agent.name}.yaml")
    access = resolve_access(agent, os.environ, source)
    root = study.root / ".work" / job.job.run_id[:12]
    saved = _earlier_life(root)
    if saved is None:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(mode=0o700, parents=True)  # until the end it may hold a login
        _lay_out(job, method, root)
    places, base = Places.below(root), job.assets.checked_model()
    kind, driver = _driver(job, agent, access, places, source)
    left_s = budget.agent_s - (saved.used_s if saved else 0.0)
    job.status.phase("agent session", left_s)
    stop = job.folder / STOP
    stop.unlink(missing_ok=True)
    with preemptible(job.folder) as preempted:
        session = run_session(
            driver,
            root / "workspace",
            (root / "workspace" / "task.md").read_text(),
            budget_s=budget.agent_s,
            grace_s=budget.grace_s,
            rules=agent.continuation,
            saved=saved,
            preempted=preempted,
            stopped=stop.exists,
            keep=lambda state: state.write(root / STATE),
        )
    facts: dict[str, JsonValue] = {
        "scenario": job.cell.scenario,
        "seeds": job.seeds.label,
        "budget_s": budget.agent_s,
        "used_s": session.used_s,
    }
    changed = _changed_base(job.assets.model_dir, base)
    redacted = save_session(
        root,
        job.folder,
        access.values,
        facts=facts,
        over=session.is_over,
        keep=job.keep,
    )
    if not session.is_over:
        session.state.write(root / STATE)
        raise _unfinished(job, session)
    return _take(job, session, root, target, (kind, redacted), changed)


def _earlier_life(root: Path) -> Saved | None:
    saved = Saved.read(root / STATE)
    return saved if (root / "workspace").is_dir() else None


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
    job: OpenJob, agent: Agent, access: Access, places: Places, source: str
) -> tuple[SandboxKind, Driver]:
    kind, house = job.sandbox()
    sandbox = Sandbox(
        workdir=places.home.parent / "workspace",
        read_only=(job.assets.model_dir,),
        env={
            "HOST": "127.0.0.1",
            "PORT": str(free_port()),
            "MODEL_PATH": str(job.assets.model_dir),
            "MODEL_ID": job.study.model.model_id,
        },
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


def _lay_out(job: OpenJob, method: AgentMethod, root: Path) -> None:
    study, scenario = job.study, job.scenario.workload
    seed, measure = job.seeds.development, study.profile.measure
    config = EvaluatorConfig(
        scenario=scenario,
        measure=measure,
        development_seed=seed,
        quick_requests=study.budget.trial_requests,
        question_concurrency=study.profile.questions.concurrency,
        model_dir=str(job.assets.model_dir),
        model_id=study.model.model_id,
    )
    workspace = root / "workspace"
    hashes = build_workspace(
        workspace,
        config,
        job.assets.requests(scenario, seed, "dev"),
        job.assets.requests(scenario, seed, "warmup", measure.warmup_requests),
        job.assets.questions("dev"),
        task_text(job, method),
    )
    warm_start(job, method, workspace)
    # A stub that was never touched is no launcher; a working one that was not, is.
    is_stub = method.warm_engine is None
    hashes[LAUNCHER] = file_sha256(workspace / LAUNCHER) if is_stub else ""
    (root / BEFORE).write_text(json.dumps(hashes))


def _take(
    job: OpenJob,
    session: Session,
    root: Path,
    target: Path,
    found: tuple[SandboxKind, list[str]],
    changed_base: dict[str, str],
) -> Submission:
    """Save workspace and submission; read the evaluations the agent ran."""
    kind, warnings = found[0], [*session.warnings, *found[1]]
    if (job.folder / STOP).exists():
        left_s = job.study.budget.agent_s - session.used_s
        warnings.append(f"stopped by a person with {left_s:.0f} s left")
    if kind == "process_group":
        warnings.append(PROCESS_GROUP_WARNING)
    workspace = root / "workspace"
    before = json.loads((root / BEFORE).read_text())
    stub = before.pop(LAUNCHER)
    warnings += take_submission(workspace, target)
    after = evaluator_hashes(workspace)
    evaluations, broken = _evaluations(workspace / "evaluations.jsonl")
    warnings += broken
    shutil.rmtree(job.folder / "workspace", ignore_errors=True)
    shutil.move(workspace, job.folder / "workspace")
    shutil.rmtree(root)
    job.save("evaluations", evaluations)
    launcher = target / LAUNCHER
    shipped = file_sha256(launcher) if launcher.is_file() else None
    full = [e for e in evaluations if e.objective is not None and not e.quick]
    of_shipped = [e for e in full if e.launcher_sha256 == shipped]
    usage, state = session.usage, session.state
    return submission(
        job,
        target,
        outcome="no_launcher" if shipped in (None, stub) else session.outcome,
        budget_s=job.study.budget.agent_s,
        used_s=session.used_s,
        sandbox=kind,
        warnings=tuple(warnings),
        evaluations=evaluations,
        evaluator_changed=changed_files(before, after) | changed_base,
        best_seen=max((e.objective or 0.0 for e in full), default=None),
        shipped=of_shipped[-1].objective if of_shipped else None,
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


def _changed_base(model_dir: Path, before: Snapshot) -> dict[str, str]:
    """Files of the base model that changed while the session ran."""
    after = take_snapshot(model_dir, before)
    changed = changed_files(hashes(before), hashes(after))
    return {f"{MODEL}/{name}": sha256 for name, sha256 in changed.items()}


def _evaluations(path: Path) -> tuple[tuple[Evaluation, ...], list[str]]:
    """Read the agent's evaluation log; a broken line is a warning, not an end."""
    rows, broken = [], []
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(Evaluation.model_validate_json(line, strict=True))
        except ValueError:
            broken.append(f"evaluations.jsonl line {number} is not an evaluation")
    return tuple(rows), broken
