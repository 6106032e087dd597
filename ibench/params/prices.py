"""``params/prices``: dated lists of dollars per million tokens."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ibench.params.files import load_yaml
from ibench.records import Closed

__all__ = ["Price", "Prices", "latest_prices"]


class Price(Closed):
    """Dollars per million tokens of one model."""

    input: float = Field(ge=0)
    cached: float = Field(ge=0, description="read from the provider's cache")
    output: float = Field(ge=0)


class Prices(Closed):
    """A dated price list."""

    as_of: str = Field(pattern=r"^\d{4}-\d{2}$")
    models: dict[str, Price]


def latest_prices(params: Path) -> Prices:
    """Load the newest list of ``params/prices``.

    Raises:
        ParameterError: the file is not a price list.
    """
    newest = max((params / "prices").glob("*.yaml"), key=lambda p: p.stem)
    return load_yaml(Prices, newest)
