"""The pages in a real browser, from file addresses."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    Dialog,
    Page,
    Playwright,
    Request,
    expect,
    sync_playwright,
)

from ibench import REPOSITORY
from ibench.analysis.site.build import build_site
from perf.site import main as measure
from perf.site import make_trajectories, run_of
from perf.synthetic import make_study, publish_records
from tests.analysis.site.conftest import SEEDS
from tests.analysis.site.reading import index_of

pytestmark = pytest.mark.browser

SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(2)>"
BREAKOUT = "</script><script>alert(3)</script>"
PHONE = {"width": 360, "height": 780}
TRAJECTORIES = 24


@dataclass
class Seen:
    """What must not happen while a page is used."""

    lines: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", lambda m: self.lines.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: self.lines.append(f"error: {e}"))
        page.on("requestfailed", lambda r: self.lines.append(f"failed: {r.url}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)

    def _dialog(self, dialog: Dialog) -> None:
        self.lines.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.lines.append(f"network: {request.url}")


Browse = Callable[..., None]


@pytest.fixture(scope="module")
def browse(site: Path) -> Iterator[Browse]:
    """Run a check on a page of the site, in a thread of its own.

    Playwright's synchronous interface keeps an event loop running in its thread; tests
    that start loops of their own could not follow it in the same one.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail("chromium is missing: `apt-get install chromium`, or `make setup`")

    def start() -> tuple[Playwright, Browser]:
        driver = sync_playwright().start()
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        return driver, driver.chromium.launch(executable_path=path, args=arguments)

    with ThreadPoolExecutor(1) as thread:
        driver, browser = thread.submit(start).result()

        def run(check: Callable[[Page], None], route: str = "#/", **more: Any) -> None:
            def in_thread() -> None:
                seen, page = Seen(), browser.new_page(**more)
                seen.watch(page)
                page.set_default_timeout(10_000)
                page.goto(f"{site.as_uri()}/index.html{route}")
                page.wait_for_selector("main[data-ready]")
                try:
                    check(page)
                finally:
                    page.close()
                assert seen.lines == []

            thread.submit(in_thread).result(timeout=120)

        yield run
        thread.submit(browser.close).result()
        thread.submit(driver.stop).result()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, bundled: Path) -> Path:
    """A made study whose transcripts try to be markup."""
    folder = tmp_path_factory.mktemp("made")
    study = make_study(REPOSITORY / "params", folder, methods=6, seed_pairs=1)
    publish_records(study)
    rng = random.Random(5)
    runs = [
        run_of(f"made-{i}", rng, agent=f"agent-{i % 4}", scenario="abcd"[i % 4],
               seeds=f"{i}-1")
        for i in range(TRAJECTORIES - 3)
    ]  # fmt: skip
    runs.append(run_of("a-m02", rng, agent="m02", scenario="a", seeds=SEEDS))
    runs.append(_untimed(run_of("x", rng, agent="untimed", scenario="b", seeds="")))
    runs.append(_planted(run_of("y", rng, agent="planted", scenario="c", seeds="")))
    trajectories = make_trajectories(folder / "trajectories", runs)
    published = Path("results", "published")
    out = study.root / "site"
    build_site(
        study, out, published=published, trajectories=trajectories, pages=bundled
    )
    return out


def _untimed(run: dict[str, Any]) -> dict[str, Any]:
    """As the public data set: no time stamp anywhere."""
    for episode in run["episodes"]:
        episode["t_start_s"] = episode["t_end_s"] = None
        for event in episode["events"]:
            event["t_s"] = None
    return run | {"budget_s": None, "evaluations": []}


def _planted(run: dict[str, Any]) -> dict[str, Any]:
    first = run["episodes"][0]
    first["summary"] = SCRIPT
    first["evidence"] = [IMAGE]
    first["engine"] = f"<b>{SCRIPT}</b>"
    first["events"][0] |= {"text": f"{BREAKOUT}{IMAGE}", "tool": SCRIPT}
    return run | {"agent": f"planted {SCRIPT}", "seeds": IMAGE}


def rows(page: Page) -> list[str]:
    return page.locator("main tbody th").all_inner_texts()


def choose(page: Page, group: str, option: str) -> None:
    page.get_by_role("group", name=group).get_by_label(option, exact=True).check()


def test_the_leaderboard_reorders_on_focus(browse: Browse, site: Path) -> None:
    paper = next(b for b in index_of(site)["boards"] if b["key"] == "paper")["rows"]

    def order(focus: str) -> list[str]:
        best = sorted(paper, key=lambda r: -r[focus]["mean"])
        return [r["name"] for r in best]

    def check(page: Page) -> None:
        choose(page, "Results", "Paper")
        chart = page.locator("[data-chart=leaderboard]")
        for focus, letter in (("aggregate", "Aggregate"), ("a", "A"), ("c", "C")):
            choose(page, "Scenario", letter)
            drawn = chart.get_attribute("data-order") or ""
            assert drawn.split("\n") == order(focus)
            assert rows(page)[0].startswith(order(focus)[0])
        assert order("a") != order("c")
        assert "focus=c" in page.url

    browse(check)


def test_focus_is_chosen_by_keyboard_and_kept_in_the_address(browse: Browse) -> None:
    def check(page: Page) -> None:
        group = page.get_by_role("group", name="Scenario")
        group.get_by_label("Aggregate").focus()
        page.keyboard.press("ArrowRight")
        expect(group.get_by_label("A", exact=True)).to_be_checked()
        expect(page.get_by_role("heading", level=2).first).to_have_text(
            "A, input-heavy: time to first token"
        )
        page.reload()
        expect(group.get_by_label("A", exact=True)).to_be_checked()

    browse(check, "#/?board=site")


def test_every_control_is_reached_by_tab(browse: Browse) -> None:
    def check(page: Page) -> None:
        reached = []
        for _ in range(12):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.textContent"))
        assert reached[0] == "Skip to the content"
        assert {"Leaderboard", "Outcomes", "Behaviour map", "About"} <= set(reached)
        for name in ("Start", "Back", "Play", "Next", "End"):
            button = page.locator(".player button", has_text=name)
            assert button.evaluate("b => b.tabIndex") == 0

    browse(check, "#/run/made-0")


def test_a_run_replays_to_its_end_by_keyboard(browse: Browse, site: Path) -> None:
    steps = len(next(r for r in index_of(site)["runs"] if r["id"] == "a-m02")["path"])

    def check(page: Page) -> None:
        replay = page.locator("[data-replay]")
        status = replay.get_by_role("status")
        expect(replay).to_have_attribute("data-step", "0")
        expect(status).to_have_text(f"Start. {steps} episodes follow.")
        for step in range(1, steps + 1):
            page.keyboard.press("ArrowRight")
            expect(replay).to_have_attribute("data-step", str(step))
            expect(status).to_contain_text(f"Episode {step} of {steps}:")
            expect(page.locator(".episode h3")).to_contain_text(f"{step}.")
        expect(status).to_contain_text("Last episode.")
        page.keyboard.press("ArrowRight")
        expect(replay).to_have_attribute("data-step", str(steps))
        for key, at in (("Home", 0), ("End", steps), ("ArrowLeft", steps - 1)):
            page.keyboard.press(key)
            expect(replay).to_have_attribute("data-step", str(at))

    browse(check, "#/run/a-m02")


def test_play_runs_to_the_end_and_stops(browse: Browse, site: Path) -> None:
    steps = len(next(r for r in index_of(site)["runs"] if r["id"] == "made-1")["path"])

    def check(page: Page) -> None:
        replay = page.locator("[data-replay]")
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press(" ")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        expect(replay).to_have_attribute("data-step", str(steps), timeout=8000)
        expect(page.get_by_role("button", name="Play")).to_be_visible()
        page.keyboard.press(" ")  # from the end it starts again
        page.keyboard.press(" ")
        expect(replay).to_have_attribute("data-step", "0")

    browse(check, "#/run/made-1")


def test_a_transcript_without_times_replays_over_episodes(browse: Browse) -> None:
    def check(page: Page) -> None:
        expect(page.get_by_text("has no time stamps")).to_be_visible()
        page.keyboard.press("End")
        expect(page.locator(".episode")).to_contain_text("no time stamp")

    browse(check, "#/run/x")


def test_the_map_shows_every_run(browse: Browse, site: Path) -> None:
    mapped = [r for r in index_of(site)["runs"] if r["path"]]
    assert len(mapped) == TRAJECTORIES

    def check(page: Page) -> None:
        chart = page.locator("[data-chart=map]")
        expect(chart).to_have_attribute("data-paths", str(TRAJECTORIES))
        page.get_by_text("All runs of the map as a table").click()
        expect(page.locator("[data-table=map] tbody tr")).to_have_count(TRAJECTORIES)
        page.get_by_label("Scenario").select_option("d")
        expect(chart).to_have_attribute(
            "data-paths", str(sum(r["scenario"] == "d" for r in mapped))
        )
        page.get_by_label("Run", exact=True).select_option("made-3")
        page.get_by_role("link", name="Replay this run").click()
        expect(page.locator("[data-replay]")).to_have_attribute("data-step", "0")

    browse(check, "#/map")


def test_a_click_on_a_path_chooses_its_run(browse: Browse) -> None:
    def check(page: Page) -> None:
        page.get_by_label("Outcome").wait_for()
        page.get_by_label("Agent").select_option("m02")
        # The only path left starts in the centre, under the mark that is no target.
        box = page.locator("[data-chart=map]").bounding_box()
        assert box
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for up in range(4, 60):
            page.mouse.click(x, y - up)
            if "run=a-m02" in page.url:
                break
        assert "run=a-m02" in page.url

    browse(check, "#/map")


def test_planted_markup_is_text(browse: Browse) -> None:
    def check(page: Page) -> None:
        page.keyboard.press("ArrowRight")
        episode = page.locator(".episode")
        expect(episode).to_contain_text(SCRIPT)
        expect(episode.locator(".evidence")).to_have_text(IMAGE)
        expect(episode.locator("pre").first).to_have_text(f"{BREAKOUT}{IMAGE}")
        expect(page.locator("h1")).to_contain_text(SCRIPT)
        assert page.locator("main img, main script, main b").count() == 0
        for route in ("#/outcomes", "#/map", "#/about"):
            page.goto(f"{page.url.split('#', maxsplit=1)[0]}{route}")
            page.wait_for_timeout(300)
            assert page.locator("main img, main script").count() == 0

    browse(check, "#/run/y")


def test_outcomes_list_every_run_and_link_its_records(
    browse: Browse, site: Path
) -> None:
    runs = index_of(site)["runs"]

    def check(page: Page) -> None:
        expect(page.get_by_text(f"{len(runs)} of {len(runs)} runs")).to_be_visible()
        page.get_by_label("Method").select_option("m00")
        table = page.get_by_role("region", name="4 of ")
        expect(table.locator("tbody tr")).to_have_count(4)
        href = table.get_by_role("link", name="gating").first.get_attribute("href")
        assert href
        assert (site / href).resolve().is_file()
        table.locator("tbody th a").first.click()
        expect(page.get_by_text("there is nothing to replay")).to_be_visible()

    browse(check, "#/outcomes")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "route",
    ["#/", "#/?board=site&focus=b", "#/outcomes", "#/map", "#/run/y", "#/about"],
)
def test_a_phone_needs_no_sideways_scroll(
    browse: Browse, route: str, scheme: str
) -> None:
    def check(page: Page) -> None:
        page.wait_for_timeout(200)
        if "run" in route:
            page.keyboard.press("ArrowRight")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

    browse(check, route, viewport=PHONE, color_scheme=scheme)


def test_a_wrong_address_says_so(browse: Browse) -> None:
    def check(page: Page) -> None:
        expect(page.locator("h1")).to_have_text("No such run")
        assert page.locator("main script, main img").count() == 0

    browse(check, "#/run/%E0%A4%A<img src=x>")


@pytest.mark.usefixtures("bundled")
def test_the_benchmark_prints_load_times(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor(1) as thread:
        arguments = ["--methods", "1", "--seed-pairs", "1"]
        assert thread.submit(measure, arguments).result(timeout=120) == 0
    text = capsys.readouterr().out
    assert "Loading 4 runs from files" in text
    assert "map" in text
