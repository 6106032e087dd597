"""The panel of agent sessions, in JupyterLab, over a session that really runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from ibench.records import Submission
from ibench.store import load_record
from tests.analysis.explore.talking import CELL, KEY, MARKUP, begun, talking_study
from tests.browser.conftest import SIZE, set_parameters
from tests.browser.lab import Lab, Notebook

pytestmark = [
    pytest.mark.xdist_group("jupyterlab"),
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.timeout(180),
]


def test_a_running_session_is_followed_and_ended_by_two_clicks(
    lab: Lab, chromium: Browser, model_dir: Path, tmp_path: Path
) -> None:
    study = talking_study(model_dir, tmp_path)
    values = {"params": str(study.params), "results": str(study.results)}
    path = lab.root / "notebooks" / "explore" / "sessions.ipynb"
    set_parameters(path, {"profile": "smoke", **values})
    book = Notebook(lab, chromium.new_page(viewport=SIZE), "sessions")  # type: ignore[arg-type]
    page = book.page
    head, card = page.locator(".ibench-sessions-head"), page.locator(".ibench-session")
    with begun(study) as child:
        book.open()
        book.run_all()
        # Nothing is clicked: the panel finds the session and follows it by itself.
        expect(card.locator(".phase")).to_have_text("agent session", timeout=60_000)
        expect(card.locator("pre")).to_contain_text("waiting", timeout=20_000)
        expect(card).to_contain_text("3.5")
        assert MARKUP in card.locator("pre").inner_text()
        assert KEY not in page.content()
        left = card.locator(".left").inner_text()
        assert left.endswith("left of 1:40")
        expect(card.locator(".left")).not_to_have_text(left, timeout=10_000)
        # Run again, it is one panel in one output, and the kernel is free meanwhile.
        book.run_all()
        prompt = page.locator(".jp-CodeCell .jp-InputPrompt").last
        expect(prompt).to_have_text("[4]:")
        expect(card).to_have_count(1)
        expect(page.locator(".jp-OutputArea-output")).to_have_count(1)

        end = page.get_by_role("button", name="end this session")
        end.click()
        page.wait_for_timeout(700)  # a double click is no second click
        page.get_by_role("button", name="click again to end it").click()
        expect(card.locator(".phase")).to_have_text("finished", timeout=30_000)
        expect(head).to_contain_text("1 over")
        assert child.wait(30) == 0
    assert book.errors() == []
    expect(page.locator(".jp-OutputArea-output")).to_have_count(1)
    book.close()
    made = load_record(study.job(f"{CELL}/submission").folder).result
    assert isinstance(made, Submission)
    assert any("stopped by a person" in w for w in made.warnings)
