"""Command lines of the container runtimes: Apptainer and podman.

Both show the same as bubblewrap does, folders at their own paths and nothing else of
the host, on top of an image instead of the host's system folders. Definitions of the
images: ``params/containers``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Box",
    "apptainer_argv",
    "build_argv",
    "image_name",
    "podman_argv",
    "podman_stop",
]

# HOME and the hub cache lie in a private /tmp, which starts empty.
_MAKE_HOME = 'mkdir -p "$HOME" "$HF_HUB_CACHE" && exec "$@"'


class Box(NamedTuple):
    """What a runtime is to build.

    Attributes:
        image: a ``.sif`` file for Apptainer, an image name for podman.
        name: unique; podman's handle for ending it.
        workdir: working directory, writable.
        read_only: folders and files shown read-only at their own paths.
        package: the workbench's package, shown read-only where the image expects it.
        fixed: what lies in ``workdir`` and is read-only all the same.
        mounts: host folders shown writable at other paths.
        env: every variable the command gets.
        network: share the host's network, else none at all.
        gpus: numbers or UUIDs; None is every GPU of the host, empty is none.
        memory_mib: limit, if any.
        tmp_mib: size of the private /tmp, if limited.
    """

    image: str
    name: str
    workdir: Path
    read_only: Sequence[Path]
    package: Mapping[str, Path]
    fixed: Sequence[Path]
    mounts: Mapping[str, Path]
    env: Mapping[str, str]
    network: bool
    gpus: tuple[str, ...] | None
    memory_mib: int | None
    tmp_mib: int | None


def image_name(definition: str, runtime: str, images: Path) -> str:
    """Where the image of a definition is: a file, or a name of podman's store."""
    if runtime == "apptainer":
        return str(images / f"{definition}.sif")
    return f"localhost/ibench-{definition}"


def build_argv(
    definition: str, runtime: str, folder: Path, images: Path, *, context: Path
) -> list[str]:
    """Command line that builds an image from its definition, run in ``context``."""
    target = image_name(definition, runtime, images)
    if runtime == "apptainer":
        source = str(folder / f"{definition}.def")
        return ["apptainer", "build", "--force", target, source]
    source = str(folder / f"{definition}.Containerfile")
    return ["podman", "build", "--file", source, "--tag", target, str(context)]


def apptainer_argv(box: Box, argv: Sequence[str]) -> list[str]:
    """``apptainer exec``: own PID, IPC and /tmp, clean environment, no home."""
    command = ["apptainer", "exec", "--containall", "--cleanenv", "--no-home"]
    command += ["--no-privs", "--pwd", str(box.workdir)]
    if box.gpus != ():
        command.append("--nv")
    if not box.network:
        command += ["--net", "--network", "none"]
    if box.memory_mib is not None:
        command += ["--memory", f"{box.memory_mib}M"]
    return [*command, *_inside(box, "--bind"), *argv]


def podman_argv(box: Box, argv: Sequence[str]) -> list[str]:
    """``podman run``: removed when it ends, no capabilities, read-only root."""
    tmp = "/tmp:rw,exec" + (f",size={box.tmp_mib}m" if box.tmp_mib else "")  # noqa: S108
    command = ["podman", "run", "--rm", "--name", box.name, "--read-only"]
    command += ["--cap-drop", "all", "--security-opt", "no-new-privileges"]
    command += ["--tmpfs", tmp, "--workdir", str(box.workdir)]
    command += ["--network", "host" if box.network else "none"]
    if box.memory_mib is not None:
        command += ["--memory", f"{box.memory_mib}m"]
    for name in ("all",) if box.gpus is None else box.gpus:
        command += ["--device", f"nvidia.com/gpu={name}"]
    return [*command, *_inside(box, "--volume"), *argv]


def podman_stop(name: str) -> list[str]:
    """End a container whose client is gone: its monitor is no child of ours."""
    return ["podman", "rm", "--force", "--ignore", "--time", "0", name]


def _inside(box: Box, flag: str) -> list[str]:
    """Folders, variables, image and the first command: the same for both runtimes."""
    read_only = {str(path): path for path in box.read_only} | dict(box.package)
    writable = {**box.mounts, str(box.workdir): box.workdir}
    command: list[str] = []
    for place, path in read_only.items():
        command += [flag, f"{path}:{place}:ro"]
    for place, path in writable.items():
        command += [flag, f"{path}:{place}"]
    for path in box.fixed:
        command += [flag, f"{path}:{path}:ro"]
    for name, value in _visible(box).items():
        command += ["--env", f"{name}={value}"]
    return [*command, box.image, "/bin/sh", "-c", _MAKE_HOME, "sh"]


def _visible(box: Box) -> dict[str, str]:
    """Add the choice of GPUs to the variables."""
    if box.gpus is None:
        return dict(box.env)
    return {**box.env, "CUDA_VISIBLE_DEVICES": ",".join(box.gpus)}
