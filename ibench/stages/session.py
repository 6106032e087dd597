"""Stage 2 by an agent: a session in a sandbox under the budget clock."""

from __future__ import annotations

import shutil
from pathlib import Path

from ibench.agents.evaluator import EvaluatorConfig
from ibench.agents.session import Session, run_session
from ibench.agents.workspace import (
    build_workspace,
    evaluator_hashes,
    render_prompt,
    take_submission,
)
from ibench.params import AgentMethod
from ibench.records import Evaluation, Submission
from ibench.serving.launch import LAUNCHER
from ibench.serving.processes import free_port
from ibench.serving.sandbox import detect
from ibench.stages.folder import submission
from ibench.store import file_sha256
from ibench.workbench import OpenJob

__all__ = ["session_submission"]

INSTALLED = (
    "Python with torch and transformers (`transformers serve`), and the baseline's "
    "server (`python -m ibench.serving.reference`)"
)


def session_submission(job: OpenJob, method: AgentMethod, target: Path) -> Submission:
    """Run an agent under the budget clock and take its workspace's launcher."""
    study, budget = job.study, job.study.budget
    agent = study.agent(method.agent)
    workspace = study.root / ".work" / job.job.run_id[:12]
    shutil.rmtree(workspace, ignore_errors=True)
    before = _lay_out(job, method, workspace)
    stub = file_sha256(workspace / LAUNCHER)
    job.status.phase("agent session", budget.agent_s)
    session = run_session(
        agent.argv,
        workspace,
        budget_s=budget.agent_s,
        grace_s=budget.grace_s,
        kind=detect(),
        env={
            "HOST": "127.0.0.1",
            "PORT": str(free_port()),
            "MODEL_PATH": str(job.assets.model_dir),
            "MODEL_ID": study.model.model_id,
        },
        read_only=(job.assets.model_dir,),
        network=agent.network,
        transcript=job.folder / "transcript.log",
    )
    job.keep("transcript.log")
    return _take(job, session, workspace, target, before, stub)


def _lay_out(job: OpenJob, method: AgentMethod, workspace: Path) -> dict[str, str]:
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
    values = {
        "model_id": study.model.model_id,
        "scenario_name": scenario.name,
        "mission": scenario.mission,
        "budget": f"{study.budget.agent_s:g} seconds",
        "installed": INSTALLED,
    }
    task = render_prompt(study.prompt(method.prompt), values, method.prompt)
    return build_workspace(
        workspace,
        config,
        job.assets.requests(scenario, seed, "dev"),
        job.assets.requests(scenario, seed, "warmup", measure.warmup_requests),
        job.assets.questions("dev"),
        task,
    )


def _take(
    job: OpenJob,
    session: Session,
    workspace: Path,
    target: Path,
    before: dict[str, str],
    stub: str,
) -> Submission:
    """Save workspace and submission; read the evaluations the agent ran."""
    warnings = list(session.warnings) + take_submission(workspace, target)
    after = evaluator_hashes(workspace)
    evaluations, broken = _evaluations(workspace / "evaluations.jsonl")
    warnings += broken
    shutil.rmtree(job.folder / "workspace", ignore_errors=True)
    shutil.move(workspace, job.folder / "workspace")
    job.save("evaluations", evaluations)
    launcher = target / LAUNCHER
    shipped = file_sha256(launcher) if launcher.is_file() else None
    full = [e for e in evaluations if e.objective is not None and not e.quick]
    of_shipped = [e for e in full if e.launcher_sha256 == shipped]
    return submission(
        job,
        target,
        outcome="no_launcher" if shipped in (None, stub) else session.outcome,
        budget_s=job.study.budget.agent_s,
        used_s=session.used_s,
        sandbox=detect(),
        warnings=tuple(warnings),
        evaluations=evaluations,
        evaluator_changed={k: v for k, v in after.items() if before[k] != v},
        best_seen=max((e.objective or 0.0 for e in full), default=None),
        shipped=of_shipped[-1].objective if of_shipped else None,
        exit_code=session.exit_code,
    )


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
