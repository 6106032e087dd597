"""The notebooks to explore, in JupyterLab, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from ibench import REPOSITORY
from tests.browser.conftest import Open

pytestmark = [
    pytest.mark.xdist_group("jupyterlab"),
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.timeout(180),
]


@pytest.mark.parametrize("runs", [True, False], ids=["records", "published"])
def test_the_budget_slider_moves_the_plotted_value(
    open_notebook: Open, *, runs: bool
) -> None:
    book = open_notebook("time_budget", runs=runs)
    text, picture = book.values.inner_text(), book.shot()
    assert ("One run, cut at 1 h" in text) is runs
    assert "Real runs (paper, Figure 2)" in text
    slider = book.page.get_by_role("slider")
    slider.focus()
    slider.press("End")
    last = "2 h" if runs else "8 h"
    expect(book.page.locator(".widget-readout")).to_have_text(last)
    after = book.wait_for_change(text)
    assert f"(given {last})" in after
    numbers = [re.findall(r"[0-9.]+x", t) for t in (text, after)]
    assert numbers[0] != numbers[1]
    book.wait_for_picture(picture)
    assert book.errors() == []


def test_tau_floor_and_judge_move_the_outcomes(open_notebook: Open) -> None:
    book = open_notebook("threshold", runs=True)
    usual, picture = book.values.inner_text(), book.shot()
    assert "ok 8, quality 16." in usual
    slider = book.page.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    loose = book.wait_for_change(usual)
    assert "ok 24." in loose
    book.wait_for_picture(picture)
    book.page.get_by_label("judge on").check()
    assert "incomplete 24." in book.wait_for_change(loose)
    assert book.errors() == []


def test_a_click_on_a_run_shows_its_requests(open_notebook: Open) -> None:
    book = open_notebook("runs", runs=True)
    text, picture = book.values.inner_text(), book.shot()
    rows = book.page.locator(".dt-scroll-body tbody tr")
    expect(rows).to_have_count(8)
    rows.nth(2).click()
    clicked = book.wait_for_change(text)
    assert clicked.startswith("m02, scenario A")
    book.wait_for_picture(picture)
    # Filtered to one method, the first row is another run than the first of all.
    book.page.get_by_label("Search:").fill("m01")
    expect(rows.first).to_contain_text("m01")
    rows.first.click()
    assert book.wait_for_change(clicked).startswith("m01, scenario A")
    assert book.errors() == []


def test_boards_are_compared_by_scenario(open_notebook: Open) -> None:
    book = open_notebook("compare", runs=False)
    text, picture = book.values.inner_text(), book.shot()
    assert text.startswith("Aggregate over A, B, C, D: paper, Table 2 and site, June")
    book.page.get_by_role("button", name="C", exact=True).click()
    changed = book.wait_for_change(text)
    assert changed.startswith("C high-load")
    book.page.get_by_label("against").select_option("site, September 2026")
    assert "site, September 2026" in book.wait_for_change(changed)
    book.wait_for_picture(picture)
    assert book.errors() == []


def test_the_checkout_is_not_what_was_run() -> None:
    for path in (REPOSITORY / "notebooks" / "explore").glob("*.ipynb"):
        assert '"outputs": []' in path.read_text()
        assert 'execution_count": 1' not in path.read_text()
