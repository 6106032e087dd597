"""Kinds of results: each benchmark registers those that its stages publish."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BeforeValidator, SerializeAsAny

from ibench.records.base import Closed

__all__ = ["Result", "register_results"]

ResultT = TypeVar("ResultT", bound=Closed)
_KINDS: dict[str, type[Closed]] = {}


def register_results(*models: type[Closed]) -> None:
    """Let records hold results of these models, told apart by their ``kind``.

    Raises:
        ValueError: a model has no ``kind``, or another model has the same.
    """
    for model in models:
        field = model.model_fields.get("kind")
        if field is None or not isinstance(field.default, str):
            raise ValueError(f"{model.__name__} has no kind")
        known = _KINDS.get(field.default, model)
        # A module that was loaded anew brings the same model as another object.
        if (known.__module__, known.__qualname__) != (
            model.__module__,
            model.__qualname__,
        ):
            raise ValueError(
                f"{model.__name__}: kind {field.default!r} is {known.__name__}'s"
            )
        _KINDS[field.default] = model


def _typed(value: Any) -> Any:  # noqa: ANN401 (before validation)
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    if kind not in _KINDS:
        raise ValueError(f"result of a kind that no benchmark registered: {kind!r}")
    return _KINDS[kind].model_validate(value)


Result: TypeAlias = Annotated[SerializeAsAny[Closed], BeforeValidator(_typed)]
"""What a stage publishes: a model of any registered kind."""
