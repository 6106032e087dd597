"""Configurations to launcher texts, and back through a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ibench import REPOSITORY
from ibench.errors import ParameterError
from ibench.params.engines import Engine, FlagSpec, Setting
from ibench.serving.engines import launcher_script

FOLDER = REPOSITORY / "params" / "engines"
ENGINE = Engine(
    name="shown",
    version="1",
    description="prints its arguments, one per line",
    argv=("printf", "%s\\n", "{model}", "--at=http://{host}:{port}/", "{model_id}"),
    flags={
        "batch": FlagSpec(flag="--batch", instead={"0": ()}),
        "graphs": FlagSpec(when_true="--graphs", when_false="--no-graphs"),
        "eager": FlagSpec(when_true="--eager"),
        "spec": FlagSpec(flag="--spec", template='{"n":{value}}', extra=("--more",)),
        "backend": FlagSpec(env="BACKEND"),
    },
    env={"FIXED": "a b"},
    defaults={"batch": 8},
    requires="cpu",
    ready_s=1.0,
    process_pattern="printf",
)


def _run(script: str, **env: str) -> list[str]:
    variables = {"HOST": "h", "PORT": "1", "MODEL_PATH": "/m", "MODEL_ID": "id", **env}
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("config", "arguments"),
    [
        ({}, ["--batch", "8"]),
        ({"batch": None}, []),
        ({"batch": "none"}, []),
        ({"batch": 0}, []),
        ({"graphs": True, "eager": True}, ["--batch", "8", "--graphs", "--eager"]),
        ({"graphs": False, "eager": False}, ["--batch", "8", "--no-graphs"]),
        ({"spec": 3}, ["--batch", "8", "--spec", '{"n":3}', "--more"]),
        ({"backend": "X Y"}, ["--batch", "8"]),
    ],
)
def test_arguments(config: dict[str, Setting], arguments: list[str]) -> None:
    shown = _run(launcher_script(ENGINE, config))
    assert shown == ["/m", "--at=http://h:1/", "id", *arguments]


def test_exports_and_header() -> None:
    lines = launcher_script(ENGINE, {"backend": "X Y"}).splitlines()
    assert lines[:2] == ["#!/usr/bin/env bash", "set -euo pipefail"]
    assert lines[2:4] == ["export FIXED='a b'", "export BACKEND='X Y'"]
    assert lines[4].startswith("exec printf")


@settings(max_examples=25, deadline=None)
@given(value=st.text(st.characters(codec="ascii", exclude_characters="\0\n\r")))
def test_no_value_escapes_its_quotes(value: str) -> None:
    if value in {"none", "0"}:
        return
    assert _run(launcher_script(ENGINE, {"batch": value}))[-1:] == [value]


def test_model_path_with_spaces_is_one_argument() -> None:
    shown = _run(launcher_script(ENGINE, {}), MODEL_PATH="/a b/$(id)")
    assert shown[0] == "/a b/$(id)"


def test_order_of_keys_does_not_matter() -> None:
    one = launcher_script(ENGINE, {"batch": 1, "graphs": True})
    assert one == launcher_script(ENGINE, {"graphs": True, "batch": 1})


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"batc": 1}, "config"),
        ({"batch": True}, "batch"),
        ({"graphs": "yes"}, "graphs"),
    ],
)
def test_wrong_configurations(config: dict[str, Setting], key: str) -> None:
    with pytest.raises(ParameterError) as raised:
        launcher_script(ENGINE, config)
    assert raised.value.key == key


def test_a_flag_has_one_form() -> None:
    with pytest.raises(ValidationError):
        FlagSpec()
    with pytest.raises(ValidationError):
        FlagSpec(flag="--x", env="X")
    with pytest.raises(ValidationError):
        Engine(**{**ENGINE.model_dump(), "defaults": {"other": 1}})


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_engines(path: Path) -> None:
    engine = Engine.model_validate(yaml.safe_load(path.read_text()))
    assert engine.name == path.stem
    script = launcher_script(engine, {})
    subprocess.run(["bash", "-n", "-c", script], check=True)
    assert '"$MODEL_PATH"' in script
    assert '"$PORT"' in script


def test_published_vllm_speculation() -> None:
    engine = Engine.model_validate(yaml.safe_load((FOLDER / "vllm.yaml").read_text()))
    script = launcher_script(engine, {"num_speculative_tokens": 5})
    words = shlex.split(script.replace("\\\n", ""))
    config = words[words.index("--speculative-config") + 1]
    assert yaml.safe_load(config) == {
        "method": "ngram",
        "num_speculative_tokens": 5,
        "prompt_lookup_max": 4,
        "prompt_lookup_min": 2,
    }
    off = launcher_script(engine, {"num_speculative_tokens": 0})
    assert "speculative" not in off
