"""Data files: anything may stand in a text, nothing of it may become code."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ibench.analysis.paper.data import Published, rows_of
from ibench.analysis.site.build import PAGES
from ibench.analysis.site.data import Fact, RunPage, script
from ibench.analysis.site.families import family_key, family_places
from ibench.analysis.site.runs import file_name
from ibench.analysis.style import KIND_COLOURS, OUTCOME_COLOURS
from ibench.analysis.trajectories.events import FAMILIES, tier_of
from tests.analysis.site.reading import pushed

PUBLISHED = Published("results/published")


def page_with(text: str) -> RunPage:
    return RunPage(
        id="x",
        budget_s=None,
        objective=None,
        baseline=None,
        engine=None,
        facts=(Fact(label="verdict", text=text),),
        evaluations=(),
        episodes=(),
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_comes_back_and_no_markup_stands_in_the_file(text: str) -> None:
    data = script(page_with(text))
    assert pushed(data)["facts"][0]["text"] == text
    assert not set(b"<>&") & set(data)


@pytest.mark.parametrize(
    "text", ["</script><script>x", "<!--", "\u2028\u2029", '");//']
)
def test_what_ends_a_script_or_a_string_does_not(text: str) -> None:
    data = script(page_with(text))
    assert data.isascii()
    assert data.count(b"\n") == 1
    assert pushed(data)["facts"][0]["text"] == text


def test_a_number_that_json_does_not_know_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite"):
        page_with("").model_validate(page_with("").model_dump() | {"objective": "nan"})


@pytest.mark.parametrize(
    ("one", "other"),
    [("A", "a"), ("a/b", "a-b"), ("..", "."), ("x" * 200, "x" * 201), ("é", "è")],
)
def test_different_ids_have_different_plain_files(one: str, other: str) -> None:
    names = {file_name(one), file_name(other)}
    assert len(names) == 2
    assert all(re.fullmatch(r"[a-z0-9._-]{1,120}", n) for n in names)
    assert not any(n.startswith(".") for n in names)


def test_a_plain_id_is_its_file_name() -> None:
    assert file_name("a-careful-21-1337") == "a-careful-21-1337.js"


def test_every_family_of_the_trajectories_has_its_place_and_tier() -> None:
    places = {p.key: p for p in family_places(PUBLISHED)}
    assert set(places) == set(FAMILIES)
    assert {k: p.tier for k, p in places.items()} == {f: tier_of(f) for f in FAMILIES}
    assert {family_key(p.label) for p in places.values()} == set(places)


def test_operational_families_lie_inside_and_none_shares_an_angle() -> None:
    places = family_places(PUBLISHED)
    inside = max(p.radius for p in places if p.tier == "operational")
    outside = min(p.radius for p in places if p.tier == "optimization")
    assert inside < outside
    assert max(places, key=lambda p: p.radius).key == "custom_kernels"
    assert len({p.angle_deg for p in places}) == len(places)


def test_radii_are_the_published_ones() -> None:
    rows = rows_of(PUBLISHED("site_trajectory_families"))
    published = {r.family: r.base_radius for r in rows}
    places = {p.key: p.radius for p in family_places(PUBLISHED)}
    assert places["launching"] == published["baseline_launch"]
    assert places["kv_cache"] == published["kv_cache_optimization"]
    assert places["custom_kernels"] == published["custom_kernels"]


def test_the_pages_have_the_colours_of_the_figures() -> None:
    style = (PAGES / "theme.css").read_text()
    for group, colours in (("kind", KIND_COLOURS), ("outcome", OUTCOME_COLOURS)):
        for name, value in colours.items():
            assert f"--{group}-{name}: {value.lower()};" in style


def test_the_page_forbids_inline_code_and_any_network() -> None:
    page = (PAGES / "index.html").read_text()
    policy = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)[0]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self' file:"
    assert not re.search(r"https?:|\son\w+=|<style|<script>", page)


def test_no_module_of_the_pages_parses_markup() -> None:
    sources = "".join(p.read_text() for p in sorted((PAGES / "src").glob("*.js")))
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|fetch\("
    assert re.findall(banned, sources) == []


def test_packages_are_pinned_exactly_and_name_no_host() -> None:
    lock = (PAGES / "package-lock.json").read_text()
    package = (PAGES / "package.json").read_text()
    assert "http" not in lock
    assert re.findall(r'"(?:echarts|esbuild)": "\d+\.\d+\.\d+"', package)
    assert not re.findall(r'": "[\^~]', package)
