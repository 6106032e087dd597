"""Make a study's engines ready before anything is measured.

Environments are built and every flag that the study will use is shown to the installed
engine: a version that lacks one is an error now, not a crashed trial each.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import TypeAlias

from ibench.errors import EngineError, unknown_name
from ibench.params import Method
from ibench.params.engines import (
    Container,
    Engine,
    Setting,
    Venv,
    load_engine,
    lock_path,
)
from ibench.params.files import named
from ibench.records import sha256_of
from ibench.serving.containers import build_argv, image_name
from ibench.serving.environments import build
from ibench.serving.flag_check import check_flags, probes
from ibench.serving.sandbox import container_runtime
from ibench.study.definition import Study

__all__ = ["find_pythons", "make_engine", "make_image", "prepare_engines"]

Say: TypeAlias = Callable[[str], None]
Uses: TypeAlias = list[tuple[Path, list[dict[str, Setting]]]]


def find_pythons() -> dict[str, str]:
    """Interpreters on PATH and among pyenv's, by minor version."""
    found: dict[str, str] = {}
    for minor in range(10, 15):
        version = f"3.{minor}"
        own = shutil.which(f"python{version}")
        homes = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*"))
        candidates = [own, *(str(h / "bin" / "python") for h in reversed(homes))]
        working = (c for c in candidates if c and _runs(c, version))
        python = next(working, None)
        if python is not None:
            found[version] = python
    return found


def _runs(python: str, version: str) -> bool:
    """A shim of a version that is not chosen exists and fails."""
    ask = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.stdout.strip() == version


def make_engine(
    params: Path, name: str, cache: Path, say: Say, pythons: Mapping[str, str]
) -> str:
    """Build what an engine runs in; say what is there now.

    Args:
        params: the parameter folder.
        name: of the engine.
        cache: folder of environments (``engines``) and images (``images``).
        say: told what takes minutes.
        pythons: interpreters by minor version.

    Raises:
        ParameterError: no such engine.
        EngineError: it does not build.
    """
    engine = load_engine(params, name)
    lock = lock_path(params, engine)
    if isinstance(engine.environment, Venv) and lock is not None:
        made = build(engine, lock, cache / "engines", pythons, say)
        return (
            f"engine {name}: {engine.environment.package} {made.version}, "
            f"Python {made.python}, {cache / 'engines' / name}"
        )
    if isinstance(engine.environment, Container):
        return f"engine {name}: {make_image(params, name, cache, say)}"
    return f"engine {name}: part of the workbench, nothing to build"


def make_image(params: Path, image: str, cache: Path, say: Say) -> str:
    """Build an image of ``params/containers``; say where it is.

    Raises:
        EngineError: no container runtime, or the image does not build.
        ParameterError: there is no such definition.
    """
    runtime, images = container_runtime(), cache / "images"
    if runtime is None:
        raise EngineError(
            f"image {image}: no container runtime on this host: install apptainer or "
            "podman, or leave the methods that need it out of the profile"
        )
    folder = params / "containers"
    suffix = "def" if runtime == "apptainer" else "Containerfile"
    if not (folder / f"{image}.{suffix}").is_file():
        there = sorted(p.stem for p in folder.glob(f"*.{suffix}"))
        raise unknown_name(folder, "image", image, there)
    images.mkdir(parents=True, exist_ok=True)
    log_path = images / f"{image}.log"
    say(f"image {image}: building with {runtime} (many minutes)")
    # Definitions copy locks and the package: the checkout is their context.
    argv = build_argv(image, runtime, folder, images, context=params.parent)
    with log_path.open("w") as log:
        done = subprocess.run(
            argv, cwd=params.parent, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode != 0:
        lines = log_path.read_text().strip().splitlines() or ["no output"]
        raise EngineError(
            f"image {image}: does not build: {lines[-1]} (all of it in {log_path})"
        )
    return image_name(image, runtime, images)


def prepare_engines(
    study: Study,
    cache: Path,
    bin_folder: Path,
    say: Say,
    pythons: Mapping[str, str],
    methods: Sequence[Method] | None = None,
) -> None:
    """Build and check every engine that a study names.

    Args:
        study: the profile.
        cache: as for ``make_engine``.
        bin_folder: of the workbench's commands.
        say: told what takes minutes, and what was checked.
        pythons: interpreters by minor version.
        methods: other ones than the profile's.

    Raises:
        EngineError: an environment does not build.
        ParameterError: an installed engine refuses a flag of the study.
    """
    for name, uses in _uses(study, methods).items():
        engine = study.engine(name)
        if engine.environment is not None:
            say(make_engine(study.params, name, cache, say, pythons))
        if isinstance(engine.environment, Container):
            continue  # its parser lies in the image: the first launch will tell
        seen = cache / "engines" / ".checked" / _key(engine, uses)
        if seen.exists():
            continue
        taken = 0
        for where, configs in uses:
            taken += check_flags(engine, configs, cache / "engines", where, bin_folder)
        if taken:
            say(f"engine {name}: its own parser takes all {taken} command lines")
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.touch()


def _key(engine: Engine, uses: Uses) -> str:
    """What the answer of a parser depends on: flags, and what is installed."""
    installed = sorted(f"{d.name}=={d.version}" for d in distributions())
    asked = [configs for _, configs in uses]
    own = engine.lock_sha256 or installed
    return sha256_of([engine.model_dump(mode="json"), asked, own])


def _uses(study: Study, methods: Sequence[Method] | None) -> dict[str, Uses]:
    """Configurations by engine, each with the file that holds it."""
    profile, path = study.profile, study.profile_path
    own: dict[str, Setting] = dict(profile.baseline_config)
    uses = {profile.baseline_engine: [(path, [own])]}
    for method in profile.methods if methods is None else methods:
        if method.kind == "default":
            uses.setdefault(method.engine, []).append((path, [{}]))
        elif method.kind == "search":
            for name, space in study.spaces(method.space).items():
                where = named(study.params / "search", method.space)
                found = probes(dict(space.parameters))
                uses.setdefault(name, []).append((where, found))
    return uses
