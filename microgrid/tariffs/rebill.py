"""Bill a finished dispatch again from its import and export alone, and set the optimiser's money beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from microgrid.errors import Residual
from microgrid.formulation.horizon import Horizon
from microgrid.tariffs.bill import Bill, bill
from microgrid.tariffs.charges import EnergyCharge
from microgrid.tariffs.determinants.apparent import facet_error
from microgrid.tariffs.meter import bills_apparent
from microgrid.tariffs.next_year import unweighed
from microgrid.tariffs.part import TariffPart
from microgrid.tariffs.reading import MeterData

KILO = 1000.0
TOLERANCE_USD = 0.01
NEXT_YEAR = ".next_year."


@dataclass(frozen=True)
class Rebill:
    """The exact bill of a dispatch, in USD, and how far the optimiser's own sum is from it.

    `optimiser_usd` leaves out what the optimiser adds for next year's bill (`next_year_usd`). `approximations` names
    what makes the two differ, with its size where one is known. `facets_usd` is the most that kVA facets may have
    taken off and put on the charges that apparent power feeds, and `shared_usd` what sharing tiers freely took off.
    """

    bill: Bill
    optimiser_usd: float
    next_year_usd: float
    approximations: tuple[str, ...] = ()
    by_charge_usd: Mapping[str, float] = field(default_factory=dict)
    facets_usd: tuple[float, float] = (0.0, 0.0)
    shared_usd: float = 0.0

    @property
    def residual_usd(self) -> float:
        """Optimiser's sum less the bill."""
        return self.optimiser_usd - self.bill.total

    @property
    def allowed_usd(self) -> float:
        """What the named approximations explain of the residual, in its own direction."""
        low, high = self.facets_usd
        return low + self.shared_usd if self.residual_usd < 0.0 else high

    @property
    def check(self) -> Residual:
        """The residual with its tolerance, for the audit."""
        where = "; ".join(self.approximations)
        return Residual("tariff bill", abs(self.residual_usd), TOLERANCE_USD, "USD", where)


def rebill(  # noqa: PLR0913 - a dispatch's arrays, one keyword each
    part: TariffPart,
    name: str,
    horizon: Horizon,
    import_mw: np.ndarray,
    export_mw: np.ndarray,
    costs: Mapping[str, np.ndarray],
    *,
    inputs: Mapping[str, np.ndarray] | None = None,
    reactive_mvar: np.ndarray | None = None,
    gross_load_mw: np.ndarray | None = None,
    gross_generation_mw: np.ndarray | None = None,
) -> Rebill:
    """Bill the dispatch at the meter of `part`, called `name` in the model.

    Args:
        part: the tariff as it stood in the model.
        name: the part's name.
        horizon: the steps.
        import_mw: metered import, shape (steps,); what is negative within solver tolerance counts as zero.
        export_mw: metered export, shape (steps,).
        costs: money by item, USD, names beginning with the part's (a reading's `costs`).
        inputs: aligned series under ``name.series.key``.
        reactive_mvar: reactive power of the import, lagging positive, where it was modelled.
        gross_load_mw: load behind the meter, where buy-all-sell-all needs it.
        gross_generation_mw: generation behind the meter, likewise.
    """
    given = inputs or {}
    series = {key: given[path] for key in part.tariff.series if (path := f"{name}.series.{key}") in given}
    load = meter_of(part, horizon, import_mw, export_mw, series)
    load = _with_reactive(part, load, reactive_mvar)
    load = _with_gross(load, gross_load_mw, gross_generation_mw)
    made = _billed(part, horizon, load)
    own = {key: float(np.sum(values)) for key, values in costs.items() if key.startswith(f"{name}.")}
    coming = sum(value for key, value in own.items() if NEXT_YEAR in key)
    shared = _shared_usd(part, name, own, made)
    named = approximations(part, modelled_reactive=reactive_mvar is not None, shared_usd=shared)
    facets = _facets_usd(part, horizon, load, made) if reactive_mvar is not None else (0.0, 0.0)
    return Rebill(made, sum(own.values()) - coming, coming, named, own, facets, shared)


def _billed(part: TariffPart, horizon: Horizon, load: MeterData) -> Bill:
    return bill(
        part.priced,
        load,
        history=part.starts_from(horizon),
        allow_other_year=part.allow_other_year,
        partial=part.partial,
    )


def _facets_usd(part: TariffPart, horizon: Horizon, load: MeterData, made: Bill) -> tuple[float, float]:
    """Most that tangents may have taken off the bill, and put on it, by charge and cycle.

    They leave apparent power between the true one and a stated share less, so each charge lies between the bills of the
    two; a charge that no apparent power feeds is the same in both.
    """
    if load.kva is None or not bills_apparent(part.tariff):
        return 0.0, 0.0
    least = _billed(part, horizon, load.with_values(kva=load.kva * (1.0 - facet_error(part.kva_facets))))
    moved = [least.amounts[charge] - amounts for charge, amounts in made.amounts.items()]
    off = sum(float(np.maximum(-move, 0.0).sum()) for move in moved)
    put = sum(float(np.maximum(move, 0.0).sum()) for move in moved)
    return off, put


def meter_of(
    part: TariffPart,
    horizon: Horizon,
    import_mw: np.ndarray,
    export_mw: np.ndarray,
    series: Mapping[str, np.ndarray],
) -> MeterData:
    """Metered data of a dispatch on the clock that the tariff reads."""
    bought = np.maximum(np.asarray(import_mw, dtype=float), 0.0) * KILO
    sold = np.maximum(np.asarray(export_mw, dtype=float), 0.0) * KILO
    return MeterData(part.stamps(horizon), horizon.step_min, bought, sold, series=series)


def approximations(part: TariffPart, *, modelled_reactive: bool, shared_usd: float = 0.0) -> tuple[str, ...]:
    """Named approximations of the optimiser's reading, with their size."""
    listed = []
    if modelled_reactive and bills_apparent(part.tariff):
        size = facet_error(part.kva_facets)
        listed.append(f"kVA facets, {part.kva_facets} in a quadrant: apparent power up to {size:.3%} low")
    if shared_usd:
        listed.append(f"tiers shared freely among TOU periods: {shared_usd:,.2f} USD low")
    if part.weigh_next_year and (left := unweighed(part.tariff)):
        listed.append(f"next year's bill of this year's coincident peaks is not weighed in {', '.join(left)}")
    if part.tariff.billing.rounding != "none":
        listed.append(f"rounding `{part.tariff.billing.rounding}`: up to half a cent a line")
    return tuple(listed)


def _shared_usd(part: TariffPart, name: str, costs: Mapping[str, float], made: Bill) -> float:
    """Dollars that sharing tiers freely understates: it is a lower bound of every charge it concerns, never more."""
    if not part.share_tiers_freely:
        return 0.0
    tiered = [c.id for c in part.priced.charges if isinstance(c, EnergyCharge) and c.tiers and c.calendar]
    return sum(max(made.by_charge[charge] - costs.get(f"{name}.{charge}.energy", 0.0), 0.0) for charge in tiered)


def _with_reactive(part: TariffPart, load: MeterData, reactive_mvar: np.ndarray | None) -> MeterData:
    if reactive_mvar is None:
        return load if part.power_factor is None else load.at_power_factor(part.power_factor)
    kvar = np.asarray(reactive_mvar, dtype=float) * KILO
    return load.with_values(kva=np.hypot(load.import_kw, kvar), kvar=kvar)


def _with_gross(load: MeterData, gross_load: np.ndarray | None, generation: np.ndarray | None) -> MeterData:
    if gross_load is not None:
        load = load.with_values(gross_load_kw=np.maximum(gross_load, 0.0) * KILO)
    if generation is not None:
        load = load.with_values(gross_generation_kw=np.maximum(generation, 0.0) * KILO)
    return load


__all__ = ["Rebill", "approximations", "meter_of", "rebill"]
