"""Price exports of the market operators, in the layouts they publish.

* ERCOT NP4-190-CD (day-ahead) and NP6-905-CD (real-time) settlement point prices, and their yearly archives: local
  hour-ending labels, the doubled hour marked by a flag.
* PJM Data Miner 2 hourly and five-minute LMPs: UTC beginnings beside local ones.
* CAISO OASIS PRC_LMP and PRC_INTVL_LMP: UTC beginnings, one row for each component of the price.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from microgrid.case.imports.clock import flagged_beginnings, usual_step
from microgrid.case.imports.market_stamps import caiso_times, dates, pjm_times, whole
from microgrid.case.imports.options import ImportOptions
from microgrid.case.imports.regular import RawSeries
from microgrid.case.imports.table import column_named, numbers, read_rows
from microgrid.errors import InvalidInput, Problem

PRICE = "price_usd_per_mwh"


def ercot_prices(path: Path, options: ImportOptions) -> RawSeries:
    """ERCOT settlement point prices, hourly or quarter-hourly; `options.node` names the settlement point."""
    points = ("SettlementPoint", "SettlementPointName")
    needed = [("DeliveryDate",), ("HourEnding", "DeliveryHour"), ("SettlementPointPrice",)]
    rows = _settled_once(read_rows(path, needed, points, options.node))
    hour = whole(rows["hourending"].str.split(":").str[0], "hour", path.name)
    quarter = whole(rows["deliveryinterval"], "interval", path.name) if "deliveryinterval" in rows else None
    day = dates(rows["deliverydate"], "%m/%d/%Y", path.name)
    minutes = (hour - 1) * 60 + (0 if quarter is None else (quarter - 1) * 15)
    begin = day + pd.to_timedelta(minutes, unit="min")
    flag = column_named(rows, ("DSTFlag", "RepeatedHourFlag"))
    repeated = (
        (rows[flag].str.strip().str.upper() == "Y").to_numpy(dtype=bool) if flag else np.zeros(len(rows), dtype=bool)
    )
    times, notes = flagged_beginnings(begin, repeated, "America/Chicago", path.name)
    market = "day-ahead hourly" if quarter is None else "real-time 15-minute"
    step = pd.Timedelta("1h" if quarter is None else "15min")
    notes = [f"ERCOT {market} settlement point prices, hour-ending labels moved to the beginning", *notes]
    return RawSeries(
        times, {PRICE: numbers(rows, "settlementpointprice", path.name)}, {PRICE: "$/MWh"}, step, tuple(notes)
    )


def pjm_prices(path: Path, options: ImportOptions) -> RawSeries:
    """PJM LMPs of Data Miner 2; `options.node` is a pnode_name, `options.column` another price than the total LMP."""
    needed = [("datetime_beginning_utc",)]
    rows = read_rows(path, needed, ("pnode_name", "pnode_id"), options.node)
    if "rowiscurrent" in rows:
        rows = rows[rows["rowiscurrent"].str.strip().str.upper().isin(["TRUE", "1", "T"])]
    totals = [options.column] if options.column else ["total_lmp_rt", "total_lmp_da", "total_lmp"]
    price = column_named(rows, totals)
    if not price:
        remedy = "name the column, such as total_lmp_rt"
        raise InvalidInput(Problem(f"{path.name} has no column {totals[0]}", remedy, "column"))
    times = pjm_times(rows["datetimebeginningutc"], path.name)
    note = f"PJM Data Miner column {price}, UTC interval-beginning"
    return RawSeries(times, {PRICE: numbers(rows, price, path.name)}, {PRICE: "$/MWh"}, usual_step(times), (note,))


def caiso_prices(path: Path, options: ImportOptions) -> RawSeries:
    """CAISO OASIS LMPs; only rows of LMP_TYPE LMP (the total) are kept. `options.node` names the pricing node."""
    needed = [("INTERVALSTARTTIME_GMT",), ("MW", "VALUE", "PRC", "LMP_PRC")]
    rows = read_rows(path, needed, ("NODE", "NODE_ID", "NODE_ID_XML"), options.node)
    kind = column_named(rows, ("LMP_TYPE",))
    if kind:
        rows = rows[rows[kind].str.strip() == "LMP"]
    times = caiso_times(rows["intervalstarttimegmt"], path.name)
    note = "CAISO OASIS total LMP, GMT interval-beginning"
    return RawSeries(times, {PRICE: numbers(rows, "mw", path.name)}, {PRICE: "$/MWh"}, usual_step(times), (note,))


def _settled_once(rows: pd.DataFrame) -> pd.DataFrame:
    """One row an interval: a load zone appears with its simple and its energy-weighted price, the first is kept."""
    if "settlementpointtype" not in rows or rows["settlementpointtype"].nunique() < 2:
        return rows
    weighted = rows["settlementpointtype"].str.strip().str.endswith("EW")
    return rows[~weighted]


__all__ = ["PRICE", "caiso_prices", "ercot_prices", "pjm_prices"]
