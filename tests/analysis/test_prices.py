"""Costs of sessions: by the list, beside what the agent says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ibench import REPOSITORY
from ibench.analysis.costs import cost_paragraph, cost_table, price_sessions
from ibench.analysis.prices import Spent, session_cost
from ibench.params.prices import latest_prices
from ibench.records import Submission
from ibench.study.definition import Study

PARAMS = REPOSITORY / "params"
PRICES = latest_prices(PARAMS)
MODEL = "openai/gpt-5.4"


def _made(**facts: Any) -> Submission:
    return Submission(
        method="m",
        path="submission",
        sha256="0" * 64,
        outcome="finished",
        budget_s=7200.0,
        used_s=7200.0,
        sandbox="none",
        **facts,
    )


def test_tokens_at_list_prices_and_the_gpu_by_the_hour() -> None:
    made = _made(
        input_tokens=3_000_000,
        cached_tokens=2_000_000,
        output_tokens=100_000,
        cost_usd=4.95,
    )
    cost = session_cost(Spent.of(made), MODEL, PRICES, 1.99)
    assert cost.fresh_tokens == 1_000_000
    assert cost.list_usd == pytest.approx(2.5 + 2 * 0.25 + 0.1 * 15)
    assert cost.deviation == pytest.approx(0.1)
    # Paper, Table 12: 47.76 dollars for 12 runs of two hours.
    assert 12 * cost.gpu_usd == pytest.approx(47.76)


@pytest.mark.parametrize(
    ("facts", "model"),
    [
        ({"input_tokens": 5, "output_tokens": 5}, "openai/unheard-of"),
        ({"input_tokens": 5, "output_tokens": 5}, None),
        ({"output_tokens": 5}, MODEL),
        ({"input_tokens": 5}, MODEL),
    ],
)
def test_unknown_is_not_zero(facts: dict[str, int], model: str | None) -> None:
    cost = session_cost(Spent.of(_made(**facts)), model, PRICES, 2.0)
    assert cost.list_usd is None
    assert cost.deviation is None
    assert cost.gpu_usd == pytest.approx(4.0)


def test_a_cache_is_cheaper_than_fresh_tokens() -> None:
    assert PRICES.models
    for price in PRICES.models.values():
        assert 0 < price.cached < price.input < price.output


def _study(tmp_path: Path) -> Study:
    return Study("budget-2h", PARAMS, tmp_path)


def _used(method: str, seeds: str, **facts: Any) -> dict[str, Any]:
    spent = Spent.of(_made(**facts))._asdict()
    return {"scenario": "a", "method": method, "seeds": seeds} | spent


def test_a_table_like_the_papers(tmp_path: Path) -> None:
    tokens = {"input_tokens": 10**6, "output_tokens": 10**5, "cached_tokens": 0}
    used = pd.DataFrame(
        [
            _used("codex", "21-1337", **tokens, cost_usd=8.0),
            _used("codex", "248-428", **tokens, cost_usd=4.0),
            _used("claude-code", "21-1337", **tokens),
            _used("claude-code", "248-428"),
        ]
    )
    rows = price_sessions(_study(tmp_path), used, PRICES)
    assert rows.model.tolist()[0] == "openai/gpt-5.4"
    scores = pd.DataFrame({"method": ["codex", "claude-code"], "aggregate": [4.0, 2.0]})
    table = cost_table(rows, scores).set_index("method")
    codex = table.loc["codex"]
    assert codex.sessions == 2
    assert codex.list_usd == pytest.approx(2 * (2.5 + 1.5))
    assert codex.reported_usd == pytest.approx(12.0)
    assert codex.gpu_usd == pytest.approx(2 * 2 * 1.99)
    assert codex.usd_per_speedup == pytest.approx((8.0 + 7.96) / 4)
    # One session without tokens makes the method's dollars unknown, not smaller.
    assert pd.isna(table.loc["claude-code"].list_usd)
    assert "differ by more than 20 %" in cost_paragraph(rows, PRICES)
    assert "No agent session" in cost_paragraph(rows.head(0), PRICES)
