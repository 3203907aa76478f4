"""How export is settled: the scheme's declaration, and the netting that energy charges see."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from microgrid.schema.quantity import Declared
from microgrid.tariffs.axis import Axis
from microgrid.tariffs.calendar import Month
from microgrid.tariffs.prices import Price

Scheme = Literal[
    "none",
    "net_metering_kwh",
    "net_metering_dollar",
    "net_billing",
    "net_billing_dollar_carry",
    "feed_in",
    "buy_all_sell_all",
]
NET_METERING = ("net_metering_kwh", "net_metering_dollar")
DOLLAR_BANK = ("net_metering_dollar", "net_billing_dollar_carry")


class Export(Declared):
    """Export scheme.

    - `net_metering_kwh`: import and export net in each cycle and TOU period; surplus kWh wait in a bank for the period.
    - `net_metering_dollar`: the surplus is credited at `credit_price` (retail when absent) into a dollar bank.
    - `net_billing`, `feed_in`: export is paid by charges on the export channel, in the same bill.
    - `net_billing_dollar_carry`: those payments go to a dollar bank that offsets later charges (`offsets`).
    - `buy_all_sell_all`: all load is bought and all generation sold.

    `netting: hour` nets import against export within each clock hour, spread evenly over it, before energy is priced. A
    bank closes after the cycle that begins in `true_up_month`; what is left is cashed at `true_up_price` ($/kWh, or $
    for each $ of a dollar bank) or lost. kWh are cashed on the running total of all periods together, or, with
    `true_up_on: banks`, on the sum of the period banks. `nonbypassable` is charged on all import. `cap_kw` and
    `cap_pct_of_import` limit what is credited.
    """

    scheme: Scheme
    netting: Literal["interval", "hour", "cycle"] = "cycle"
    carry: Literal["expire", "month_to_month"] = "month_to_month"
    true_up_month: Month | None = None
    true_up_price: float | None = None
    true_up_on: Literal["running_total", "banks"] = "running_total"
    credit_price: Price | None = Field(None, description="$/kWh of surplus (net_metering_dollar)")
    apply_in_current_month: bool = False
    cap_kw: float | None = Field(None, ge=0)
    cap_pct_of_import: float | None = Field(None, ge=0, description="credited export, fraction of the cycle's import")
    nonbypassable: float = 0.0
    offsets: tuple[Literal["energy", "demand", "fixed"], ...] = ("energy",)

    @model_validator(mode="after")
    def _true_up_whole(self) -> Export:
        if self.true_up_price is not None and self.true_up_month is None:
            raise ValueError("`true_up_price` has no month to be paid in: state `true_up_month`")
        return self

    def closes(self, month: np.ndarray) -> np.ndarray:
        """Whether the bank closes after each cycle, shape (cycles,); every cycle when credit expires at once."""
        if self.carry == "expire":
            return np.ones(month.size, dtype=bool)
        return np.asarray(month == (self.true_up_month or 0))

    def priced_power(self, import_kw: np.ndarray, export_kw: np.ndarray, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
        """Import and export by interval as energy charges see them, kW."""
        if self.netting == "hour" and self.scheme not in NET_METERING:
            import_kw, export_kw = _net_within_hours(import_kw, export_kw, axis)
        if self.cap_kw is not None:
            export_kw = np.minimum(export_kw, self.cap_kw)
        if self.cap_pct_of_import is not None:
            export_kw = export_kw * _credited_share(import_kw, export_kw, axis, self.cap_pct_of_import)
        return import_kw, export_kw


def hour_of(axis: Axis) -> np.ndarray:
    """Number of the clock hour of each interval, from 0."""
    hour = axis.true_min // 60
    return np.asarray(np.cumsum(np.diff(hour, prepend=hour[:1]) != 0))


def _net_within_hours(import_kw: np.ndarray, export_kw: np.ndarray, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Mean net of each clock hour, the same in all its intervals."""
    hour = hour_of(axis)
    net = (np.bincount(hour, import_kw - export_kw) / np.bincount(hour))[hour]
    return np.maximum(net, 0.0), np.maximum(-net, 0.0)


def _credited_share(import_kw: np.ndarray, export_kw: np.ndarray, axis: Axis, fraction: float) -> np.ndarray:
    of = axis.cycles.of
    bought, sold = np.bincount(of, import_kw), np.bincount(of, export_kw)
    share = np.divide(fraction * bought, sold, out=np.ones(sold.size), where=sold > 0.0)
    return np.asarray(np.minimum(share, 1.0)[of])


__all__ = ["DOLLAR_BANK", "NET_METERING", "Export", "Scheme", "hour_of"]
