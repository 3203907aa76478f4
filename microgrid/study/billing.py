"""Bill a dispatch again from its meters and publish how far the optimiser's own sum is from the exact bill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from microgrid.case.model import Case
from microgrid.errors import Residual
from microgrid.results.dataset import COST
from microgrid.tariffs.meter import bills_reactive
from microgrid.tariffs.part import TariffPart
from microgrid.tariffs.rebill import NEXT_YEAR, Rebill, rebill

METERED = ("reactive_mvar", "gross_load_mw", "gross_generation_mw")
"""What a tariff meters beside import and export, by the names under which it reports them."""


TWICE = "coincident_peak"
"""Kind of the programs that weigh coincident peaks as well."""


@dataclass(frozen=True)
class Billing:
    """Bills by tariff part."""

    bills: Mapping[str, Rebill]

    @property
    def residuals(self) -> tuple[Residual, ...]:
        """Optimiser against bill, one certificate a tariff."""
        return tuple(
            Residual(f"bill of {name}", made.check.value, _tolerance(made), "USD", made.check.where)
            for name, made in self.bills.items()
        )

    @property
    def table(self) -> pd.DataFrame:
        """Every line of every bill, in USD."""
        frames = [made.bill.lines.assign(tariff=name) for name, made in self.bills.items()]
        if not frames:
            return pd.DataFrame(columns=["tariff", "cycle", "charge", "amount"])
        table = pd.concat(frames, ignore_index=True)
        return table[["tariff", *(column for column in table.columns if column != "tariff")]]

    def summary(self) -> list[dict[str, Any]]:
        """Money by tariff and charge."""
        return [
            {"tariff": name, "charge": charge, "usd": amount}
            for name, made in self.bills.items()
            for charge, amount in made.bill.by_charge.items()
            if amount
        ]

    def notes(self) -> list[str]:
        """Conventions and approximations that decided something."""
        return [
            f"{name}: {note}" for name, made in self.bills.items() for note in (*made.bill.notes, *made.approximations)
        ]


def _tolerance(made: Rebill) -> float:
    """A cent, the arithmetic of the money that flows, half a cent a line where the bill rounds, and what is named.

    The facets of apparent power move the charges that it feeds, and tiers that are shared freely lower their own;
    neither excuses a difference in another charge or in the other direction.
    """
    flow = float(made.bill.lines["amount"].abs().sum())
    rounded = any("rounding" in text for text in made.approximations)
    cents = 0.005 * len(made.bill.lines) if rounded else 0.0
    return made.check.tolerance + 1e-9 * flow + cents + made.allowed_usd


def bill_tariffs(case: Case, dispatch: xr.Dataset) -> Billing:
    """Bill every tariff of the case at its meter."""
    costs = {str(name).removeprefix(COST): dispatch[name].to_numpy() for name in dispatch if str(name).startswith(COST)}
    bills = {}
    for name, part in case.parts.items():
        if isinstance(part, TariffPart):
            bought, sold = dispatch[f"{part.poi}.import_mw"].to_numpy(), dispatch[f"{part.poi}.export_mw"].to_numpy()
            apart = {key: dispatch[f"{name}.{key}"].to_numpy() for key in METERED if f"{name}.{key}" in dispatch}
            bills[name] = rebill(part, name, case.horizon, bought, sold, costs, inputs=case.inputs, **apart)
    return Billing(bills)


def twice_notes(case: Case, billing: Billing) -> list[str]:
    """Meters at which a tariff and a program both weigh what coincident peaks bill next year."""
    programs = {
        getattr(part, "poi", ""): name for name, part in case.parts.items() if getattr(part, "kind", "") == TWICE
    }
    return [
        f"{name}: next year's bill of this year's coincident peaks is weighed here ({made.next_year_usd:,.0f} USD) and "
        f"by the program {programs[part.poi]}; state `weigh_next_year: false` beside the tariff if they are one charge"
        for name, made in billing.bills.items()
        if any(NEXT_YEAR in item for item in made.by_charge_usd)
        and isinstance(part := case.parts[name], TariffPart)
        and part.poi in programs
    ]


def reactive_notes(case: Case, dispatch: xr.Dataset, billing: Billing, meter_mvar: np.ndarray) -> list[str]:
    """What bills of apparent or reactive power would be at the Q that the AC power flow finds at the meter.

    The dispatch takes reactive power from power factors; lines, transformers and voltage regulators add theirs.
    `meter_mvar` has shape (steps,), lagging positive, NaN where a step has no solution.
    """
    notes = []
    for name, made in billing.bills.items():
        part = case.parts[name]
        if not isinstance(part, TariffPart) or not bills_reactive(part.tariff) or np.isnan(meter_mvar).any():
            continue
        bought, sold = dispatch[f"{part.poi}.import_mw"].to_numpy(), dispatch[f"{part.poi}.export_mw"].to_numpy()
        actual = rebill(part, name, case.horizon, bought, sold, {}, inputs=case.inputs, reactive_mvar=meter_mvar)
        more = actual.bill.total - made.bill.total
        source = "the stated power factor" if part.power_factor is not None else "the parts' power factors"
        change = f"{abs(more):,.0f} USD {'more' if more >= 0 else 'less'}" if abs(more) >= 1.0 else "the same"
        notes.append(
            f"{name}: reactive power follows {source}; at the Q that the AC power flow finds at the meter the bill is "
            f"{change}"
        )
    return notes


__all__ = ["Billing", "bill_tariffs", "reactive_notes", "twice_notes"]
