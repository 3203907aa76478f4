"""Working starts for a user's own case, asset or network."""

from __future__ import annotations

import re
from pathlib import Path

from microgrid.errors import InvalidInput, Problem

CASE = """\
# yaml-language-server: $schema=./case.schema.json
# (write the schema once with: microgrid schema > case.schema.json)
name: {name}
title: campus of mining load behind one meter
time: {{start: 2025-07-15, end: 2025-07-16, step_min: 60, zone: America/Chicago, ends: wrap}}
network: single_bus

assets:
  grid: {{kind: poi, bus: POI, import_limit_mw: 60}}
  office: {{kind: facility_load, bus: CAMPUS, power_mw: 3}}
  battery: {{kind: battery, bus: CAMPUS, power_mw: 10, energy_mwh: 40, wear_usd_per_mwh: 4}}
  mining:
    kind: bitcoin_mining
    bus: CAMPUS
    hashprice_usd_per_ph_day: 50
    tiers:
      s21: {{model: Antminer S21, power_mw: 40}}

tariffs:
  retail:
    poi: grid
    tariff:
      id: {name}-retail
      timezone: America/Chicago
      series: {{rt: {{csv: prices.csv, column: price_usd_per_mwh, unit: $/MWh}}}}
      determinants: {{peak: {{kind: demand, window_min: 60}}}}
      charges:
        - {{id: energy, kind: energy, series: rt, adder: 0.006}}
        - {{id: demand, kind: demand, of: peak, price: 9.5}}
"""

ASSET = '''\
"""{title}: say in one line what it is."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from microgrid.assets.asset import Asset
from microgrid.formulation.block import Block
from microgrid.schema.quantity import Profile, quantity


class {cls}(Asset):
    """A load that may be shed at a price."""

    example: ClassVar[dict[str, Any]] = {{"kind": "{name}", "bus": "CAMPUS", "power_mw": 5.0,
    "shed_price_usd_per_mwh": 900.0}}

    kind: Literal["{name}"] = "{name}"
    power_mw: Profile = quantity("MW", "demand", symbol="d_t", ge=0)
    shed_price_usd_per_mwh: float = quantity("$/MWh", "price of shedding", symbol="v", ge=0)

    def formulate(self, block: Block) -> None:
        """Write the demand, what is shed of it, and its price."""
        steps, hours, demand = block.horizon.steps, block.horizon.hours, block.profile("power_mw")
        shed = block.variable("shed_mw", steps, "MW", "demand not served", upper=demand)

        @block.cost(steps)
        def shedding(t: int) -> Any:
            r"""v \\Delta_t s_t"""
            return self.shed_price_usd_per_mwh * hours[t] * shed[t]

        block.injects(lambda t: shed[t] - demand[t])
'''


def write_start(what: str, name: str, *, force: bool = False, folder: Path | None = None) -> list[Path]:
    """Write the files of a start and return them; existing ones are refused unless `force`."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise InvalidInput(
            Problem(
                "name must begin with a letter and hold letters, digits, - and _ only", "choose another", "NAME", name
            )
        )
    base = folder or Path.cwd()
    texts = {"case": _case, "asset": _asset, "network": _network}[what](name)
    paths = {base / relative: text for relative, text in texts.items()}
    taken = [str(path) for path in paths if path.exists()]
    if taken and not force:
        raise InvalidInput([Problem("file exists", "choose another name or add --force", file=path) for path in taken])
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(paths)


def _case(name: str) -> dict[str, str]:
    prices = [18 + 22 * max(0.0, 1.0 - abs(hour - 17) / 8) for hour in range(24)]
    rows = [f"2025-07-15T{hour:02d}:00,{price:.2f}" for hour, price in enumerate(prices)]
    return {
        f"{name}/case.yaml": CASE.format(name=name),
        f"{name}/prices.csv": "\n".join(["time,price_usd_per_mwh", *rows, ""]),
    }


def _asset(name: str) -> dict[str, str]:
    kind = name.replace("-", "_")
    title = kind.replace("_", " ").capitalize()
    return {
        f"{kind}.py": ASSET.format(name=kind, title=title, cls="".join(part.capitalize() for part in kind.split("_")))
    }


def _network(name: str) -> dict[str, str]:
    from microgrid.network.start import new_network_text  # noqa: PLC0415 - pandapower is slow to load

    return {f"{name}.py": new_network_text(name)}


__all__ = ["write_start"]
