"""What a user can say about a file that the file does not say itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from microgrid.schema.quantity import Declared, quantity


class ImportOptions(Declared):
    """Statements about a file; an importer asks for the ones it cannot do without."""

    node: str = Field("", description="settlement point, pricing node, zone, load area or service to keep")
    column: str = Field("", description="column that holds the values")
    time: str = Field("", description="column that holds the time stamps")
    time_format: str = Field("", description="strptime pattern of the stamps, where they are not ISO 8601")
    zone: str = Field("", description="IANA zone of stamps without offset")
    stamp: Literal["", "beginning", "ending"] = Field("", description="what a stamp marks; empty: as the file tells")
    clock: Literal["strict", "standard", "smoothed"] = Field(
        "strict",
        description="how local stamps treat clock changes: strict (skipped hour absent, doubled hour twice), standard "
        "(standard time all year), smoothed (24 rows every day: the skipped hour's row is dropped, the doubled hour's "
        "row counts for both)",
    )
    unit: str = Field("", description="unit of the values, where the header does not tell")
    year: int = quantity("1", "calendar year onto which a typical year is laid", default=0, ge=0)
    fill: Literal["none", "hold", "interpolate"] = Field("none", description="how short gaps are filled")
    longest_gap_h: float = quantity("h", "longest gap that is filled", default=6.0, gt=0)
    start: str = Field("", description="beginning of the first row (ISO 8601) where a file has no stamps")
    step_min: int = quantity("min", "step where a file has no stamps, or counts events", default=60, ge=1)


__all__ = ["ImportOptions"]
