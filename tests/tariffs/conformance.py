"""Read the conformance cases of ../shared/conformance/tariff as meter data and expectations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from microgrid.tariffs.model import Tariff
from microgrid.tariffs.read import read_tariff
from microgrid.tariffs.reading import MeterData

CASES = (
    "dervet-01-original-load",
    "eeco-01-pge-summer-3days",
    "hand-01-contract-floors-85-85-60",
    "hand-04-kva-billing",
    "hand-06-holiday-rules",
    "hand-07-dst-local-clock",
    "misc-02-oncor-transmission-100MW",
    "oracle-01-hours-use-block-step",
    "oracle-03-onpeak-ratchet-contract-min",
    "oracle-04-net-metering-kwh-bank",
    "reopt-01-lookback-35pct-all-months",
    "reopt-04-coincident-peaks",
    "reopt-06-tiered-tou-demand",
    "reopt-08-leap-2024",
    "ssc-01-tou-tiered-demand",
    "ssc-02-hours-use-block-step",
)


@dataclass(frozen=True)
class Case:
    """One case: the tariff, its metered runs by name, past peaks, what is expected."""

    tariff: Tariff
    runs: dict[str, MeterData]
    history: Any
    expected: dict[str, Any]


def load_case(folder: Path) -> Case:
    """Read a case; skips where its load file is not on this machine."""
    inputs = YAML(typ="safe").load((folder / "inputs.yaml").read_text())
    expected = json.loads((folder / "expected.json").read_text())
    calendar = inputs["calendar"]
    step = calendar["step_min"]
    times = pd.date_range(calendar["start"], periods=calendar["n"], freq=f"{step}min", tz=calendar.get("tz"))
    load, made = _load(folder, inputs["load"], len(times))
    factor = inputs.get("power_factor")
    runs = {
        "net_of_gen": MeterData.from_load(times, step, load, generation_kw=made, power_factor=factor),
        "load_only": MeterData.from_load(times, step, load, power_factor=factor),
    }
    if made is None:
        runs = {"only": runs["load_only"]}
    return Case(read_tariff(folder / "tariff.yaml"), runs, inputs.get("history", "first_year"), expected)


def _load(folder: Path, spec: dict[str, Any], count: int) -> tuple[np.ndarray, np.ndarray | None]:
    if "csv" in spec:
        path = folder.parent / spec["csv"]
        if not path.exists():
            pytest.skip(f"needs {spec['csv']}, which the shared conformance folder does not hold")
        table = pd.read_csv(path)
        made = table[spec["gen_column"]].to_numpy(float) if "gen_column" in spec else None
        return table[spec.get("column", spec.get("load_column"))].to_numpy(float), made
    if "arange_kw" in spec:
        return np.arange(spec["arange_kw"], dtype=float), None
    load = np.full(count, float(spec["base_kw"]))
    for place, value in spec.get("at_index_1based", {}).items():
        load[place - 1] = value
    return load, None
