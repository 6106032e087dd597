"""What a study will cost before it runs: cells, hours and dollars by stage.

A stage that has finished costs nothing more, and what it took is known: others of the
same stage, scenario and method are taken to last as long. Where nothing was measured
yet, times come from ``params/costs/<host>.yaml``, each number with its source.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import fmean
from typing import NamedTuple, TypeAlias

from ibench.params import Pairing, Scenario
from ibench.params.costs import Costs
from ibench.params.files import load_yaml, named
from ibench.store import read_head
from ibench.study.definition import Job, Study
from ibench.terminal import Part, Table

__all__ = ["Plan", "make_plan", "plan_parts", "stage_s"]

_HOUR_S = 3600.0
_STAGES = ("baseline", "submission", "relaunch", "gating", "aggregation")
_JUDGING_S = 5.0  # no server: seconds on any machine
Hours: TypeAlias = defaultdict[str, float]
_HOW = (
    "Hours of finished stages are measured, and so is what is left of the same stage, "
    "scenario and method. Else submissions take their budgets; baselines and "
    "relaunches take their requests and questions at the pace of a known baseline over "
    "the speedup that methods of that kind had, phase after phase, outputs as long as "
    "asked, at most the stage's limit; judging takes seconds."
)


class Plan(NamedTuple):
    """What is there and what is left; times in seconds by stage or by scenario."""

    costs_name: str
    costs: Costs
    jobs: Counter[str]
    done: Counter[str]
    spent_s: Hours
    left_s: Hours
    scenario_s: Hours
    by_measured: int


def make_plan(study: Study, costs: str | None = None) -> Plan:
    """Estimate every job of a study.

    Args:
        study: the profile.
        costs: name of a file in ``params/costs``; by default the host's.

    Raises:
        ParameterError: no such file, or one that is not valid.
        CorruptResultError: a finished stage is not what its record says.
    """
    name = costs or study.host.name
    prices = load_yaml(Costs, named(study.params / "costs", name))
    jobs, done = Counter[str](), Counter[str]()
    spent_s: Hours = defaultdict(float)
    left_s: Hours = defaultdict(float)
    scenario_s: Hours = defaultdict(float)
    took_s: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    left: list[Job] = []
    for job in study.jobs.values():
        jobs[job.stage] += 1
        wall_s = _took_s(job)
        if wall_s is None:
            left.append(job)
            continue
        took_s[_kind(job)].append(wall_s)
        done[job.stage] += 1
        spent_s[job.stage] += wall_s
    for job in left:
        known = took_s.get(_kind(job))
        needed_s = fmean(known) if known else stage_s(study, job, prices)
        left_s[job.stage] += needed_s
        scenario_s[_kind(job)[1]] += needed_s
    by_measured = sum(_kind(job) in took_s for job in left)
    return Plan(
        name, prices, jobs, done, spent_s, left_s, scenario_s, by_measured=by_measured
    )


def _took_s(job: Job) -> float | None:
    """Wall time of a finished job; None of one whose parameters have changed."""
    found = read_head(job.folder)
    return found.wall_s if found and found.run_id == job.run_id else None


def _kind(job: Job) -> tuple[str, str, str]:
    if job.cell is None:
        return (job.stage, "-", "-")
    return (job.stage, job.cell.scenario, job.cell.method)


def stage_s(study: Study, job: Job, costs: Costs) -> float:
    """Estimated wall time of one job, seconds; never above its own limit."""
    if job.cell is None or job.stage == "gating":
        return _JUDGING_S
    scenario = study.scenarios[job.cell.scenario]
    budget = study.budget
    if job.stage == "submission":
        kind = study.method(job.cell.method).kind
        budgets = {"agent": budget.agent_s, "search": budget.search_s}
        return budgets.get(kind, 0.0)
    questions = study.profile.questions
    asking_s = questions.n * costs.question_s / questions.concurrency
    baseline_s = _load_s(scenario, study.profile.measure.warmup_requests, costs)
    if job.stage == "baseline":
        lives_s = study.profile.baseline_repeats * (costs.launch_s + baseline_s)
        return min(lives_s + asking_s, job.limit_s)
    if job.stage == "relaunch":
        kind = study.method(job.cell.method).kind
        # The control is the baseline itself.
        known = {"b": 1.0} if kind == "control" else costs.speedup[kind]
        # A scenario that nobody has measured is no faster than the slowest known.
        load_s = baseline_s / known.get(scenario.id, min(known.values()))
        asking_s /= max(1.0, known["b"])
        lives_s = _lives_s(study.profile.pairing, load_s, baseline_s, costs.launch_s)
        return min(lives_s + asking_s, job.limit_s)
    raise ValueError(f"stage {job.stage} has no estimate")


def _lives_s(
    pairing: Pairing, load_s: float, baseline_s: float, launch_s: float
) -> float:
    """Time of all server lives of a relaunch; two that start together start once."""
    if pairing.kind == "alternate":
        return pairing.lives * launch_s + load_s + baseline_s
    after_s = pairing.baseline_after * (launch_s + baseline_s)
    return pairing.lives * (launch_s + load_s) + after_s


def _load_s(scenario: Scenario, warmup: int, costs: Costs) -> float:
    """The baseline's time for all phases: requests one after the other.

    Mean lengths are the middle of the sampled range; an open loop cannot end before
    its last arrival.
    """
    share = (1 + scenario.range_ratio) / 2
    each_s = share * (
        scenario.input_tokens * costs.baseline_prefill_s_per_token
        + scenario.output_tokens * costs.baseline_s_per_output_token
    )
    total = warmup * each_s
    for phase in scenario.phases:
        parallel = min(phase.concurrency, costs.baseline_parallel)
        arriving_s = phase.requests / phase.rate_per_s if phase.rate_per_s else 0.0
        total += max(phase.requests * each_s / parallel, arriving_s)
    return total


def plan_parts(study: Study, plan: Plan) -> list[Part]:
    """Render a plan: what there is, hours and dollars by stage, how they were made."""
    profile, host = study.profile, study.host
    price = host.dollars_per_hour
    names = ("stage", ">jobs", ">done", ">hours spent", ">hours left", ">dollars left")
    rows = [_row(stage, plan, (stage,), price) for stage in _STAGES]
    rows.append(_row("total", plan, _STAGES, price))
    parts: list[Part] = [
        f"{profile.name}: {profile.description}",
        f"{len(list(study.cells()))} cells = {len(study.scenarios)} scenarios x "
        f"{profile.seed_pairs} seed pairs x (the baseline and {len(profile.methods)} "
        "methods)",
        f"on {host.description} at {price:.2f} dollars an hour",
        Table(names, rows),
        *_by_scenario(plan, price),
    ]
    note = f"{_HOW} Sources and assumptions: params/costs/{plan.costs_name}.yaml"
    note += f", params/hosts/{host.name}.yaml."
    if plan.costs.model != profile.model:
        note += (
            f" The pace was taken with {plan.costs.model}; this profile serves "
            f"{profile.model}, so read it as a rough guide."
        )
    return [*parts, note]


def _row(name: str, plan: Plan, stages: tuple[str, ...], price: float) -> list[str]:
    jobs, done = (sum(c[s] for s in stages) for c in (plan.jobs, plan.done))
    spent, left = (
        sum(c[s] for s in stages) / _HOUR_S for c in (plan.spent_s, plan.left_s)
    )
    hours = [f"{spent:.1f}", f"{left:.1f}", f"{left * price:.2f}"]
    return [name, str(jobs), str(done), *hours]


def _by_scenario(plan: Plan, price: float) -> list[str]:
    parts = [
        f"{name} {seconds / _HOUR_S:.1f} h ({seconds / _HOUR_S * price:.2f})"
        for name, seconds in sorted(plan.scenario_s.items())
        if name != "-"
    ]
    if not parts:
        return ["nothing is left to measure"]
    lines = [f"left by scenario (dollars): {', '.join(parts)}"]
    if plan.by_measured:
        lines.append(f"{plan.by_measured} jobs are taken to last as their like did")
    return lines
