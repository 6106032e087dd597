"""The rules for an agent that stops early, as pure decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ibench.methods.agents.continuation import (
    INFRASTRUCTURE,
    Counts,
    Decision,
    Rules,
    Turn,
    classify,
    needs_a_person,
    time_left,
)
from ibench.params import Continuation

RULES = Continuation(
    min_left_s=30.0,
    idle_turn_s=20.0,
    idle_turns=3,
    fresh_starts=3,
    restart_pause_s=5.0,
    provider_tries=3,
    backoff_s=5.0,
)
FAILED = Turn(60.0, "NonZeroAgentExitCodeError", detail="Segmentation fault")
LIMITED = Turn(1.0, "ApiRateLimitError")
# What the agent's own server and its client print.
ACCESS = 'INFO: 127.0.0.1:53422 - "POST /v1/chat/completions HTTP/1.1"'
POOL = (
    "HTTPConnectionPool(host='127.0.0.1', port=8000): Max retries exceeded with url: "
    "/v1/models (Caused by NewConnectionError('<HTTPConnection object at 0x7f3>: "
    "Failed to establish a new connection: [Errno 111]"
)


def rules(*, resumable: bool = True) -> Rules:
    return Rules(RULES, resumable=resumable)


def test_an_agent_that_stops_early_is_resumed() -> None:
    assert rules().after(Turn(100.0), 1000.0) == Decision("resume")


def test_one_without_resume_begins_a_new_conversation() -> None:
    assert rules(resumable=False).after(Turn(100.0), 1000.0) == Decision("fresh")


def test_with_little_left_a_session_is_finished() -> None:
    assert rules().after(Turn(100.0), 29.0) == Decision("end", "finished")


def test_idle_turns_in_a_row_finish_a_session_and_work_starts_the_count_anew() -> None:
    found = rules()
    took = (1.0, 1.0, 100.0, 1.0, 1.0, 1.0)
    actions = [found.after(Turn(t), 1000.0).action for t in took]
    assert actions == ["resume"] * 5 + ["end"]


def test_failures_are_resumed_begun_anew_and_bounded() -> None:
    found = rules()
    steps = [found.after(FAILED, 1000.0) for _ in range(6)]
    assert [s.action for s in steps] == [
        "resume",
        "fresh",
        "resume",
        "fresh",
        "resume",
        "end",
    ]
    assert steps[-1].outcome == "crashed"
    assert {s.pause_s for s in steps[:-1]} == {5.0}


def test_a_failure_without_time_for_another_turn_is_the_end() -> None:
    assert rules().after(FAILED, 10.0) == Decision("end", "crashed")


def test_refusals_of_the_provider_back_off_and_are_an_outcome_of_their_own() -> None:
    found = rules()
    steps = [found.after(LIMITED, 1000.0) for _ in range(3)]
    assert [s.pause_s for s in steps] == [5.0, 10.0, 0.0]
    assert steps[-1] == Decision("end", "rate_limited")


def test_a_good_turn_forgives_the_provider() -> None:
    found = rules()
    found.after(LIMITED, 1000.0)
    found.after(Turn(100.0), 1000.0)
    assert found.after(LIMITED, 1000.0).pause_s == 5.0


def test_a_pause_longer_than_the_budget_is_not_waited_for() -> None:
    assert rules().after(LIMITED, 4.0) == Decision("end", "rate_limited")


@pytest.mark.parametrize(
    ("error", "detail", "kind"),
    [
        ("ApiRateLimitError", "", "rate_limited"),
        ("ApiUsageLimitError", "", "out_of_credit"),
        ("AgentAuthenticationError", "", "login_failed"),
        ("ModelNotFoundError", "", "no_model"),
        ("MissingCliError", "", "missing_cli"),
        ("ApiOverloadedError", "", "provider_down"),
        ("NetworkConnectionError", "", "provider_down"),
        ("AgentSafetyRefusalError", "", "refused"),
        ("UnknownApiError", '401 {"type":"authentication_error"}', "login_failed"),
        ("UnknownApiError", "Your credit balance is too low", "out_of_credit"),
        ("NonZeroAgentExitCodeError", "insufficient_quota", "out_of_credit"),
        ("NonZeroAgentExitCodeError", "OAuth token has expired", "login_failed"),
        ("NonZeroAgentExitCodeError", "Segmentation fault", "failed"),
        ("NonZeroAgentExitCodeError", "exceeded: Error code: 429 - {}", "rate_limited"),
        ("NonZeroAgentExitCodeError", "HTTP/1.1 429 slow down", "rate_limited"),
        ("NonZeroAgentExitCodeError", "last status 429", "rate_limited"),
        ("NonZeroAgentExitCodeError", '{"status_code":429}', "rate_limited"),
        ("NonZeroAgentExitCodeError", "429 Too Many Requests", "rate_limited"),
        ("NonZeroAgentExitCodeError", "tests: 429 passed, 2 failed", "failed"),
        ("NonZeroAgentExitCodeError", "0 errors, 429 tokens", "failed"),
        ("NonZeroAgentExitCodeError", "litellm.InternalServerError", "provider_down"),
        ("NonZeroAgentExitCodeError", '"type":"InternalServerError"', "failed"),
        ("NonZeroAgentExitCodeError", "ECONNREFUSED 10.0.0.7:443", "provider_down"),
        ("NonZeroAgentExitCodeError", "ECONNREFUSED 127.0.0.1:8000", "failed"),
        ("NonZeroAgentExitCodeError", f"{ACCESS} 429 Too Many Requests", "failed"),
        ("NonZeroAgentExitCodeError", f"{ACCESS} 401 Unauthorized", "failed"),
        ("NetworkConnectionError", "Connection refused", "provider_down"),
        ("NetworkConnectionError", f"{POOL} Connection refused", "failed"),
        ("NetworkConnectionError", "curl: (7) Failed: localhost port 80", "failed"),
        ("InfrastructureError", "Harbor's worker has ended", "driver_lost"),
    ],
)
def test_what_ended_a_turn_has_a_name(error: str, detail: str, kind: str) -> None:
    turn = Turn(1.0, error, ("ApiError",) if "Api" in error else (), detail)
    assert classify(turn) == kind
    waiting_helps = kind in ("rate_limited", "provider_down", "driver_lost")
    assert needs_a_person(turn) == (kind in INFRASTRUCTURE and not waiting_helps)


def test_a_refusal_of_a_provider_on_this_host_is_the_providers() -> None:
    told = "error sending request for url (http://127.0.0.1:4000/v1/responses)"
    here = Turn(1.0, "NonZeroAgentExitCodeError", detail=told)
    assert classify(here) == "failed"
    assert classify(replace(here, provider=("127.0.0.1:4000",))) == "provider_down"
    assert classify(replace(here, provider=("127.0.0.1:4001",))) == "failed"


def test_one_refusal_of_the_provider_counts_among_many_of_the_agents_server() -> None:
    own = "x" * 100 + " ECONNREFUSED 127.0.0.1:8000 " + "x" * 300
    detail = f"{own} stream disconnected before completion {own}"
    turn = Turn(1.0, "NonZeroAgentExitCodeError", detail=detail)
    assert classify(turn) == "provider_down"


def test_an_event_of_its_own_is_not_read_with_what_stands_before_it() -> None:
    told = '{"type":"error","message":"stream disconnected before completion"}'
    detail = f'curl http://127.0.0.1:8000/health"}} {told}'
    turn = Turn(1.0, "NonZeroAgentExitCodeError", detail=detail)
    assert classify(turn) == "provider_down"


def test_what_the_task_says_is_no_evidence() -> None:
    task = "Command failed (exit 1): codex exec 'serve at 127.0.0.1, no HTTP 429'"
    turn = Turn(1.0, "NonZeroAgentExitCodeError", detail=f"{task} stdout: x stderr: y")
    assert classify(turn) == "failed"
    detail = f"{task} stdout: ECONNREFUSED stderr: None"
    assert classify(replace(turn, detail=detail)) == "provider_down"


def test_counts_are_taken_up_by_the_next_life() -> None:
    first = rules()
    first.after(Turn(1.0), 1000.0)
    first.after(Turn(1.0), 1000.0)
    second = Rules(RULES, resumable=True, counts=first.counts)
    assert second.after(Turn(1.0), 1000.0) == Decision("end", "finished")
    third = rules()
    for _ in range(3):
        third.after(FAILED, 1000.0)
    assert third.counts == Counts(fresh_starts=2, failures=3)
    third.after(LIMITED, 1000.0)
    fourth = Rules(RULES, resumable=True, counts=third.counts)
    assert fourth.after(LIMITED, 1000.0).pause_s == 10.0


def test_an_unknown_answer_of_the_provider_is_not_the_agents_crash() -> None:
    assert classify(Turn(1.0, "UnknownApiError", ("ApiError",))) == "provider_down"


def test_the_text_states_what_is_left() -> None:
    assert "61 minutes 5 seconds" in time_left(3665.9)
