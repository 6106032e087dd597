"""Keys and logins: found, private, and only the agent's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ibench.errors import ParameterError
from ibench.methods.agents.access import resolve_access
from ibench.methods.agents.install import find
from ibench.params import Agent

SPEC: dict[str, Any] = {
    "name": "x",
    "description": "d",
    "network": True,
    "harbor": {
        "agent": "codex",
        "cli": {
            "installer": "npm",
            "package": "p",
            "version": "1.0",
            "program": "codex",
        },
        "model": "openai/gpt",
        "secrets": ["OPENAI_API_KEY"],
    },
}


def agent(**harbor: object) -> Agent:
    return Agent.model_validate(SPEC | {"harbor": SPEC["harbor"] | harbor})


def test_an_agent_gets_the_keys_it_names_and_no_other() -> None:
    environ = {"OPENAI_API_KEY": "key-0123456789", "ANTHROPIC_API_KEY": "other"}
    access = resolve_access(agent(), environ, "x.yaml")
    assert access.env == {"OPENAI_API_KEY": "key-0123456789"}
    assert access.values == ("key-0123456789",)
    assert "key-0123456789" not in repr(access)


def test_a_key_may_lie_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("key-from-a-file\n")
    path.chmod(0o600)
    access = resolve_access(agent(), {"OPENAI_API_KEY_FILE": str(path)}, "x.yaml")
    assert access.env == {"OPENAI_API_KEY": "key-from-a-file"}


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "not set; export OPENAI_API_KEY, or OPENAI_API_KEY_FILE="),
        ({"OPENAI_API_KEY": "  "}, "not set"),
        ({"OPENAI_API_KEY_FILE": "/nowhere/key"}, "No such file"),
    ],
)
def test_a_missing_key_is_one_line_with_the_remedy(
    environ: dict[str, str], says: str
) -> None:
    with pytest.raises(ParameterError, match=says) as caught:
        resolve_access(agent(), environ, "x.yaml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("x.yaml: ")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("key")
    path.chmod(0o644)
    with pytest.raises(ParameterError, match="mode 0600"):
        resolve_access(agent(), {"OPENAI_API_KEY_FILE": str(path)}, "x.yaml")


def test_the_strings_of_a_login_file_are_secrets(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    tokens = {"access": "A" * 40, "nested": [{"refresh": "R" * 40}], "mode": "short"}
    path.write_text(json.dumps(tokens))
    path.chmod(0o600)
    login = {"path": str(path), "variable": "CODEX_AUTH_JSON_PATH"}
    access = resolve_access(agent(secrets=[], login_files=[login]), {}, "x.yaml")
    assert set(access.values) == {"A" * 40, "R" * 40}
    assert access.env == {"CODEX_AUTH_JSON_PATH": str(path)}


def test_a_login_that_is_missing_is_one_line() -> None:
    login = {"path": "/nowhere/auth.json", "target": ".codex/auth.json"}
    with pytest.raises(ParameterError, match="log in with the agent's own program"):
        resolve_access(agent(secrets=[], login_files=[login]), {}, "x.yaml")


def test_a_missing_program_names_the_command_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="make agents AGENTS=x"):
        find(agent(), tmp_path, "x.yaml")
    python = tmp_path / "harbor" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    with pytest.raises(ParameterError, match=r"cli\.program: 'codex': not installed"):
        find(agent(), tmp_path, "x.yaml")


@pytest.mark.parametrize(
    "change",
    [{"argv": ["true"]}, {"harbor": None}],
    ids=["two kinds", "no kind"],
)
def test_an_agent_is_of_one_kind(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="either argv or harbor"):
        Agent.model_validate(SPEC | change)
