"""The optimiser's reading of a tariff: the charges of the bill as terms of an LP at a point of interconnection."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, number, total
from microgrid.formulation.block import Block
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared, Series, quantity
from microgrid.schema.spelling import did_you_mean
from microgrid.tariffs.bill import NONBYPASSABLE, is_supply_energy, read_meter, with_defaults
from microgrid.tariffs.charges import EnergyCharge
from microgrid.tariffs.charges.band import hold_levels
from microgrid.tariffs.credit_bank import write_credits
from microgrid.tariffs.determinants import Excess, SumOf
from microgrid.tariffs.determinants.billing_demand import missing_history
from microgrid.tariffs.determinants.past import Missing
from microgrid.tariffs.effective import period_problems
from microgrid.tariffs.export_terms import priced_terms
from microgrid.tariffs.library import find_tariff, tariff_file
from microgrid.tariffs.meter import bills_reactive, leads, metered_powers, sells_all
from microgrid.tariffs.model import SeriesRef, Tariff
from microgrid.tariffs.page import KILO, Page, Reach
from microgrid.tariffs.reach import find_reach, sells
from microgrid.tariffs.read import located
from microgrid.tariffs.reading import History, MeterData
from microgrid.tariffs.reprice import scaled

REWARD = -1e-12
"""Dollars a kW below which more demand counts as rewarded."""


class TariffOptions(Declared):
    """What a case states beside the tariff itself.

    `largest_import_mw` and `largest_export_mw` (the POI's limits) are needed only where a rule needs a binary, to bound
    it. A tariff in another currency states `usd_per_currency`.
    """

    poi: str = Field(description="name of the point of interconnection that the tariff meters")
    history: dict[str, tuple[float, ...]] | Literal["first_year", "steady_state"] | None = Field(
        None, description="past peaks by determinant, kW, oldest first; or first_year, or steady_state"
    )
    power_factor: float | None = quantity(
        "1",
        "power factor of the import, where apparent or reactive power is billed; the parts' own when absent",
        default=None,
        gt=0,
        le=1,
    )
    kva_facets: int = quantity("1", "tangents of the kVA circle in one quadrant", default=8, ge=2)
    largest_import_mw: float | None = quantity("MW", "largest import the POI allows", default=None, ge=0)
    largest_export_mw: float | None = quantity("MW", "largest export the POI allows", default=None, ge=0)
    largest_gross_load_mw: float | None = quantity(
        "MW", "largest load behind the meter, where its energy has falling or hours-use tiers", default=None, ge=0
    )
    contract: dict[str, float] = Field(
        default_factory=dict, description="the customer's own contract values, kW, in place of the tariff's"
    )
    usd_per_currency: float | None = quantity(
        "USD/1", "exchange rate of a tariff that is not in USD", default=None, gt=0
    )
    share_tiers_freely: bool = Field(
        default=False,
        description="let the optimiser share tiers among TOU periods where the tariff's own sharing cannot be stated; "
        "understates the cost, and the residual against the bill shows by how much",
    )
    allow_other_year: bool = Field(default=False, description="accept prices that were not in force in the case's year")
    partial: Literal["bill", "prorate"] = Field(
        "bill",
        description="whether a cycle that the horizon covers in part pays monthly amounts in full, or by that part",
    )
    weigh_next_year: bool = Field(
        default=True,
        description="weigh what this year's coincident peaks bill next year; false where a `coincident_peak` program "
        "of the case weighs it",
    )
    allow_tariff_programs: bool = Field(
        default=False,
        description="pay the tariff's own `ancillary` and `capacity_credit` programs, though they do not see what "
        "other programs of the case have sold of the same MW",
    )


class TariffUse(TariffOptions):
    """Entry of a case: a tariff written inline, or used by the name of a shipped one or the path of a file."""

    tariff: Tariff | None = None
    use: str | None = Field(None, description="name of a shipped tariff, or path of a tariff file")
    series: dict[str, SeriesRef] = Field(
        default_factory=dict, description="files of series that the tariff leaves open, e.g. called events"
    )
    allow_secondary: bool = Field(
        default=False, description="accept shipped prices that were not read on a primary source"
    )

    @model_validator(mode="after")
    def _one_tariff(self) -> TariffUse:
        if (self.tariff is None) == (self.use is None):
            raise ValueError("a tariff of a case needs one of both: state `tariff` (inline) or `use` (a name or path)")
        return self

    def part(self, folder: Path) -> TariffPart:
        """Find the tariff (paths are relative to `folder`) and make the part of the model."""
        found = (
            self.tariff
            if self.tariff is not None
            else find_tariff(str(self.use), folder=folder, allow_secondary=self.allow_secondary)
        )
        try:
            found = found.adapted(self.contract, self.series)
        except ValueError as unknown:
            raise InvalidInput(Problem(str(unknown), "see `microgrid tariff check`", "contract, series")) from unknown
        options = {name: getattr(self, name) for name in TariffOptions.model_fields}
        file = "" if self.use is None else str(tariff_file(self.use, folder))
        return TariffPart(tariff=found, file=file, **options)


class TariffPart(TariffOptions):
    """A tariff at a point of interconnection, priced while the dispatch is decided.

    The POI named `poi` publishes ``import_mw`` and ``export_mw``; load, generation and reactive power come from the
    parts behind it, where the tariff asks for them (see `meter`). A cycle that the horizon covers only in part is
    billed in full on its peak inside the horizon, exactly as `bill` does: a one-week horizon pays a whole month's
    demand charge, or, with `partial: prorate`, a week's part of it.
    """

    kind: Literal["tariff"] = "tariff"
    tariff: Tariff
    file: str = Field("", description="file the tariff was read from; empty for one written in the case")

    @cached_property
    def priced(self) -> Tariff:
        """The tariff in USD."""
        return scaled(self.tariff.adapted(self.contract), self.usd_per_currency or 1.0, "USD")

    def series_references(self) -> dict[str, tuple[Series, str]]:
        """Series to align, by path below the part, with the unit they arrive in."""
        listed = {}
        for key, reference in self.tariff.series.items():
            series = reference.as_series()
            if series is not None:
                listed[f"series.{key}"] = (series, reference.unit)
        return listed

    def formulate(self, block: Block) -> None:
        """Write determinants, charges, export settlement, supply and programs; then what must be held from above."""
        try:
            self._write(block)
        except InvalidInput as broken:
            placed = located(broken.problems, Path(self.file)) if self.file else broken.problems
            raise InvalidInput([_of_part(problem, block.name) for problem in placed]) from broken

    def _write(self, block: Block) -> None:
        page = self.page(block)
        for name, node in self.priced.nodes().items():
            page.nodes[name] = node
            page.determinants[name] = node.formulate(page, name)
            page.hand_on_next_year(name, node.of if isinstance(node, SumOf) else None, node.refs)
        self._charge(page)
        for name in reversed(list(page.nodes)):
            written = page.nodes[name]
            if name in page.pull and isinstance(written, (Excess, SumOf)):
                written.pass_on(page, name)
            if name in page.pull and (page.pull[name] < REWARD).any():
                written.hold(page, name)
        hold_levels(page)
        page.write_exclusions()
        self._report(page)

    def page(self, block: Block) -> Page:
        """Open the tariff's page: clock, powers and series at every step of the block's horizon."""
        problems = self._stated_problems(block.name, block.horizon)
        problems += [] if self.allow_tariff_programs else self._program_problems(block)
        if problems:
            raise InvalidInput(problems)
        horizon = block.horizon
        times = self.stamps(horizon)
        axis = self.tariff.axis(times, horizon.step_min)
        axis = axis.prorate() if self.partial == "prorate" else axis
        history = self.starts_from(horizon)
        power = metered_powers(block, self.priced, self.poi, self.power_factor)
        series = self._series(block)
        page = Page(
            block=block,
            axis=axis,
            contract=self.priced.contract,
            history=history,
            series=series,
            power=power,
            power_factor=self.power_factor,
            kva_facets=self.kva_facets,
            share_tiers_freely=self.share_tiers_freely,
            weigh_next_year=self.weigh_next_year,
            may_lead=leads(block, self.poi),
            largest_import_mw=self._limit(block, self.largest_import_mw, "import_right_mw"),
            reach=cache(lambda: self._reach(page, times)),
            largest_export_mw=self._limit(block, self.largest_export_mw, "export_right_mw"),
            largest_gross_load_mw=self.largest_gross_load_mw,
            export=self.priced.export,
        )
        page.energy_import, page.energy_export = priced_terms(page, self.priced.charges)
        return page

    def starts_from(self, horizon: Horizon) -> History | None:
        """Past peaks: those of the case, else those of the tariff; a horizon that wraps states a steady state."""
        history = self.history if self.history is not None else self.tariff.history
        return "steady_state" if history is None and horizon.wraps else history

    def _limit(self, block: Block, stated: float | None, signal: str) -> float | None:
        """Limit of the POI, MW: stated beside the tariff, or published by the POI as numbers; None if neither.

        The POI's rights say nothing of load and generation that are metered apart.
        """
        name = f"{self.poi}.{signal}"
        if stated is not None or name not in block.campus.signals or sells_all(self.tariff):
            return stated
        return max(number(term) for term in block.signal(name))

    def stamps(self, horizon: Horizon) -> pd.DatetimeIndex:
        """Beginnings of the steps on the clock that the tariff reads: UTC, or local where it states no zone."""
        return horizon.local.tz_localize(None) if self.tariff.timezone == "naive" else horizon.times

    def problems(self, name: str, horizon: Horizon) -> list[Problem]:
        """What shows with a case's time alone: another year or currency, a gap, missing past peaks, mixed tiers."""
        found = self._stated_problems(name, horizon)
        nothing, full = np.zeros(horizon.count), np.ones(horizon.count)
        times = self.stamps(horizon)
        series = dict.fromkeys(self.tariff.series, full)
        load = MeterData(times, horizon.step_min, nothing, nothing, nothing, nothing, nothing, nothing, series)
        try:
            reading = read_meter(self.tariff, load, history=self.starts_from(horizon))
        except InvalidInput as broken:
            return [*found, *broken.problems]
        tiered = [] if self.share_tiers_freely else [c for c in self.tariff.charges if isinstance(c, EnergyCharge)]
        found += [problem for charge in tiered if (problem := charge.unshared(reading.axis)) is not None]
        return found + [missing_history(Missing(ref, cycles)) for ref, cycles in reading.missing.items()]

    def _stated_problems(self, name: str, horizon: Horizon) -> list[Problem]:
        problems = [] if self.allow_other_year else period_problems(self.tariff, horizon.local)
        for past in self.history if isinstance(self.history, dict) else ():
            if past not in self.tariff.determinants:
                remedy = did_you_mean(past, self.tariff.determinants)
                problems.append(Problem("past peaks of no determinant of the tariff", remedy, f"{name}.history", past))
        if self.tariff.currency != "USD" and self.usd_per_currency is None:
            problems.append(
                Problem(
                    f"the tariff is in {self.tariff.currency} and the dispatch in USD",
                    "state `usd_per_currency` beside the tariff",
                    f"{name}.usd_per_currency",
                )
            )
        return problems

    def _program_problems(self, block: Block) -> list[Problem]:
        """Programs of the tariff that would sell MW past the ledger of headroom."""
        instead = {"ancillary": "ancillary_services", "capacity_credit": "interruptible"}
        return [
            Problem(
                f"a tariff's program of kind `{program.kind}` does not see which MW other programs have sold already",
                f"take it out of the tariff and state `{instead[program.kind]}` under `programs:` of the case, or "
                "state `allow_tariff_programs: true` beside the tariff if nothing else sells these MW",
                f"{block.name}.tariff.programs.{program.id}",
            )
            for program in self.tariff.programs
            if program.active and program.kind in instead
        ]

    def _series(self, block: Block) -> dict[str, np.ndarray]:
        given: dict[str, np.ndarray] = {}
        missing = []
        for key, reference in self.tariff.series_references().items():
            values = block.inputs.get(f"{block.name}.series.{key}")
            if values is None and not reference.optional:
                missing.append(
                    Problem("series of the tariff is not given", "name its file", f"{block.name}.series.{key}")
                )
            elif values is not None:
                given[key] = np.asarray(values, dtype=float) * reference.scale
        if missing:
            raise InvalidInput(missing)
        return given

    def _reach(self, page: Page, times: pd.DatetimeIndex) -> Reach:
        """Determinants between a meter that only sells and one that only buys."""
        if "reactive" in page.power and bills_reactive(self.priced):
            raise InvalidInput(
                Problem(
                    "a rule of the tariff chooses between tiers or terms, and how much apparent power the parts can "
                    "draw is not known",
                    "state `power_factor` beside the tariff",
                    f"{page.block.name}.power_factor",
                )
            )
        axis, largest = page.axis, page.limit_mw("a rule of the tariff that chooses between tiers or terms")
        raw = {key: values / self.tariff.series[key].scale for key, values in page.series.items()}
        nodes = list(self.priced.nodes().values())
        demands = [node for node in nodes if getattr(node, "channel", "") == "gross_load"]
        apart = demands and not sells_all(self.tariff)
        gross_mw = page.largest_load_mw("a choice between tiers or terms, on gross load,") if apart else largest
        sold_mw = page.export_limit_mw("a choice between tiers or terms, on export,") if any(map(sells, nodes)) else 0.0

        def meter(*flat_mw: float) -> MeterData:
            bought, sold, load = (np.full(axis.count, power * KILO) for power in flat_mw)
            kva = bought / (self.power_factor or 1.0)
            return MeterData(times, axis.step_min, bought, sold, load, sold, kva, kva, raw)

        quiet, busy = meter(0.0, sold_mw, 0.0), meter(largest, 0.0, gross_mw)
        return find_reach(self.priced, quiet, busy, page.history, axis)

    def _charge(self, page: Page) -> None:
        whole = page.energy_import
        left = whole
        for supply in self.priced.supply:
            left = supply.formulate(page, left)
        for charge in with_defaults(self.priced):
            page.energy_import = left if is_supply_energy(charge) else whole
            charge.formulate(page)
        page.energy_import = whole
        self._nonbypassable(page)
        write_credits(self.priced.charges, page)
        for program in self.priced.programs:
            program.formulate(page)

    def _nonbypassable(self, page: Page) -> None:
        if self.priced.export is None or not self.priced.export.nonbypassable:
            return
        price = np.full(page.axis.count, self.priced.export.nonbypassable)
        amounts = page.priced_by_cycle(page.power["import"], price)

        @page.block.cost(page.cycles, of=NONBYPASSABLE)
        def nonbypassable(c: int) -> Linear:
            r"""\pi^{nb} \sum_{t \in c} \Delta_t p_t"""
            return amounts[c]

        page.amounts[NONBYPASSABLE] = amounts

    def _report(self, page: Page) -> None:
        for name, terms in page.determinants.items():
            kilo: list[Linear] = [KILO * term for term in terms]

            def billed(c: int, kilo: list[Linear] = kilo) -> Linear:
                return kilo[c]

            unit = getattr(page.nodes[name], "unit", "kW")
            page.block.report("billed", billed, unit, "determinant as billed", index=page.cycles, of=name)

        def tariff_bill(c: int) -> Linear:
            return total(terms[c] for terms in page.amounts.values())

        page.block.report("bill", tariff_bill, "USD", "bill of the cycle", index=page.cycles)


def _of_part(problem: Problem, name: str) -> Problem:
    """The problem under the part's name, by which the case can place it; as it is where its own file does."""
    if problem.file or problem.field.partition(".")[0] == name:
        return problem
    return replace(problem, field=f"{name}.{problem.field}")


__all__ = ["TariffOptions", "TariffPart", "TariffUse"]
