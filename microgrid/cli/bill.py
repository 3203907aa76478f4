"""`microgrid bill`: the bill of a metered load, of one year or of several with prices that escalate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from microgrid.cli import display
from microgrid.cli.cases import JSON
from microgrid.cli.statements import import_options, reading_options

if TYPE_CHECKING:
    from microgrid.tariffs.bill import Bill
    from microgrid.tariffs.model import SeriesRef, Tariff
    from microgrid.tariffs.partial import Partial
    from microgrid.tariffs.reading import History, MeterData

SECONDARY = click.option("--allow-secondary", is_flag=True, help="Accept shipped prices not read at a primary source.")
PICTURE = click.option("--picture", type=click.Path(path_type=Path), help="Draw into FILE (.png or .svg).")
YEARS = click.option("--years", type=click.IntRange(1, 60), help="Bill so many years; prices escalate by component.")


@click.command()
@click.argument("tariff")
@click.argument("load", type=click.Path(path_type=Path))
@click.option("--column", default="", help="Column of the import, or of the load behind the meter.")
@click.option("--export-column", default="", help="Column of the export, where the meter registers both directions.")
@click.option("--generation-column", default="", help="Column of the generation behind the meter.")
@click.option("--reactive-column", default="", help="Column of the reactive power, kvar.")
@click.option("--power-factor", type=click.FloatRange(0, 1, min_open=True), help="Constant power factor of the import.")
@click.option("--series", "series", multiple=True, metavar="KEY=FILE:COLUMN", help="File of a series of the tariff.")
@click.option("--contract", multiple=True, metavar="NAME=KW", help="Contract value in place of the tariff's.")
@click.option("--past", multiple=True, metavar="NAME=KW,KW,...", help="Past peaks of a determinant, oldest first.")
@click.option(
    "--history",
    type=click.Choice(["first_year", "steady_state"]),
    help="Ratchets without past peaks: there were none, or the load repeats itself.",
)
@click.option(
    "--partial",
    type=click.Choice(["bill", "prorate", "drop"]),
    help="Cycles covered in part: bill in full, prorate monthly charges, or drop. Asked for below half a cycle.",
)
@click.option("--allow-other-year", is_flag=True, help="Accept prices that were not in force at the time.")
@YEARS
@click.option(
    "--escalation", multiple=True, metavar="NAME=RATE", help="Real rate a year of a component, `all` or `inflation`."
)
@click.option("--load-growth", type=float, help="Fraction by which the load grows a year  [default: the tariff's own]")
@click.option("--generation-degradation", type=float, help="Fraction by which the generation fades a year.")
@SECONDARY
@reading_options
@click.option(
    "--csv", "csv", type=click.Path(path_type=Path, allow_dash=True), help="Write every line to FILE; - prints it."
)
@PICTURE
@JSON
def bill(tariff: str, load: Path, **stated: Any) -> None:
    """Bill the metered load of LOAD (a CSV file) under TARIFF, exact to the cent.

    TARIFF is the name of a shipped tariff (see `microgrid tariff list`) or the path of a .yaml file. Nothing about the
    file is guessed: what its headers do not tell is asked for.
    """
    from microgrid.errors import InvalidInput
    from microgrid.tariffs.library import tariff_file
    from microgrid.tariffs.read import located

    found = _found(tariff, load, stated)
    try:
        bills = found.bills(stated["years"] or 1)
    except InvalidInput as broken:
        raise InvalidInput(located(broken.problems, tariff_file(tariff))) from broken
    if stated["years"] is None:
        _show_one(bills[0], found.notes, stated)
        return
    _show_years(found.tariff, bills, found.notes, stated)


@dataclass(frozen=True)
class _Found:
    """A tariff with what it is to bill, and how."""

    tariff: Tariff
    data: MeterData
    notes: tuple[str, ...]
    stated: Mapping[str, Any]
    history: History | None

    def bills(self, years: int) -> list[Bill]:
        """Bills of so many years."""
        from microgrid.tariffs.years import bill_years

        partial: Partial = self.stated["partial"] or "ask"
        return bill_years(
            self.tariff, self.data, years, load_growth=self.stated["load_growth"],
            generation_degradation=self.stated["generation_degradation"], history=self.history,
            allow_other_year=self.stated["allow_other_year"], partial=partial,
        )  # fmt: skip


def _show_one(made: Bill, notes: tuple[str, ...], stated: Mapping[str, Any]) -> None:
    if stated["picture"] is not None:
        from microgrid.tariffs.picture import picture_bill

        picture_bill(made, stated["picture"])
    if _wrote_lines(made.lines, stated["csv"]):
        return
    if stated["as_json"]:
        _print_json(made, notes)
        return
    _print_bill(made, notes)
    _tell_files(stated)


def _show_years(tariff: Tariff, bills: list[Bill], notes: tuple[str, ...], stated: Mapping[str, Any]) -> None:
    from microgrid.tariffs.years import factors, year_lines

    if stated["picture"] is not None:
        from microgrid.tariffs.picture import picture_years

        picture_years(bills, stated["picture"])
    if _wrote_lines(year_lines(bills), stated["csv"]):
        return
    notes = (*notes, *dict.fromkeys(note for made in bills for note in made.notes))
    if stated["as_json"]:
        _print_years_json(bills, [factors(tariff, year) for year in range(len(bills))], notes)
        return
    _print_years(bills, factors(tariff, len(bills) - 1))
    for note in notes:
        click.echo(f"note: {note}")
    _tell_files(stated)


def _wrote_lines(lines: Any, csv: Path | None) -> bool:
    """Write the lines; True where they went to the screen and nothing else may."""
    if csv is None:
        return False
    text = lines.to_csv(index=False, lineterminator="\n")
    if str(csv) == "-":
        click.echo(text, nl=False)
        return True
    csv.write_text(text, encoding="utf-8")
    return False


def _tell_files(stated: Mapping[str, Any]) -> None:
    for path in (path for path in (stated["picture"], stated["csv"]) if path is not None):
        click.echo(f"wrote {path}")


def _found(name: str, load: Path, stated: Mapping[str, Any]) -> _Found:
    """Tariff, load and past peaks as stated."""
    from microgrid.case.metered_load import MeterStatement, read_metered_load

    found = _adapted(name, stated)
    columns = ("column", "export_column", "generation_column", "reactive_column", "power_factor")
    reading = import_options({key: value for key, value in stated.items() if key in READING})
    statement = MeterStatement(reading=reading, **{key: stated[key] for key in columns})
    given = {key: _reference(found, key, value) for key, value in _pairs("--series", stated["series"])}
    metered = read_metered_load(load, found, statement, folder=Path(name).parent, series=given)
    history: History | None = stated["history"]
    if stated["past"]:
        history = {key: _numbers(key, value) for key, value in _pairs("--past", stated["past"])}
        _known_determinants(found, history)
    return _Found(found, metered.data, metered.notes, stated, history)


def _known_determinants(tariff: Tariff, past: Mapping[str, Any]) -> None:
    from microgrid.schema.spelling import did_you_mean

    for name in past:
        if name not in tariff.determinants:
            remedy = did_you_mean(name, tariff.determinants) or "it measures none"
            raise click.BadParameter(f"the tariff has no determinant {name}; {remedy}", param_hint="--past")


def _adapted(name: str, stated: Mapping[str, Any]) -> Tariff:
    """Tariff with the contract values and rates that are stated."""
    from microgrid.errors import InvalidInput, Problem
    from microgrid.tariffs.library import find_tariff
    from microgrid.tariffs.years import with_rates

    found = find_tariff(name, allow_secondary=stated["allow_secondary"])
    try:
        found = found.adapted(
            {key: _number("--contract", key, value) for key, value in _pairs("--contract", stated["contract"])}
        )
    except ValueError as unknown:
        raise InvalidInput(Problem(str(unknown), "see: microgrid tariff check", "--contract")) from unknown
    rates = {key: _number("--escalation", key, value) for key, value in _pairs("--escalation", stated["escalation"])}
    if not rates:
        return found
    if stated["years"] is None:
        raise click.UsageError("--escalation is for the bills of several years: add --years N")
    return with_rates(found, rates)


READING = ("zone", "stamp", "unit", "time", "time_format", "clock", "fill", "longest_gap_h", "start", "step_min")


def _pairs(option: str, texts: tuple[str, ...]) -> list[tuple[str, str]]:
    """Split ``KEY=VALUE`` texts."""
    pairs = []
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key or not value:
            raise click.BadParameter(f"{text!r} is not of the form KEY=VALUE", param_hint=option)
        pairs.append((key, value))
    return pairs


def _number(option: str, key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as wrong:
        raise click.BadParameter(f"{key}: {text!r} is not a number", param_hint=option) from wrong


def _numbers(key: str, text: str) -> tuple[float, ...]:
    return tuple(_number("--past", key, part) for part in text.split(","))


def _reference(tariff: Tariff, key: str, text: str) -> SeriesRef:
    """File and column of a series, in the unit that the tariff states for it."""
    from microgrid.schema.spelling import did_you_mean
    from microgrid.tariffs.model import SeriesRef

    file, sign, column = text.rpartition(":")
    if not sign or not file:
        raise click.BadParameter(f"{text!r} is not of the form FILE:COLUMN", param_hint="--series")
    if key not in tariff.series:
        remedy = did_you_mean(key, tariff.series) or "the tariff needs no series"
        raise click.BadParameter(f"the tariff has no series {key}; {remedy}", param_hint="--series")
    return SeriesRef.model_validate({**tariff.series[key].model_dump(), "csv": file, "column": column})


def _print_json(made: Bill, notes: tuple[str, ...]) -> None:
    import json

    record = {
        "tariff": made.tariff, "currency": made.currency, "total": made.total, "by_charge": made.by_charge,
        "by_cycle": dict(zip(made.cycles, made.by_cycle.tolist(), strict=True)),
        "amounts": {name: amount.tolist() for name, amount in made.amounts.items()},
        "determinants": {name: values.tolist() for name, values in made.determinants.items()},
        "cycles": list(made.cycles), "notes": [*notes, *made.notes],
    }  # fmt: skip
    click.echo(json.dumps(record, indent=1, ensure_ascii=False))


def _print_bill(made: Bill, notes: tuple[str, ...]) -> None:
    """Print money by charge, money and billing determinants by cycle, and notes."""
    from microgrid.report.terminal import table

    console: Any = display.console()
    charges = [(name, amount) for name, amount in made.by_charge.items() if amount]
    shares = [f"{amount / made.total:.1%}" if made.total else "" for _, amount in charges]
    rows = [(name, f"{amount:,.2f}", share) for (name, amount), share in zip(charges, shares, strict=True)]
    columns = [("charge", "left"), (made.currency, "right"), ("share", "right")]
    table(made.tariff, columns, [*rows, ("total", f"{made.total:,.2f}", "")], console)
    frame = made.billing_determinants()
    cycles = [
        (cycle, f"{amount:,.2f}", *(f"{value:,.1f}" for value in frame.loc[cycle]))
        for cycle, amount in zip(made.cycles, made.by_cycle.tolist(), strict=True)
    ]
    table(
        "By billing cycle", [("cycle", "left"), (made.currency, "right"), *((name, "right") for name in frame.columns)],
        cycles, console,
    )  # fmt: skip
    for note in (*notes, *made.notes):
        click.echo(f"note: {note}")


def _print_years_json(bills: list[Bill], factors: list[dict[str, float]], notes: tuple[str, ...]) -> None:
    import json

    years = [
        {"year": year, "total": made.total, "by_charge": made.by_charge, "price_factor": factor}
        for year, (made, factor) in enumerate(zip(bills, factors, strict=True), start=1)
    ]
    record = {
        "tariff": bills[0].tariff, "currency": bills[0].currency, "total": sum(made.total for made in bills),
        "years": years, "notes": list(notes),
    }  # fmt: skip
    click.echo(json.dumps(record, indent=1, ensure_ascii=False))


def _print_years(bills: list[Bill], last_factor: Mapping[str, float]) -> None:
    """Print money by year, and by charge in the first and the last year with the price factor of the last."""
    from microgrid.report.terminal import table

    console: Any = display.console()
    first, last, currency = bills[0], bills[-1], bills[0].currency
    totals = [made.total for made in bills]
    changes = ["", *(f"{now / before - 1:+.2%}" if before else "" for before, now in pairwise(totals))]
    rows = [
        (str(year), f"{total:,.2f}", change)
        for year, (total, change) in enumerate(zip(totals, changes, strict=True), start=1)
    ]
    columns = [("year", "right"), (currency, "right"), ("change", "right")]
    table(first.tariff, columns, [*rows, ("all", f"{sum(totals):,.2f}", "")], console)
    before, after = first.by_charge, last.by_charge
    charges = [
        (name, f"{amount:,.2f}", f"{after[name]:,.2f}", f"{last_factor.get(name, 1.0):.4f}")
        for name, amount in before.items()
        if amount or after[name]
    ]
    heads = [("charge", "left"), ("year 1", "right"), (f"year {len(bills)}", "right"), ("price factor", "right")]
    table(f"By charge, {currency}", heads, charges, console)


COMMANDS = (bill,)

__all__ = ["COMMANDS", "PICTURE", "bill"]
