"""The bundle: made once, reused, and a clear line where it cannot be made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ibench.analysis.site.build import PAGES
from ibench.analysis.site.bundle import bundle
from ibench.errors import UserError

pytestmark = pytest.mark.slow


def a_command(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that commands are found in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.usefixtures("commands")
def test_without_npm_the_line_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="apt-get install nodejs npm") as found:
        bundle(PAGES, tmp_path / "cache")
    assert "\n" not in str(found.value)


def test_without_a_network_the_line_says_what_to_do(
    tmp_path: Path, commands: Path
) -> None:
    a_command(
        commands, "npm", "echo 'npm warn x' >&2; echo 'npm error EAI' >&2; exit 1"
    )
    with pytest.raises(UserError, match=r"npm: npm error EAI: .*bring \.cache/site"):
        bundle(PAGES, tmp_path / "cache")
    assert [p for p in (tmp_path / "cache").iterdir() if p.name != "build"] == [
        tmp_path / "cache" / "lock"
    ]


@pytest.mark.usefixtures("commands")
def test_a_cached_bundle_needs_no_npm(bundled: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(bundled, cache / bundled.name)
    assert bundle(PAGES, cache) == cache / bundled.name


def test_a_change_of_the_code_makes_a_new_bundle(bundled: Path, tmp_path: Path) -> None:
    source, cache = tmp_path / "site", tmp_path / "cache"
    shutil.copytree(PAGES, source, ignore=shutil.ignore_patterns("node_modules"))
    (cache / "build").mkdir(parents=True)
    # The installed packages are shared: installing them again is not what is tested.
    installed = bundled.parent / "build" / "node_modules"
    if not installed.is_dir():
        pytest.fail("no packages are installed: remove .cache/site and test again")
    (cache / "build" / "node_modules").symlink_to(installed)
    first = bundle(source, cache)
    (source / "style.css").write_text("body { color: red; }")
    second = bundle(source, cache)
    assert second != first
    assert (second / "style.css").read_text() == "body { color: red; }"
    assert not first.exists()
    (source / "src" / "main.js").write_text("import './nowhere.js';")
    with pytest.raises(UserError, match=r"nowhere\.js.*site/src does not bundle"):
        bundle(source, cache)
    assert second.exists()
