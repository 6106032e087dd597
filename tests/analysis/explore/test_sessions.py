"""The panel of sessions over one that really runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ibench.analysis.explore import panels
from ibench.analysis.explore.panels import CONFIRM, END, SessionsPanel, sessions_panel
from ibench.analysis.explore.sessions import SHOWN, SecondClick, cards_html, headline
from ibench.methods.agents.watch import View
from ibench.records import Submission
from ibench.store import load_record
from ibench.study.definition import Study
from tests.analysis.explore.talking import BUDGET_S, CELL, KEY, begun, talking_study

RUNNING = View(
    CELL, "running", "agent session", 25.0, 2, 3.5, ("<script>x</script>",), 1234, 0.5
)


@pytest.fixture
def study(model_dir: Path, tmp_path: Path) -> Study:
    return talking_study(model_dir, tmp_path)


def test_a_card_holds_everything_and_no_markup_of_the_agents() -> None:
    card = cards_html([RUNNING], 100.0)
    for text in ("agent session", "0:25 left of 1:40", "width: 25.0%", ">2<", ">3.5<",
                 ">1,234<", ">0.50<", "&lt;script&gt;x&lt;/script&gt;"):  # fmt: skip
        assert text in card
    assert "<script>" not in card


def test_what_is_not_known_is_said_so() -> None:
    bare = RUNNING._replace(best=None, tokens=None, usd=None, left_s=None, tail=())
    card = cards_html([bare], 100.0)
    assert card.count("unknown") == 2
    assert ">none<" in card
    assert "left of" not in card
    assert "<pre>" not in card


def test_many_sessions_end_in_a_line() -> None:
    html = cards_html([RUNNING] * (SHOWN + 3), 100.0)
    assert html.count('"cell"') == SHOWN
    assert "and 3 more" in html


def test_the_headline_counts_or_says_how_to_begin(study: Study) -> None:
    over = RUNNING._replace(state="over")
    assert headline(study, [RUNNING, over, over]).endswith(": 1 running, 2 over.")
    none = headline(study, [])
    assert "has begun" in none
    assert "make reproduce PROFILE=smoke" in none
    params = study.params
    path = params / "profiles" / "smoke.yaml"
    text = path.read_text().replace("kind: agent", "kind: default")
    text = text.replace("agent: talker", "engine: transformers-serve")
    path.write_text(text.replace("  prompt: default\n", ""))
    bare = Study("smoke", params, study.results)
    assert "has no agent" in headline(bare, [])


def test_an_unknown_profile_is_one_line_and_no_traceback() -> None:
    async def shown() -> SessionsPanel:
        panel = sessions_panel("smok")
        panel.stop()
        return panel

    panel = asyncio.run(shown())
    assert "choose one of" in panel.head.value
    assert panel.end.disabled
    assert panel.cards.value == ""


def test_a_second_click_is_no_double_click_and_comes_in_time() -> None:
    now = [0.0]
    second = SecondClick(lambda: now[0])
    assert (second.is_asked, second.click(), second.is_asked) == (False, False, True)
    now[0] = 0.2
    assert (second.click(), second.is_asked) == (False, True)
    now[0] = 1.0
    assert (second.click(), second.is_asked) == (True, False)
    assert not second.click()
    now[0] = 60.0
    assert not second.is_asked
    assert not second.click()  # a first one again
    now[0] = 61.0
    assert second.click()


async def until(ready: Callable[[], bool], what: str, within_s: float = 60.0) -> float:
    """Wait in the loop; return the longest that the loop was held up meanwhile."""
    end, held_s = time.monotonic() + within_s, 0.0
    while not ready():
        assert time.monotonic() < end, what
        before = time.monotonic()
        await asyncio.sleep(0.02)
        held_s = max(held_s, time.monotonic() - before)
    return held_s


@pytest.mark.timeout(180)
def test_the_panel_follows_a_session_and_ends_it_by_a_second_click(
    study: Study,
) -> None:
    now = [0.0]
    panel = SessionsPanel(study, every_s=0.1, clock=lambda: now[0])
    assert panel.end.disabled
    assert "has begun" in panel.head.value

    async def follow() -> None:
        panel.start()
        await until(lambda: "waiting</pre>" in panel.cards.value, "no session seen")
        await until(lambda: ">3.5<" in panel.cards.value, "no evaluation seen")
        assert "onclick" in panel.cards.value
        assert "<b onclick" not in panel.cards.value
        assert KEY not in panel.cards.value
        assert (panel.cell.value, panel.end.disabled) == (CELL, False)
        before = panel.cards.value
        held_s = await until(lambda: panel.cards.value != before, "the clock stands")
        assert held_s < 1.0
        panel.stop()
        before = panel.cards.value
        await asyncio.sleep(1.5)
        assert panel.cards.value == before
        panel.start()
        await until(lambda: panel.cards.value != before, "does not look again")

        panel.end.click()
        assert (panel.end.description, panel.end.button_style) == (CONFIRM, "danger")
        assert CELL in panel.said.value
        now[0] += 0.2  # the other half of a double click
        panel.end.click()
        assert panel.end.description == CONFIRM
        now[0] += 60.0  # much later
        await until(lambda: panel.end.description == END, "the question stays")
        assert not (study.job(f"{CELL}/submission").folder / "stop").exists()
        panel.end.click()
        now[0] += 2.0
        panel.end.click()
        assert panel.said.value == f"<b>{CELL} was asked to end.</b>"
        assert "asked to end" in panel.cards.value
        await until(lambda: "1 over" in panel.head.value, "does not end")
        panel.stop()

    with begun(study) as child:
        asyncio.run(follow())
        assert child.wait(30) == 0
    assert panel.cell.options == ()
    assert panel.end.disabled
    made = load_record(study.job(f"{CELL}/submission").folder).result
    assert isinstance(made, Submission)
    assert made.used_s < BUDGET_S
    assert any("stopped by a person" in w for w in made.warnings)


def test_a_cell_that_is_run_again_leaves_one_panel_looking(study: Study) -> None:
    async def twice() -> tuple[SessionsPanel, SessionsPanel, set[str]]:
        first, second = (
            sessions_panel(
                "smoke", params=str(study.params), results=str(study.results)
            )
            for _ in range(2)
        )
        await asyncio.sleep(0.1)
        following = {t.get_name() for t in asyncio.all_tasks() if "_follow" in repr(t)}
        second.stop()
        await asyncio.sleep(0.1)
        left = [t for t in asyncio.all_tasks() if "_follow" in repr(t)]
        assert left == []
        return first, second, following

    first, second, following = asyncio.run(twice())
    assert len(following) == 1
    assert (first.live.value, second.live.value) == (False, False)
    assert panels._looking == [second]


def test_a_second_click_after_the_session_ended_says_so(study: Study) -> None:
    now = [0.0]
    panel = SessionsPanel(study, clock=lambda: now[0])
    panel.show([RUNNING])
    panel.end.click()
    now[0] += 1.0
    panel.end.click()
    assert "no session of it runs" in panel.said.value


def test_another_choice_withdraws_the_first_click(study: Study) -> None:
    panel = SessionsPanel(study)
    other = RUNNING._replace(cell="a/other/21-1337")
    panel.show([RUNNING, other])
    panel.end.click()
    panel.cell.value = other.cell
    assert (panel.end.description, panel.said.value) == (END, "")
    panel.show([other])
    assert panel.cell.value == other.cell
