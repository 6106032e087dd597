"""The rules for an agent that stops early, as pure decisions."""

from __future__ import annotations

import pytest

from ibench.agents.continuation import (
    INFRASTRUCTURE,
    Decision,
    Rules,
    Turn,
    classify,
    continuation_text,
    needs_a_person,
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
    ],
)
def test_what_ended_a_turn_has_a_name(error: str, detail: str, kind: str) -> None:
    turn = Turn(1.0, error, ("ApiError",) if "Api" in error else (), detail)
    assert classify(turn) == kind
    waiting_helps = kind in ("rate_limited", "provider_down")
    assert needs_a_person(turn) == (kind in INFRASTRUCTURE and not waiting_helps)


def test_an_unknown_answer_of_the_provider_is_not_the_agents_crash() -> None:
    assert classify(Turn(1.0, "UnknownApiError", ("ApiError",))) == "provider_down"


def test_the_text_states_what_is_left() -> None:
    assert "61 minutes 5 seconds" in continuation_text(3665.9)
