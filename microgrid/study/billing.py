"""Bill a dispatch again from its meters and publish how far the optimiser's own sum is from the exact bill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import xarray as xr

from microgrid.case.model import Case
from microgrid.errors import Residual
from microgrid.results.dataset import COST
from microgrid.tariffs.part import TariffPart
from microgrid.tariffs.rebill import Rebill, rebill


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
    """A cent, the arithmetic of the money that flows, half a cent a line where the bill rounds, and named facets.

    The facets of apparent power understate the optimiser's demand by at most their stated share of it.
    """
    flow = float(made.bill.lines["amount"].abs().sum())
    rounded = any("rounding" in text for text in made.approximations)
    facets = next(
        (float(text.rsplit("up to ", 1)[1].split("%")[0]) / 100 for text in made.approximations if "kVA" in text), 0.0
    )
    return made.check.tolerance + 1e-9 * flow + (0.005 * len(made.bill.lines) if rounded else 0.0) + facets * flow


def bill_tariffs(case: Case, dispatch: xr.Dataset) -> Billing:
    """Bill every tariff of the case at its meter."""
    costs = {str(name).removeprefix(COST): dispatch[name].to_numpy() for name in dispatch if str(name).startswith(COST)}
    bills = {}
    for name, part in case.parts.items():
        if isinstance(part, TariffPart):
            bought, sold = dispatch[f"{part.poi}.import_mw"].to_numpy(), dispatch[f"{part.poi}.export_mw"].to_numpy()
            bills[name] = rebill(part, name, case.horizon, bought, sold, costs, inputs=case.inputs)
    return Billing(bills)


__all__ = ["Billing", "bill_tariffs"]
