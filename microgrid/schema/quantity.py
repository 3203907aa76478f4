"""Declare a physical field once: unit, meaning, symbol and limits.

Validation, the JSON Schema, `microgrid describe`, the docs tables and result attributes all read what is
declared here; nothing else states a unit or a limit again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import PydanticKnownError, core_schema


class Declared(BaseModel):
    """Base of every declared record: frozen, no unknown keys, no silent coercion of NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


@dataclass(frozen=True)
class Limits:
    """Limits of a number; a series in its place is checked step by step once it is aligned."""

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def broken(self, value: float) -> PydanticKnownError | None:
        """The limit that `value` breaks, as pydantic tells it; None when it keeps all."""
        if self.gt is not None and not value > self.gt:
            return PydanticKnownError("greater_than", {"gt": self.gt})
        if self.ge is not None and not value >= self.ge:
            return PydanticKnownError("greater_than_equal", {"ge": self.ge})
        if self.lt is not None and not value < self.lt:
            return PydanticKnownError("less_than", {"lt": self.lt})
        if self.le is not None and not value <= self.le:
            return PydanticKnownError("less_than_equal", {"le": self.le})
        return None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Check numbers after the field's own validation."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        wrong = self.broken(value) if isinstance(value, (int, float)) else None
        if wrong is not None:
            raise wrong
        return value

    def json_schema(self) -> dict[str, float]:
        """The limits as JSON Schema keywords (they bind numbers only)."""
        words = {"exclusiveMinimum": self.gt, "minimum": self.ge, "exclusiveMaximum": self.lt, "maximum": self.le}
        return {word: limit for word, limit in words.items() if limit is not None}


def quantity(  # noqa: PLR0913 - one keyword per declared attribute of a field
    unit: str,
    meaning: str,
    *,
    symbol: str = "",
    default: Any = ...,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    examples: list[Any] | None = None,
) -> Any:
    """Declare a field with its unit ("1" for pure numbers), meaning, LaTeX symbol and limits.

    A `default` of ``...`` makes the field required. The limits also hold for every value of a series; `describe` and
    the JSON Schema show them.
    """
    limits = Limits(gt, ge, lt, le)
    extra: dict[str, Any] = {"unit": unit, "symbol": symbol, **limits.json_schema()}
    declared = Field(default, description=meaning, examples=examples, json_schema_extra=extra)
    declared.metadata.append(limits)
    return declared


class Series(Declared):
    """A column of a file, with its unit, zone and stamp convention stated.

    The column is aligned to the case's time steps when the case is loaded: a coarser series is held, a finer
    one is averaged, and every gap, duplicate, NaN or missing hour is an error that names the row.
    """

    file: str = Field(description="CSV, Parquet or NetCDF file, relative to the case file")
    column: str = Field(description="column (or NetCDF variable) to read")
    unit: str = Field("", description="unit of the column; empty means the unit of the field")
    time: str = Field("time", description="column that holds the time stamps")
    zone: str = Field("", description="IANA zone of stamps without offset; empty means the case's zone")
    stamp: Literal["beginning", "ending"] = Field(
        "beginning", description="whether a stamp marks the beginning or the end of its interval"
    )
    scale: float = Field(1.0, description="factor applied to every value after unit conversion")

    @property
    def suffix(self) -> str:
        """File type in lower case, e.g. ``.csv``."""
        return PurePath(self.file).suffix.lower()


Profile = float | Series
"""A field that may be one number or a series over time."""

__all__ = ["Declared", "Limits", "Profile", "Series", "quantity"]
