"""One parameter file into its closed model, or one line that says what is wrong.

YAML is read with the safe loader and validated through JSON in strict mode: a quoted
number, a unit (``30s``) or an unknown key is refused with file, key, value and remedy.
A file may extend another of its folder or of the folder above: ``extends: h100``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from ibench.errors import ParameterError, nearest, unknown_name
from ibench.records import Closed

__all__ = ["load_yaml", "named", "read_key"]

ModelT = TypeVar("ModelT", bound=Closed)


def named(folder: Path, name: str) -> Path:
    """Find ``<folder>/<name>.yaml``, or the file of that name one folder below.

    Raises:
        ParameterError: no such file; the message lists what there is.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        path = next(iter(sorted(folder.glob(f"*/{name}.yaml"))), path)
    if not path.is_file():
        there = sorted(p.stem for p in folder.rglob("*.yaml"))
        raise unknown_name(folder, folder.name.removesuffix("s"), name, there)
    return path


def load_yaml(model: type[ModelT], path: Path) -> ModelT:
    """Read one parameter file, over what it extends, into its closed model.

    Raises:
        ParameterError: missing or unreadable file, unknown or missing key, wrong type.
    """
    text = json.dumps(_extended(path, ()))
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise _explain(path, model, error) from error


def read_key(path: Path, key: str, default: str) -> str:
    """Read one key of a parameter file whose model is not known yet.

    Raises:
        ParameterError: missing or unreadable file, or the value is no text.
    """
    data = _extended(path, ())
    value = data.get(key, default) if isinstance(data, dict) else default
    if not isinstance(value, str):
        raise ParameterError(path, key, value, "write a name")
    return value


def _extended(path: Path, seen: tuple[Path, ...]) -> Any:  # noqa: ANN401 (any YAML)
    """A file's content laid over that of the file it extends, mapping by mapping."""
    own = _read(path)
    if not isinstance(own, dict) or "extends" not in own:
        return own
    name = str(own.pop("extends"))
    folders = (path.parent, path.parent.parent)
    found = (f / f"{name}.yaml" for f in folders)
    base = next((p for p in found if p.is_file() and p != path), None)
    if base is None or base in seen:
        remedy = "extends itself" if base else f"no {name}.yaml here or one folder up"
        raise ParameterError(path, "extends", name, remedy)
    return _laid_over(own, _extended(base, (*seen, path)))


def _laid_over(top: Any, base: Any) -> Any:  # noqa: ANN401 (any YAML)
    if not (isinstance(top, dict) and isinstance(base, dict)):
        return top
    both = {key: _laid_over(top[key], base[key]) for key in top if key in base}
    return {**base, **top, **both}


def _read(path: Path) -> Any:  # noqa: ANN401 (any YAML)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        json.dumps(data)
    except OSError as error:
        raise ParameterError(path, "-", "-", error.strerror or "unreadable") from error
    except (yaml.YAMLError, TypeError) as error:
        line = " ".join(str(error).split())
        raise ParameterError(path, "-", "-", f"not plain YAML: {line}") from error
    return data


def _explain(path: Path, model: type[Closed], error: ValidationError) -> ParameterError:
    """Turn one of pydantic's complaints into one line with a remedy."""
    # A misspelt key is missing and unknown at once: what stands there is named first.
    errors = error.errors(include_url=False)
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"]) or "-"
    value: object = first["input"]
    remedy = first["msg"]
    if first["type"] == "extra_forbidden":
        remedy = "unknown key" + nearest(str(first["loc"][-1]), sorted(_keys(model)))
    elif first["type"] == "missing":
        value, remedy = None, "missing; add the key"
    if isinstance(value, (dict, list)):
        value = "..."
    return ParameterError(path, key, value, remedy)


def _keys(model: type[Closed], seen: frozenset[type] = frozenset()) -> set[str]:
    """Every key name below a model, for the near-name hint."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names.add(name)
        todo = [field.annotation]
        while todo:
            kind = todo.pop()
            todo.extend(getattr(kind, "__args__", ()))
            if isinstance(kind, type) and issubclass(kind, Closed) and kind not in seen:
                names |= _keys(kind, seen | {kind})
    return names
