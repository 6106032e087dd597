"""Ten kinds of secrets, planted, and home folders: none survives."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ibench.methods.agents.redact import SNIFF_BYTES, Redactor
from ibench.methods.agents.saving import save_session
from ibench.methods.agents.workspace import EVALUATOR_FILES, evaluator_hashes

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


ORDINARY = (
    "see risk-management-framework-overview.pdf",
    "a task-specific-instruction-tuned model",
    "risk-assessment-2024-annual-report-0123456789abcdefghij",
    "--disk-cache-directory-path-for-weights /x",
    "the bearer responsibilities-and-duties of a trustee",
    "valid_token = compute_grid_position",
    "access_token = read_from_environment",
    "grid_token: 0123456789abcdef",
    "hf_AutoModelForCausalLMWithValueHead",
    "github_pat_environment_variable_name",
    "sk-learn-compatible-estimators-v2",
)


@pytest.mark.parametrize("text", ORDINARY)
def test_prose_and_code_that_look_like_a_key_stay_as_they_are(text: str) -> None:
    assert Redactor(["secret-value"]).text(text) == text


BEFORE = ('"', "=", "'", "\\n", "\\u0022", "%20", "\x1b[0m", "\x1b[1;32m", "(", "\n")


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("kind", [k for k in PLANTED if k not in CONTEXT])
def test_a_secret_begins_behind_a_quote_and_an_escape_too(
    kind: str, before: str
) -> None:
    redacted = Redactor().text(f"x{before}{PLANTED[kind]} after")
    assert PLANTED[kind] not in redacted
    assert redacted.startswith(f"x{before}[redacted:")


LETTERS = "hf_" + "abCDefGHij" * 3 + "klMN"


def test_a_token_of_letters_alone_is_known_by_its_length() -> None:
    assert Redactor().text(f"use {LETTERS} here") == "use [redacted:huggingface] here"
    kept = f"hf_{'abCDefGHij' * 4}"
    assert Redactor().text(kept) == kept


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


LOOKS = "sk-proj-" + "Cd2-" * 10


@pytest.mark.parametrize("over", [True, False])
def test_the_evaluators_files_keep_what_only_looks_like_a_secret(
    tmp_path: Path, *, over: bool
) -> None:
    root, folder = tmp_path / "work", tmp_path / "stage"
    (root / "workspace" / "dev").mkdir(parents=True)
    for name in ("home", "shown", "logs"):
        (root / name).mkdir()
    folder.mkdir()
    (root / "transcript.log").write_text("")
    for name in EVALUATOR_FILES:
        text = f"{LOOKS}\nBearer {'m1N2' * 8}\nid_token = 0123456789abc\n"
        (root / "workspace" / name).write_text(text)
    other = root / "workspace" / "notes.txt"
    other.write_text(LOOKS)
    before = evaluator_hashes(root / "workspace")
    warnings = save_session(
        root, folder, [KNOWN], facts={}, over=over, keep=lambda _: None
    )
    assert warnings == ["a secret was taken out of notes.txt"]
    assert evaluator_hashes(root / "workspace") == before
    assert other.read_text() == "[redacted:openai]"


def test_a_known_secret_is_taken_out_of_the_evaluators_files_too(
    tmp_path: Path,
) -> None:
    own = tmp_path / "dev" / "requests.jsonl"
    own.parent.mkdir()
    own.write_text(f"{KNOWN}\n{LOOKS}\n")
    changed = Redactor([KNOWN]).folder(tmp_path, own=EVALUATOR_FILES)
    assert changed == ["dev/requests.jsonl"]
    assert own.read_text() == f"[redacted:secret]\n{LOOKS}\n"


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


@pytest.mark.parametrize("between", ["\n", " "], ids=["lines", "one line"])
def test_a_large_text_is_redacted_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    monkeypatch.setattr("ibench.methods.agents.redact.PIECE_BYTES", 1000)
    (folder := tmp_path / "folder").mkdir()
    # A secret lies on every kind of place, and across the bounds of pieces.
    words = [f"{'x' * (n % 97)}{between}{PLANTED['github']}" for n in range(600)]
    large = folder / "large.log"
    large.write_text(between.join(words))
    large.chmod(0o640)
    before = large.stat()
    assert before.st_size > 20 * 1000
    assert Redactor().folder(folder) == ["large.log"]
    text, after = large.read_text(), large.stat()
    assert text.count("[redacted:github]") == 600
    assert "e3F4" not in text
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    assert Redactor().folder(folder) == []


def test_a_huge_file_of_holes_is_not_read_to_its_end(tmp_path: Path) -> None:
    (folder := tmp_path / "folder").mkdir()
    with (folder / "holes").open("wb") as stream:
        stream.write(b"text " * SNIFF_BYTES)
        stream.truncate(2**40)
    assert Redactor().folder(folder) == []
