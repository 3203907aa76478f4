"""The exact bill of a load under a tariff: itemised, vectorised, rounded only where the tariff rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from microgrid.errors import InvalidInput, Problem
from microgrid.tariffs.axis import Axis
from microgrid.tariffs.charges import AnyCharge, DemandCharge, EnergyCharge, Fixed, MinimumBill, NetMeteredEnergy
from microgrid.tariffs.credit_bank import bill_credits
from microgrid.tariffs.determinants.billing_demand import MaxOf, missing_history
from microgrid.tariffs.determinants.past import Missing
from microgrid.tariffs.effective import period_notes, period_problems
from microgrid.tariffs.ledger import Ledger, cents
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.partial import Partial, settle_partial
from microgrid.tariffs.reading import History, MeterData, Reading

NONBYPASSABLE, ROUNDING = "nonbypassable", "rounding"


@dataclass(frozen=True)
class Bill:
    """What a load costs.

    `cycles` are the labels of the billing cycles; `entries` the ledger; `amounts` money by charge, each of shape
    (cycles,), in the order billed; `determinants` kW or kWh by name, each of shape (cycles,); `notes` says every
    convention that decided something.
    """

    tariff: str
    currency: str
    cycles: tuple[str, ...]
    amounts: Mapping[str, np.ndarray]
    determinants: Mapping[str, np.ndarray]
    notes: tuple[str, ...]
    ledger: Ledger = field(repr=False)

    @property
    def total(self) -> float:
        """Money of all cycles."""
        return float(self.by_cycle.sum())

    @property
    def by_cycle(self) -> np.ndarray:
        """Money by cycle, shape (cycles,)."""
        return np.asarray(sum(self.amounts.values(), np.zeros(len(self.cycles))))

    @property
    def by_charge(self) -> dict[str, float]:
        """Money by charge over all cycles."""
        return {name: float(amount.sum()) for name, amount in self.amounts.items()}

    @cached_property
    def lines(self) -> pd.DataFrame:
        """Every line: cycle, charge, kind, tags, period, tier, quantity, unit, unit price, amount."""
        return self.ledger.table()

    def monthly(self) -> pd.DataFrame:
        """Money by cycle (rows) and charge (columns), with a `total` column."""
        table = pd.DataFrame(dict(self.amounts), index=pd.Index(self.cycles, name="cycle"))
        return table.assign(total=self.by_cycle)

    def billing_determinants(self) -> pd.DataFrame:
        """Quantities by cycle (rows) and determinant (columns)."""
        return pd.DataFrame(dict(self.determinants), index=pd.Index(self.cycles, name="cycle"))


def bill(
    tariff: Tariff,
    load: MeterData,
    *,
    history: History | None = None,
    allow_other_year: bool = False,
    axis: Axis | None = None,
    partial: Partial = "bill",
) -> Bill:
    """Bill a load; exact in double precision, and to the cent where the tariff rounds.

    `history` (past peaks, `first_year` or `steady_state`) overrides the tariff's own. A cycle that the load covers only
    in part is settled as `partial` says (see `Partial`), by default in full with a note. `axis` may be passed to
    bill many loads on the same intervals. Raises InvalidInput for missing data, missing history, a gap in a calendar,
    or a load outside the tariff's dates (unless `allow_other_year`).
    """
    if not allow_other_year and (problems := period_problems(tariff, load.times)):
        raise InvalidInput(problems)
    load = load.checked()
    load, axis = settle_partial(tariff, load, axis or tariff.axis(load.times, load.step_min), partial)
    reading = read_meter(tariff, load, history=history, axis=axis)
    if reading.missing:
        raise InvalidInput([missing_history(Missing(ref, cycles)) for ref, cycles in reading.missing.items()])
    ledger = Ledger(reading.axis.cycles.labels, cents=tariff.billing.rounding == "cent_per_line")
    _bill_supply(tariff, reading, ledger)
    for charge in with_defaults(tariff):
        ledger.open(charge.id, charge.kind, charge.tags)
        _bill_charge(tariff, charge, reading, ledger)
    _bill_nonbypassable(tariff, reading, ledger)
    bill_credits(tariff.charges, reading, ledger)
    for program in tariff.programs:
        program.bill(reading, ledger)
    if tariff.billing.rounding == "cent_per_bill":
        _round_bill(ledger)
    return Bill(
        tariff.id,
        tariff.currency,
        reading.axis.cycles.labels,
        ledger.amounts,
        reading.determinants,
        tuple(dict.fromkeys([*_notes(tariff, reading), *reading.notes])),
        ledger,
    )


def read_meter(tariff: Tariff, load: MeterData, *, history: History | None = None, axis: Axis | None = None) -> Reading:
    """Place the load on the tariff's clock and measure every determinant."""
    on = axis or tariff.axis(load.times, load.step_min)
    load = _sold_whole(tariff, load)
    bought, sold = load.import_kw, load.export_kw
    if tariff.export is not None:
        bought, sold = tariff.export.priced_power(bought, sold, on)
    values = {
        key: np.asarray(series, dtype=float) * (tariff.series[key].scale if key in tariff.series else 1.0)
        for key, series in load.series.items()
    }
    reading = Reading(
        axis=on,
        load=load,
        contract=tariff.contract,
        history=history if history is not None else tariff.history,
        import_kw=bought,
        export_kw=sold,
        values=values,
        units={name: node.unit for name, node in tariff.determinants.items()},
        export=tariff.export,
    )
    for name, node in tariff.nodes().items():
        reading.determinants[name] = node.measure(reading)
    return reading


def with_defaults(tariff: Tariff) -> list[AnyCharge]:
    """Spell out what charges leave to the tariff.

    A minimum bill that lists no charges counts all earlier ones that are not exempt; `billing.norm_days` holds for
    demand and monthly fixed charges that state none.
    """
    spelled: list[AnyCharge] = []
    for charge in tariff.charges:
        if isinstance(charge, MinimumBill) and not charge.of:
            earlier = tuple(other.id for other in spelled if not other.min_bill_exempt)
            spelled.append(charge.model_copy(update={"of": earlier}))
        elif _takes_norm(charge) and tariff.billing.norm_days is not None:
            spelled.append(charge.model_copy(update={"norm_days": tariff.billing.norm_days}))
        else:
            spelled.append(charge)
    return spelled


def _takes_norm(charge: AnyCharge) -> bool:
    monthly = isinstance(charge, DemandCharge) or (isinstance(charge, Fixed) and charge.per == "month")
    return monthly and getattr(charge, "norm_days", None) is None


def _sold_whole(tariff: Tariff, load: MeterData) -> MeterData:
    """Under buy-all-sell-all the meter sees the whole load and the whole generation."""
    if tariff.export is None or tariff.export.scheme != "buy_all_sell_all":
        return load
    if load.gross_load_kw is None or load.gross_generation_kw is None:
        raise InvalidInput(
            Problem(
                "buy-all-sell-all needs load and generation apart", "give gross_load_kw and gross_generation_kw", "load"
            )
        )
    return replace(load, import_kw=load.gross_load_kw, export_kw=load.gross_generation_kw)


def _bill_supply(tariff: Tariff, reading: Reading, ledger: Ledger) -> None:
    left = reading.import_kw
    for block in tariff.supply:
        left = block.bill(reading, ledger, left)
    reading.supplied_kw = left


def _bill_charge(tariff: Tariff, charge: AnyCharge, reading: Reading, ledger: Ledger) -> None:
    """Bill one charge; supply energy sees only the import that supply blocks leave."""
    if tariff.supply and is_supply_energy(charge):
        charge.bill(replace(reading, import_kw=reading.supplied_kw), ledger)
    else:
        charge.bill(reading, ledger)


def is_supply_energy(charge: AnyCharge) -> bool:
    """Whether a supply block takes the place of this charge's energy."""
    return isinstance(charge, (EnergyCharge, NetMeteredEnergy)) and "supply" in charge.tags


def _bill_nonbypassable(tariff: Tariff, reading: Reading, ledger: Ledger) -> None:
    if tariff.export is None or not tariff.export.nonbypassable:
        return
    axis = reading.axis
    energy = np.bincount(axis.cycles.of, reading.load.import_kw, axis.cycles.count) * axis.hours
    ledger.open(NONBYPASSABLE, "energy", ("rider",))
    ledger.each_cycle(NONBYPASSABLE, "kWh", energy, energy * tariff.export.nonbypassable)


def _round_bill(ledger: Ledger) -> None:
    exact = np.asarray(sum(ledger.amounts.values(), np.zeros(len(ledger.cycles))))
    ledger.open(ROUNDING, "rounding", ())
    ledger.each_cycle(ROUNDING, "$", cents(exact) - exact, cents(exact) - exact)


def _notes(tariff: Tariff, reading: Reading) -> list[str]:
    notes = period_notes(tariff, reading.load.times)
    axis = reading.axis
    if partial := axis.cycles.partial:
        how = "by the part covered" if axis.cycles.prorated else "in full on what was measured, nothing is prorated"
        listed = ", ".join(partial)
        notes.append(f"cycle {listed} is covered only in part: demand, fixed and minimum charges are billed {how}")
    if reading.load.times.tz is None and tariff.timezone != "naive":
        notes.append(f"stamps carry no offset: taken as the local clock of {tariff.timezone}, without DST")
    windows = [window for node in tariff.nodes().values() if (window := getattr(node, "window_min", None))]
    if windows and min(windows) < axis.step_min:
        notes.append(
            f"the load has {axis.step_min:g} min intervals, demand is metered over {min(windows):g} min: peaks inside "
            "an interval are not seen (see peak_uplift)"
        )
    notes += _eligibility(tariff, float(reading.load.import_kw.max()))
    if isinstance(reading.history, str) and _looks_back(tariff):
        notes.append(f"ratchets start from `history: {reading.history}`")
    if tariff.source is not None and not tariff.source.trusted:
        notes.append(f"prices are not all read at the source ({tariff.source.doubt}): {tariff.source.doc}")
    return notes


def _looks_back(tariff: Tariff) -> bool:
    nodes = (node for node in tariff.determinants.values() if isinstance(node, MaxOf))
    return any(term.lookback is not None for node in nodes for term in node.of)


def _eligibility(tariff: Tariff, peak_kw: float) -> list[str]:
    """Notes on a peak outside the sizes that the schedule is for."""
    sizes = {name: tariff.eligibility.get(name) for name in ("min_kw", "max_kw")}
    low, high = (tariff.contract.get(size) if isinstance(size, str) else size for size in sizes.values())
    notes = []
    if low is not None and peak_kw < low:
        notes.append(f"the schedule is for {low:,.0f} kW and more; the highest import is {peak_kw:,.0f} kW")
    if high is not None and peak_kw > high:
        notes.append(f"the schedule is for at most {high:,.0f} kW; the highest import is {peak_kw:,.0f} kW")
    return notes


__all__ = ["NONBYPASSABLE", "ROUNDING", "Bill", "bill", "is_supply_energy", "read_meter", "with_defaults"]
