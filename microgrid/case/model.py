"""A loaded case: what is studied, on which network, over which time, with aligned inputs."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from microgrid.assets.asset import Asset
from microgrid.formulation.connection import Connection
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared, quantity
from microgrid.schema.spelling import did_you_mean


class TimeWindow(Declared):
    """The steps of the case."""

    start: str = Field(description="first instant, local date or time (ISO 8601), e.g. 2025-07-15 or 2025-07-15T06:00")
    end: str = Field(description="last instant, exclusive, in the same form")
    step_min: Literal[5, 15, 30, 60] = Field(60, description="length of a step in minutes")
    zone: str = Field(description="IANA time zone, e.g. America/Chicago")
    ends: Literal["wrap", "fixed"] = Field(
        "fixed", description="wrap: the last instant is the first again (steady state); fixed: parts state their ends"
    )

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as unknown:
            near = did_you_mean(zone, available_timezones(), "")
            raise ValueError(f"not an IANA time zone{f'; {near}' if near else ''}") from unknown
        return zone

    @model_validator(mode="after")
    def _steps_are_whole(self) -> Self:
        span = self._instant("end") - self._instant("start")
        if span <= pd.Timedelta(0):
            raise ValueError(f"the window from {self.start} to {self.end} has no hours: end must lie after start")
        if span % pd.Timedelta(minutes=self.step_min):
            raise ValueError(f"the window is not a whole number of {self.step_min}-min steps")
        return self

    def _instant(self, field: Literal["start", "end"]) -> pd.Timestamp:
        text = self.start if field == "start" else self.end
        try:
            stamp = pd.Timestamp(text)
            local = stamp.tz_localize(self.zone) if stamp.tzinfo is None else stamp
        except Exception as wrong:
            raise ValueError(f"{field} {text!r} is not a local date or time in {self.zone} ({wrong})") from wrong
        return local.tz_convert("UTC")

    def horizon(self) -> Horizon:
        """Time axis of the window."""
        start, end = self._instant("start"), self._instant("end")
        count = int((end - start) / pd.Timedelta(minutes=self.step_min))
        return Horizon(start, self.step_min, count, self.zone, self.ends == "wrap")


class SolveOptions(Declared):
    """How far to solve."""

    gap: float = quantity("1", "relative gap to prove", default=1e-3, gt=0, lt=1)
    time_limit_s: float = quantity("s", "wall time after which an unproven solve ends", default=1800.0, gt=0)
    secure: Literal["none", "n0", "n1"] = Field(
        "none",
        description="network limits that the dispatch must keep: none, n0 (intact), n1 (after any single outage)",
    )


class CaseHeader(Declared):
    """Everything of a case file except its parts."""

    name: str = Field(description="short name, letters, digits, - and _", pattern=r"^[A-Za-z0-9_-]+$")
    title: str = Field("", description="one line that says what the case is")
    time: TimeWindow = Field(description="the steps of the case")
    network: str = Field(
        "", description="network by name or path (.py with build(), or pandapower .json); empty for none"
    )
    solve: SolveOptions = Field(default_factory=SolveOptions, description="how far to solve")
    plugins: tuple[str, ...] = Field((), description="Python files with own assets; the only thing a case executes")


@dataclass(frozen=True)
class Case:
    """A validated case.

    `parts` holds assets, then programs, then tariffs, by name, in the order in which they write their pages; `inputs`
    holds every series aligned to the horizon under ``part.field``; `resolved` is the case file with overrides applied;
    `loaded` is the network in which its buses were found.
    """

    header: CaseHeader
    parts: Mapping[str, Declared]
    inputs: Mapping[str, np.ndarray]
    units: Mapping[str, str]
    resolved: Mapping[str, Any]
    folder: Path
    files: Mapping[str, str]
    loaded: Any = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Short name of the case."""
        return self.header.name

    @cached_property
    def horizon(self) -> Horizon:
        """Time axis of the case."""
        return self.header.time.horizon()

    @property
    def assets(self) -> dict[str, Asset]:
        """Parts that have a bus."""
        return {name: part for name, part in self.parts.items() if isinstance(part, Asset)}

    def network(self) -> Any:
        """The case's network, a copy that may be changed: to build one takes half a second, to copy it 0.02 s."""
        return build_network(self.header.network, self.folder) if self.loaded is None else deepcopy(self.loaded)

    def connections(self) -> list[Connection]:
        """Where every asset connects."""
        return [link for name, asset in self.assets.items() for link in asset.connections(name)]


def build_network(network: str, folder: Path) -> Any:
    """The network of that name, or at that path, which may lie beside the case."""
    from microgrid.network.load import load_network  # noqa: PLC0415 - pandapower loads only for cases with a network

    beside = folder / network
    return load_network(beside if beside.suffix and beside.is_file() else network)


__all__ = ["Case", "CaseHeader", "SolveOptions", "TimeWindow", "build_network"]
