"""Declare a physical field once: unit, meaning, symbol and limits.

Validation, the JSON Schema, `microgrid describe`, the docs tables and result attributes all read what is
declared here; nothing else states a unit or a limit again.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Declared(BaseModel):
    """Base of every declared record: frozen, no unknown keys, no silent coercion of NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


def quantity(  # noqa: PLR0913 - one keyword per declared attribute of a field
    unit: str,
    meaning: str,
    *,
    symbol: str = "",
    default: Any = ...,  # noqa: ANN401 - pydantic's own default type
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    examples: list[Any] | None = None,
) -> Any:  # noqa: ANN401 - a pydantic FieldInfo, typed Any so that `field: float = quantity(...)` checks
    """Declare a field with its unit ("1" for pure numbers), meaning, LaTeX symbol and limits.

    A `default` of ``...`` makes the field required. Limits are checked by pydantic and shown by
    `describe`.
    """
    return Field(
        default,
        gt=gt,
        ge=ge,
        lt=lt,
        le=le,
        description=meaning,
        examples=examples,
        json_schema_extra={"unit": unit, "symbol": symbol},
    )


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

__all__ = ["Declared", "Profile", "Series", "quantity"]
