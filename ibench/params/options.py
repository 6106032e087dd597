"""Options that several commands share, and options made from a model's fields.

A command declares the options that it reads and no others.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args, get_origin

from pydantic import BeforeValidator, ValidationError
from pydantic.fields import FieldInfo
from typer import Argument, Option

from ibench import REPOSITORY
from ibench.errors import ParameterError
from ibench.records import Closed

__all__ = [
    "CACHE", "NOTEBOOKS", "PAPER", "PARAMS", "PUBLISHED", "RESULTS", "SCENARIO", "Run",
"parameter", "replaced", "with_options",
]  # fmt: skip

ModelT = TypeVar("ModelT", bound=Closed)
Run: TypeAlias = Callable[..., int]
Build: TypeAlias = Callable[..., Any]

PARAMS = Option(Path("params"), help="Folder of the parameter files.")
RESULTS = Option(Path("results"), help="Folder of the results.")
NOTEBOOKS = Option(Path("notebooks"), help="Folder of the notebooks.")
PUBLISHED = Option(Path("results/published"), help="Folder of published numbers.")
PAPER = Option(Path("results/paper"), help="Folder to write.")
CACHE = Option(REPOSITORY / ".cache", help="Folder of models, data and engines.")
SCENARIO = Option("a", help="Scenario whose load is sent.")


def parameter(name: str, kind: Any, given: Any) -> inspect.Parameter:  # noqa: ANN401
    """Describe one option or argument as a parameter of a function."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=given, annotation=kind)


def replaced(
    command: Run, name: str, options: Sequence[inspect.Parameter], build: Build
) -> Run:
    """Put several options in place of one parameter of a command.

    Args:
        command: the function behind the command.
        name: its parameter, whose value is built of the options.
        options: what the command line takes instead.
        build: makes the value of the options' values.
    """
    own = inspect.signature(command, eval_str=True).parameters

    def run(**values: Any) -> int:  # noqa: ANN401 (what each option takes)
        given = {o.name: values.pop(o.name) for o in options}
        return command(**{name: build(**given)}, **values)

    keyword = inspect.Parameter.KEYWORD_ONLY
    left = [p.replace(kind=keyword) for p in own.values() if p.name != name]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature([*options, *left])  # type: ignore[attr-defined]
    return run


def with_options(model: type[Closed]) -> Callable[[Run], Run]:
    """Give a command an option for every field of the model that it takes as ``spec``.

    A field without a default becomes an argument, a model among the fields gives its
    own fields, and its ``kind`` takes the name of the field that holds it.
    """

    def decorate(command: Run) -> Run:
        options = [_parameter(name, *found) for name, found in _places(model).items()]
        build = partial(_validated, model, command.__name__)
        return replaced(command, "spec", options, build)

    return decorate


def _places(
    model: type[Closed], outer: tuple[str, ...] = ()
) -> dict[str, tuple[tuple[str, ...], FieldInfo]]:
    """Find path and field by option name, for models among the fields too."""
    found = dict[str, tuple[tuple[str, ...], FieldInfo]]()
    for name, field in model.model_fields.items():
        kind, place = field.annotation, (*outer, name)
        if isinstance(kind, type) and issubclass(kind, Closed) and not _is_text(field):
            found |= _places(kind, place)
        else:
            found[outer[-1] if outer and name == "kind" else name] = (place, field)
    return found


def _is_text(field: FieldInfo) -> bool:
    """Whether a field is written as one word, which its own validator reads."""
    return any(isinstance(m, BeforeValidator) for m in field.metadata)


def _parameter(
    name: str, place: tuple[str, ...], field: FieldInfo
) -> inspect.Parameter:
    kind: Any = str if _is_text(field) else field.annotation
    if field.is_required():
        return parameter(name, kind, Argument(help=field.description))
    default = str(field.default) if _is_text(field) else field.default
    choices, text = get_args(kind), field.description
    # Beside a long list of choices no text fits into 80 columns.
    metavar = "NAME" if get_origin(kind) is Literal else None
    text = f"{text} One of {', '.join(choices)}." if metavar else text
    panel = f"Options of the {place[-2]}" if place[1:] else "Options"
    given = Option(default, help=text, metavar=metavar, rich_help_panel=panel)
    return parameter(name, kind, given)


def _validated(model: type[ModelT], command: str, /, **given: Any) -> ModelT:  # noqa: ANN401
    """Build the model of a command's values.

    Raises:
        ParameterError: a value that its field refuses; the option is named.
    """
    values: dict[str, Any] = {}
    options = {}
    for name, ((*outer, last), field) in _places(model).items():
        below = values
        for key in outer:
            below = below.setdefault(key, {})
        below[last] = given[name]
        options[(*outer, last)] = name if field.is_required() else f"--{name}"
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = first["loc"]
        near = [name for place, name in options.items() if place == at[: len(place)]]
        key = (near or [str(at[0])])[0].replace("_", "-")
        remedy = str(first["msg"]).removeprefix("Value error, ")
        raise ParameterError(command, key, first["input"], remedy) from error
