"""Bills over years: prices escalate by component, load grows, ratchets look back on the year before."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from microgrid.errors import InvalidInput, Problem
from microgrid.tariffs.bill import Bill, bill, read_meter
from microgrid.tariffs.determinants import Coincident
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.partial import Partial, settle_partial
from microgrid.tariffs.reading import FIRST_YEAR, STEADY_STATE, History, MeterData
from microgrid.tariffs.reprice import component_of, escalated

INFLATION, ALL = "inflation", "all"
UNITY = "import begins in a later year than the first, which shows no power factor: it is billed at one"
LONGEST_LOOK = 120  # cycles that a ratchet may look back on before a first year: ten years


def bill_years(
    tariff: Tariff,
    load: MeterData,
    years: int,
    *,
    load_growth: float | None = None,
    generation_degradation: float | None = None,
    history: History | None = None,
    allow_other_year: bool = False,
    partial: Partial = "bill",
) -> list[Bill]:
    """Bill the same metered year `years` times, the first as it stands.

    Growth and degradation are fractions a year, compounding, the tariff's own (`load_growth`, `gen_degradation`) when
    absent. They need load and generation apart (`gross_load_kw`, `gross_generation_kw`); without those the import grows
    and the export fades. Apparent and reactive power grow with the import; import that begins in a later year has the
    mean power factor of the first year's import, or one (a note says so) where there is none. The calendar of the first
    year is kept, so that years differ by trend alone. Where the load is
    a year of twelve cycles, ratchets of each year look back on the one before, unless a steady state is stated, and
    coincident peaks billed next year bill the year after (the first year bills `prior_kw`, or, without it, its own).
    """
    growth = (tariff.load_growth or 0.0) if load_growth is None else load_growth
    fade = (tariff.gen_degradation or 0.0) if generation_degradation is None else generation_degradation
    load, _ = settle_partial(tariff, load, tariff.axis(load.times, load.step_min), partial)
    past, bills = history if history is not None else tariff.history, []
    for year in range(years):
        metered = _grown(load, (1.0 + growth) ** year, (1.0 - fade) ** year)
        made = bill(
            escalated(tariff, year),
            metered,
            history=past,
            allow_other_year=allow_other_year or year > 0,
            partial=partial,
        )
        bills.append(replace(made, notes=(*made.notes, UNITY)) if _begins_unmetered(load, metered) else made)
        if len(made.cycles) == 12:
            past = _remembered(past, made)
            tariff = _with_prior_peaks(tariff, metered)
    return bills


def with_rates(tariff: Tariff, rates: Mapping[str, float]) -> Tariff:
    """Tariff whose components escalate at other real rates a year; `inflation` and `all` may be named as well.

    Raises:
        InvalidInput: a component that no charge has.
    """
    known = components(tariff)
    unknown = [name for name in rates if name not in {*known, INFLATION, ALL}]
    if unknown:
        close = difflib.get_close_matches(unknown[0], [*known, INFLATION, ALL], n=1)
        remedy = f"did you mean `{close[0]}`? " if close else ""
        remedy += f"components of this tariff: {', '.join(known) or 'none'}; or `inflation`, `all`"
        raise InvalidInput(Problem("no charge has this component", remedy, "escalation", ", ".join(unknown)))
    rule = tariff.rule()
    real = {**rule.real, **{name: rate for name, rate in rates.items() if name != INFLATION}}
    path = {name: factors for name, factors in rule.path.items() if name not in rates}
    stated = rule.model_copy(update={"inflation": rates.get(INFLATION, rule.inflation), "real": real, "path": path})
    return tariff.model_copy(update={"escalation": stated})


def components(tariff: Tariff) -> list[str]:
    """Names by which prices of the tariff may escalate: those that charges state, and their tags."""
    named = {charge.escalation for charge in tariff.charges if charge.escalation}
    named |= {tag for charge in tariff.charges for tag in charge.tags}
    named |= {"supply"} if tariff.supply else set()
    named |= {"program"} if tariff.programs else set()
    named |= {"export"} if tariff.export is not None else set()
    return sorted(named)


def factors(tariff: Tariff, year: int) -> dict[str, float]:
    """Price factor of each charge in year `year`, 0 the first."""
    rule = tariff.rule()
    if tariff.escalation is None:
        return {charge.id: 1.0 for charge in tariff.charges}
    return {charge.id: rule.factor(component_of(charge, rule), year) for charge in tariff.charges}


def year_table(bills: list[Bill]) -> pd.DataFrame:
    """Money by year (rows, 1 the first) and charge (columns), with a `total` column."""
    index = pd.Index(range(1, len(bills) + 1), name="year")
    table = pd.DataFrame([made.by_charge for made in bills], index=index)
    return table.assign(total=[made.total for made in bills])


def year_lines(bills: list[Bill]) -> pd.DataFrame:
    """Every line of every bill, with a `year` column first."""
    tables = [made.lines.assign(year=year) for year, made in enumerate(bills, start=1)]
    joined = pd.concat(tables, ignore_index=True)
    return joined[["year", *(column for column in joined.columns if column != "year")]]


def _remembered(past: History | None, made: Bill) -> History | None:
    """Peaks of the year just billed behind those before it; a steady state stays one, a first year had none."""
    if isinstance(past, str) and past == STEADY_STATE:
        return past
    older = past if past is not None and not isinstance(past, str) else {}
    before = (0.0,) * LONGEST_LOOK if past == FIRST_YEAR else ()
    return {name: (*older.get(name, before), *values.tolist()) for name, values in made.determinants.items()}


def _with_prior_peaks(tariff: Tariff, load: MeterData) -> Tariff:
    """Coincident peaks that this year's load sets for the next; those it holds none of stay as they are."""
    waiting = {
        name: node
        for name, node in tariff.determinants.items()
        if isinstance(node, Coincident) and node.billed == "next_year"
    }
    if not waiting:
        return tariff
    reading = read_meter(tariff, load, history="first_year")
    later = {
        name: node.model_copy(update={"prior_kw": float(node.metered_kw(reading)[-1])})
        for name, node in waiting.items()
        if node.holds_peaks(reading.axis)
    }
    return tariff.model_copy(update={"determinants": {**tariff.determinants, **later}})


def _grown(load: MeterData, by: float, kept: float) -> MeterData:
    if load.gross_load_kw is None or load.gross_generation_kw is None:
        bought, sold = load.import_kw * by, load.export_kw * kept
    else:
        net = load.gross_load_kw * by - load.gross_generation_kw * kept
        bought, sold = np.maximum(net, 0.0), np.maximum(-net, 0.0)
        load = replace(load, gross_load_kw=load.gross_load_kw * by, gross_generation_kw=load.gross_generation_kw * kept)
    ratio = np.divide(bought, load.import_kw, out=np.ones_like(bought), where=load.import_kw > 0.0)
    begins = (bought > 0.0) & (load.import_kw <= 0.0)
    kva, kvar = load.kva, load.kvar
    if kva is not None:
        new = np.where(kva > 0.0, np.hypot(kva, bought), bought * _mean_ratio(kva, load, 1.0))
        kva = np.where(begins, new, kva * ratio)
    if kvar is not None:
        mean = bought * _mean_ratio(kvar, load, 0.0)
        new = mean if kva is None else np.sqrt(np.maximum(kva**2 - bought**2, 0.0))
        kvar = np.where(begins & (kvar == 0.0), new, kvar * ratio)
    return replace(load, import_kw=bought, export_kw=sold, kva=kva, kvar=kvar)


def _begins_unmetered(load: MeterData, later: MeterData) -> bool:
    return load.kva is not None and not load.import_kw.any() and bool(later.import_kw.any())


def _mean_ratio(power: np.ndarray, load: MeterData, unmetered: float) -> float:
    """Apparent or reactive power over import, of the intervals with import; `unmetered` where there are none."""
    imports = load.import_kw > 0.0
    if not imports.any():
        return unmetered
    return float(power[imports].sum() / load.import_kw[imports].sum())


__all__ = ["bill_years", "components", "factors", "with_rates", "year_lines", "year_table"]
