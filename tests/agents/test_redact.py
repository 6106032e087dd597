"""Ten kinds of secrets, planted, and home folders: none survives."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ibench.agents.redact import Redactor
from ibench.agents.saving import save_session

PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAAB3NzaC1yc2E\n"
PEM_END = "-----END OPENSSH PRIVATE KEY-----"
PLANTED = {
    "anthropic": "sk-ant-api03-" + "Ab1_" * 10,
    "openai": "sk-proj-" + "Cd2-" * 10,
    "github": "ghp_" + "e3F4" * 9,
    "huggingface": "hf_" + "g5H6" * 8,
    "google": "AIza" + "i7J8-" * 7,
    "xai": "xai-" + "k9L0" * 16,
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
    "private key": f"{PEM}{PEM_END}",
    "refresh token": "rt_0192837465-abcdefghij",
}
CONTEXT = {"refresh token": '{{"refresh_token": "{}"}}'}
KNOWN = "a value without any shape"
HOMES = ("/home/alice/work/notes.txt", "/root/.claude/x", "/Users/Bob Smith/y")


def planted_text() -> str:
    lines = [CONTEXT.get(k, "seen {} here").format(v) for k, v in PLANTED.items()]
    lines += [f"Authorization: Bearer {'m1N2' * 8}", f"known: {KNOWN}", *HOMES]
    return "\n".join(lines)


def fragments() -> list[str]:
    """Every secret, a key's body line by line."""
    found = [v for k, v in PLANTED.items() if k != "private key"]
    return [*found, "b3BlbnNzaC1rZXk", "AAAAB3NzaC1yc2E", "m1N2m1N2", KNOWN]


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_taken_out(kind: str) -> None:
    text = CONTEXT.get(kind, "before {} after").format(PLANTED[kind])
    redacted = Redactor().text(text)
    assert PLANTED[kind] not in redacted
    assert "[redacted:" in redacted
    if kind not in CONTEXT:
        assert redacted.startswith("before ")
        assert redacted.endswith(" after")


@pytest.mark.parametrize("path", HOMES)
def test_home_folders_become_a_tilde(path: str) -> None:
    redacted = Redactor().text(f"in {path}:1")
    assert redacted.startswith("in ~")
    assert "alice" not in redacted


def test_ordinary_text_stays_as_it_is() -> None:
    text = "skip task-list; ghp is no token; /rootless; 0.51 tokens/s; sk-short"
    assert Redactor(["secret-value"]).text(text) == text


def test_nothing_planted_survives_in_what_a_session_leaves(tmp_path: Path) -> None:
    root, folder = tmp_path / "work", tmp_path / "stage"
    for name in ("workspace/notes", "home", "logs"):
        (root / name).mkdir(parents=True)
    folder.mkdir()
    text = planted_text()
    # The transcript ends in the middle of a line.
    (root / "transcript.log").write_text(text + "\nlast " + PLANTED["github"])
    (root / "workspace" / "notes" / "env.txt").write_text(text)
    step = {"message": text, "tool_calls": [{"arguments": {"api_key": "plain-value"}}]}
    (root / "logs" / "trajectory.json").write_text(json.dumps({"steps": [step]}))
    kept: list[str] = []
    warnings = save_session(
        root, folder, [KNOWN], facts={}, over=True, keep=kept.append
    )
    assert kept == ["transcript.log", "trajectory.json"]
    assert warnings == ["a secret was taken out of notes/env.txt"]
    saved = [*folder.iterdir(), root / "workspace" / "notes" / "env.txt"]
    for path in saved:
        left = [f for f in fragments() if f in path.read_text()]
        assert left == [], path.name
    document = json.loads((folder / "trajectory.json").read_text())
    assert "plain-value" not in str(document)
    assert (folder / "transcript.log").read_text().endswith("last [redacted:github]")


def test_a_session_that_waits_holds_no_key_either(tmp_path: Path) -> None:
    root = tmp_path / "work"
    for name in ("workspace", "home/.agent", "logs/agent"):
        (root / name).mkdir(parents=True)
    places = ("transcript.log", "home/.agent/cache.json", "logs/agent/session.jsonl")
    for name in places:
        (root / name).write_text(planted_text())
    save_session(root, tmp_path, [KNOWN], facts={}, over=False, keep=lambda _: None)
    for name in places:
        assert [f for f in fragments() if f in (root / name).read_text()] == []


def test_a_binary_file_a_link_and_a_linked_file_are_left_alone(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside.txt"
    folder.mkdir()
    outside.write_text(PLANTED["xai"])
    (folder / "link").symlink_to(outside)
    os.link(outside, folder / "hard.txt")
    (folder / "weights.bin").write_bytes(b"\0" + PLANTED["xai"].encode())
    assert Redactor().folder(folder) == ["hard.txt"]
    assert outside.read_text() == PLANTED["xai"]
    assert PLANTED["xai"].encode() in (folder / "weights.bin").read_bytes()
