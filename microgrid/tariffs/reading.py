"""What the biller reads from: metered data, the tariff's clock, past peaks, and what has been billed so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from microgrid.errors import InvalidInput, Problem
from microgrid.tariffs.axis import Axis
from microgrid.tariffs.export import Export

Channel = Literal["import", "export", "net", "gross_load"]
FIRST_YEAR = "first_year"
STEADY_STATE = "steady_state"
History = Mapping[str, Sequence[float]] | Literal["first_year", "steady_state"]
"""Past peaks by determinant, oldest first, ending with the cycle before the load begins; or the statement that there
were none (`first_year`), or that the load repeats itself (`steady_state`)."""


@dataclass(frozen=True)
class MeterData:
    """Metered power by interval, all arrays of shape (intervals,), interval averages, none negative.

    `times` begin the intervals (with offset, or local clock as it stands). `gross_load_kw` is the load behind the meter
    and `gross_generation_kw` the generation, needed by buy-all-sell-all only. `kva` and `kvar` are needed where the
    tariff bills them; `kvar` alone has a sign, lagging positive. `series` holds the tariff's own series by key, in the
    unit the tariff states.
    """

    times: pd.DatetimeIndex
    step_min: float
    import_kw: np.ndarray
    export_kw: np.ndarray
    gross_load_kw: np.ndarray | None = None
    gross_generation_kw: np.ndarray | None = None
    kva: np.ndarray | None = None
    kvar: np.ndarray | None = None
    series: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def from_load(
        cls,
        times: pd.DatetimeIndex,
        step_min: float,
        load_kw: np.ndarray,
        *,
        generation_kw: np.ndarray | None = None,
        power_factor: float | None = None,
        series: Mapping[str, np.ndarray] | None = None,
    ) -> MeterData:
        """Meter a load with optional generation behind the meter and a constant power factor of the import."""
        load = np.asarray(load_kw, dtype=float)
        made = np.zeros_like(load) if generation_kw is None else np.asarray(generation_kw, dtype=float)
        data = cls(
            times, step_min, np.maximum(load - made, 0.0), np.maximum(made - load, 0.0), load, made, series=series or {}
        )
        return data if power_factor is None else data.at_power_factor(power_factor)

    def at_power_factor(self, power_factor: float) -> MeterData:
        """Fill `kva` and `kvar` from a constant power factor of the import."""
        kva = self.import_kw / power_factor
        return replace(self, kva=kva, kvar=kva * np.sqrt(1.0 - power_factor**2))

    def with_values(self, **values: np.ndarray) -> MeterData:
        """Return the data with arrays filled in by field name."""
        return replace(self, **values)  # type: ignore[arg-type]

    def checked(self) -> MeterData:
        """Return the data, or raise with every array that has a wrong length, a gap or a negative value."""
        problems = [
            problem
            for name in ("import_kw", "export_kw", "gross_load_kw", "gross_generation_kw", "kva", "kvar")
            if (values := getattr(self, name)) is not None
            for problem in _array_problems(name, values, len(self.times), negative_allowed=name == "kvar")
        ]
        for name, values in self.series.items():
            problems += _array_problems(f"series.{name}", values, len(self.times), negative_allowed=True)
        if len(self.times) == 0:
            problems.append(Problem("the load has no interval", "give at least one row", "times"))
        if problems:
            raise InvalidInput(problems)
        return self


def _array_problems(name: str, values: np.ndarray, count: int, *, negative_allowed: bool) -> list[Problem]:
    if len(values) != count:
        return [Problem(f"has {len(values)} values for {count} intervals", "give one value an interval", name)]
    broken = ~np.isfinite(values)
    if broken.any():
        return [Problem(f"value of row {int(np.argmax(broken)) + 1} is missing", "fill or cut the gap", name)]
    if not negative_allowed and (values < 0).any():
        row = int(np.argmax(values < 0))
        return [Problem(f"row {row + 1} is negative", "give import and export apart, both positive", name)]
    return []


@dataclass
class Reading:
    """Biller's page: measured quantities by determinant and amounts by charge, each of shape (cycles,).

    `import_kw` and `export_kw` are what energy charges see, after the export scheme's netting and supply blocks;
    demand is always measured on `load`. `values` holds the tariff's series by key, prices in money a kWh.
    """

    axis: Axis
    load: MeterData
    contract: Mapping[str, float]
    history: History | None
    import_kw: np.ndarray
    export_kw: np.ndarray
    supplied_kw: np.ndarray = field(default_factory=lambda: np.zeros(0))
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    export: Export | None = None
    determinants: dict[str, np.ndarray] = field(default_factory=dict)
    credits: dict[str, np.ndarray] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def metered(self, channel: Channel) -> np.ndarray:
        """Power of a metering channel by interval, kW."""
        if channel == "import":
            return self.load.import_kw
        if channel == "export":
            return self.load.export_kw
        if channel == "net":
            return np.asarray(self.load.import_kw - self.load.export_kw)
        return self.needed(self.load.gross_load_kw, "gross_load_kw", "the load behind the meter")

    def apparent_kva(self) -> np.ndarray:
        """Apparent power of the import by interval, kVA."""
        return self.needed(self.load.kva, "kva", "apparent power or a power factor")

    def reactive_kvar(self) -> np.ndarray:
        """Reactive power of the import by interval, kvar, lagging positive; a tariff series `kvar` serves as well."""
        given = self.load.kvar if self.load.kvar is not None else self.values.get("kvar")
        return self.needed(given, "kvar", "reactive power or a power factor")

    def series(self, key: str) -> np.ndarray:
        """Values of a tariff series by interval."""
        return self.needed(self.values.get(key), f"series.{key}", f"values of the tariff's series `{key}`")

    def needed(self, values: np.ndarray | None, name: str, what: str) -> np.ndarray:
        """Return the values, or raise that the tariff cannot be billed without them."""
        if values is None:
            raise InvalidInput(
                Problem(f"the tariff bills on {what}, which the load does not have", f"give {name}", name)
            )
        return np.asarray(values, dtype=float)

    def amount(self, name: str | float) -> float:
        """Return a number as it stands, or the contract value of that name."""
        return float(self.contract[name]) if isinstance(name, str) else float(name)


__all__ = ["FIRST_YEAR", "STEADY_STATE", "Channel", "History", "MeterData", "Reading"]
