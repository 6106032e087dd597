"""Notebook templates: their parameters, and one execution through papermill.

This is the only module that calls papermill. Run as a program it executes one notebook
and nothing else; ``stages.runner`` starts it in a PID namespace and judges the outcome.
"""

from __future__ import annotations

import ast
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ibench.errors import ParameterError, nearest
from ibench.records import sha256_of

__all__ = [
    "check_parameters",
    "code_sha256",
    "declared_parameters",
    "execute",
    "source_sha256",
]

Value: TypeAlias = bool | int | float | str


class _Cell(NamedTuple):
    kind: str
    tags: list[str]
    source: str


def _read(notebook: Path) -> list[_Cell]:
    """Read the cells as JSON: importing nbformat would cost each stage a second."""
    try:
        data = json.loads(notebook.read_text(encoding="utf-8"))
        return [
            _Cell(
                cell["cell_type"],
                sorted(cell["metadata"].get("tags", [])),
                "".join(cell["source"]),
            )
            for cell in data["cells"]
        ]
    except FileNotFoundError as error:
        raise ParameterError(notebook, "notebook", "-", "no such file") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParameterError(notebook, "notebook", "-", "not a notebook") from error


def source_sha256(notebook: Path) -> str:
    """Hash the cells' kinds, tags and sources: outputs and metadata do not count."""
    return sha256_of([list(cell) for cell in _read(notebook)])


def code_sha256(notebook: Path) -> str:
    """Hash the code cells' tags and sources: prose may change, a stage does not."""
    cells = [cell for cell in _read(notebook) if cell.kind == "code"]
    return sha256_of([list(cell) for cell in cells])


def declared_parameters(notebook: Path) -> dict[str, Value | None]:
    """Read names and defaults from the one cell tagged ``parameters``.

    A default of None declares a required string.

    Raises:
        ParameterError: not exactly one such cell, or a line that is no plain literal.
    """
    cells = [c for c in _read(notebook) if "parameters" in c.tags]
    if len(cells) != 1:
        raise ParameterError(
            notebook, "parameters", len(cells), "exactly one cell must carry the tag"
        )
    found: dict[str, Value | None] = {}
    for node in ast.parse(cells[0].source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, value = node.target.id, node.value or ast.Constant(None)
        else:
            continue
        try:
            found[name] = ast.literal_eval(value)
        except ValueError as error:
            raise ParameterError(
                notebook, name, ast.unparse(value), "write one plain literal"
            ) from error
    return found


def check_parameters(
    notebook: Path, given: Mapping[str, Value | str]
) -> dict[str, Value]:
    """Check parameters against a notebook before anything starts.

    Strings are converted to the type of the default they replace.

    Raises:
        ParameterError: an unknown, missing or mistyped parameter (papermill warns on
            the first, fails late on the second and never sees the third).
    """
    declared = declared_parameters(notebook)
    for name in given:
        if name not in declared:
            hint = nearest(name, declared)
            raise ParameterError(notebook, name, given[name], f"unknown{hint}")
    values: dict[str, Value] = {}
    for name, default in declared.items():
        if name in given:
            values[name] = _convert(notebook, name, given[name], default)
        elif default is None:
            raise ParameterError(notebook, name, None, "missing; pass a value")
        else:
            values[name] = default
    return values


def _convert(notebook: Path, name: str, value: Value, default: Value | None) -> Value:
    kind = str if default is None else type(default)
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    if isinstance(value, str):
        try:
            literal = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            literal = value
        if isinstance(literal, kind) and type(literal) is kind:
            return literal
        if kind is float and type(literal) is int:
            return float(literal)
    raise ParameterError(notebook, name, value, f"must be of type {kind.__name__}")


def execute(notebook: Path, output: Path, parameters: Mapping[str, Value]) -> None:
    """Execute a notebook, kernel over IPC sockets, output saved cell by cell.

    Raises:
        papermill.exceptions.PapermillExecutionError: a cell failed.
    """
    import papermill  # noqa: PLC0415 (slow; only the child process needs it)
    from jupyter_client.manager import AsyncKernelManager  # noqa: PLC0415

    # Parallel kernels can collide on TCP ports (papermill #511), and on IPC sockets too
    # as long as these have their default names in the shared working directory.
    with tempfile.TemporaryDirectory(prefix="ibench-kernel-") as sockets:
        manager = AsyncKernelManager(
            kernel_name="python3", transport="ipc", ip=f"{sockets}/k"
        )
        papermill.execute_notebook(
            str(notebook),
            str(output),
            parameters=dict(parameters),
            km=manager,
            kernel_name="python3",
            progress_bar=False,
            autosave_cell_every=0,
            cwd=str(notebook.parent.parent),
        )


def main(argv: list[str]) -> int:
    """Execute ``NOTEBOOK OUTPUT REQUEST``; write a failure's name beside the output."""
    from papermill.exceptions import PapermillExecutionError  # noqa: PLC0415

    notebook, output, request = (Path(a) for a in argv)
    try:
        execute(notebook, output, json.loads(request.read_text()))
    except PapermillExecutionError as error:
        failure = {"error": error.ename, "message": error.evalue}
        request.with_name("failure.json").write_text(json.dumps(failure))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
