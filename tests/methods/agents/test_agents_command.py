"""``ibench agents``: what is there, what is missing, what would run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibench import REPOSITORY
from ibench.__main__ import main
from ibench.params import Agent
from ibench.params.files import load_yaml
from tests.methods.agents.study import CACHE

AGENTS = sorted((REPOSITORY / "params" / "agents").glob("*.yaml"))
STUDIED = {
    "claude-code",
    "claude-code-subscription",
    "codex",
    "codex-chatgpt",
    "codex-ultra",
    "opencode",
    "gemini-cli",
    "grok-build",
    "mini-swe-agent",
    "trae-agent",
    "openhands",
}
needs_harbor = pytest.mark.skipif(
    not (CACHE / "harbor" / "bin" / "python").exists(), reason="needs `make agents`"
)


def run(*arguments: str) -> int:
    folders = ["--params", str(REPOSITORY / "params")]
    return main(["agents", *folders, "--cache", str(REPOSITORY / ".cache"), *arguments])


@pytest.mark.parametrize("path", AGENTS, ids=lambda p: p.stem)
def test_every_agent_of_the_study_is_one_valid_file(path: Path) -> None:
    agent = load_yaml(Agent, path)
    assert agent.name == path.stem
    if agent.harbor is not None:
        assert agent.harbor.secrets or agent.harbor.login_files
        assert agent.network


def test_the_study_has_its_agents() -> None:
    assert {p.stem for p in AGENTS} >= STUDIED


def test_the_list_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    assert run("--agent", "careful", "--agent", "grok-build") == 0
    careful, grok = capsys.readouterr().out.splitlines()
    assert careful.split() == ["careful", "script:", "ready"]
    assert "make agents" in grok or "export XAI_API_KEY" in grok


def test_an_unknown_agent_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--dry-run", "--agent", "codx") == 2
    said = capsys.readouterr().err
    assert "did you mean 'codex'?" in said
    assert len(said.splitlines()) == 1


@needs_harbor
@pytest.mark.parametrize("name", sorted(STUDIED))
def test_a_rehearsal_prints_the_command_and_no_secret(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_yaml(Agent, REPOSITORY / "params" / "agents" / f"{name}.yaml").harbor
    assert spec is not None
    for secret in spec.secrets:
        monkeypatch.setenv(secret, "planted-secret-value")
    assert run("--dry-run", "--agent", name) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"== {name}\n")
    assert spec.model.rpartition("/")[2] in said
    assert "planted-secret-value" not in said
    assert "stand-in-for" not in said
    assert all(f"{s}='****'" in said for s in spec.secrets)
    effort = spec.effort or ("ultra" if name == "codex-ultra" else "")
    assert effort in said
