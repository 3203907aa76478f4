"""Commands on tariffs: bill a metered load; check, list, import and export tariffs."""

from __future__ import annotations

from collections.abc import Mapping
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
    from microgrid.tariffs.reading import History

TARIFF = click.argument("tariff")
SECONDARY = click.option("--allow-secondary", is_flag=True, help="Accept shipped prices not read at a primary source.")
PICTURE = click.option("--picture", type=click.Path(path_type=Path), help="Draw into FILE (.png or .svg).")


@click.command()
@TARIFF
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
    made, notes = _billed(tariff, load, stated)
    picture, csv = stated["picture"], stated["csv"]
    if picture is not None:
        from microgrid.tariffs.picture import picture_bill

        picture_bill(made, picture)
    if csv is not None:
        text = made.lines.to_csv(index=False, lineterminator="\n")
        if str(csv) == "-":
            click.echo(text, nl=False)
            return
        csv.write_text(text, encoding="utf-8")
    if stated["as_json"]:
        _print_json(made, notes)
        return
    _print_bill(made, notes)
    for path in (path for path in (picture, csv) if path is not None):
        click.echo(f"wrote {path}")


def _billed(name: str, load: Path, stated: Mapping[str, Any]) -> tuple[Bill, tuple[str, ...]]:
    """Bill, and the notes of reading the load."""
    from microgrid.case.metered_load import MeterStatement, read_metered_load
    from microgrid.errors import InvalidInput, Problem
    from microgrid.tariffs.bill import bill as make_bill
    from microgrid.tariffs.library import find_tariff

    found = find_tariff(name, allow_secondary=stated["allow_secondary"])
    try:
        found = found.adapted(
            {key: _number("--contract", key, value) for key, value in _pairs("--contract", stated["contract"])}
        )
    except ValueError as unknown:
        raise InvalidInput(Problem(str(unknown), "see: microgrid tariff check", "--contract")) from unknown
    columns = ("column", "export_column", "generation_column", "reactive_column", "power_factor")
    reading = import_options({key: value for key, value in stated.items() if key in READING})
    statement = MeterStatement(reading=reading, **{key: stated[key] for key in columns})
    given = {key: _reference(found, key, value) for key, value in _pairs("--series", stated["series"])}
    metered = read_metered_load(load, found, statement, folder=Path(name).parent, series=given)
    history: History | None = stated["history"]
    if stated["past"]:
        history = {key: _numbers(key, value) for key, value in _pairs("--past", stated["past"])}
    partial: Partial = stated["partial"] or "ask"
    other_year: bool = stated["allow_other_year"]
    made = make_bill(found, metered.data, history=history, allow_other_year=other_year, partial=partial)
    return made, metered.notes


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


@click.group()
def tariff() -> None:
    """Check, list, import and export tariffs."""


@tariff.command()
@TARIFF
@PICTURE
def check(tariff: str, picture: Path | None) -> None:
    """Explain TARIFF in words, draw its time-of-use calendars, and warn of what is easy to miss.

    TARIFF is the name of a shipped tariff or the path of a .yaml file; every problem of a file is reported at once.
    """
    from microgrid.tariffs import explain
    from microgrid.tariffs.library import find_tariff

    found = find_tariff(tariff, allow_secondary=True)
    drawings = explain.draw(found)
    click.echo("\n\n".join([explain.explain(found), *(drawing.text() for drawing in drawings)]))
    warnings = explain.warnings(found)
    click.echo("")
    for text in warnings:
        click.echo(f"warning: {text}")
    if not warnings:
        click.echo("no warnings")
    if picture is None:
        return
    from microgrid.tariffs.picture import picture_calendar

    for drawing in drawings:
        name = f"{picture.stem}-{drawing.name}{picture.suffix}" if len(drawings) > 1 else picture.name
        click.echo(f"wrote {picture_calendar(drawing, picture.with_name(name))}")
    if not drawings:
        click.echo("the tariff has no calendar to draw")


@tariff.command("list")
def list_() -> None:
    """List the shipped tariffs; doubts about their prices stand in brackets."""
    from microgrid.tariffs.library import list_tariffs

    listed = list_tariffs()
    width = max(map(len, listed))
    for name, meaning in listed.items():
        click.echo(f"{name:{width}}  {meaning}")


@tariff.command("import")
@click.argument("format", type=click.Choice(["urdb"]))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--zone", default="naive", help="IANA zone of the meter, which URDB does not hold.")
@click.option("--out", type=click.Path(path_type=Path), help="Tariff file to write  [default: print it]")
def import_(format: str, file: Path, zone: str, out: Path | None) -> None:  # noqa: A002 - the user's word
    """Turn FILE, a rate record in another FORMAT, into a tariff; a warning for each thing that it could not say."""
    from microgrid.case.source import dump
    from microgrid.tariffs.urdb import read_urdb

    del format  # there is one
    made = read_urdb(file, timezone=zone)
    text = dump(made.tariff.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True))
    for warning in made.warnings:
        click.echo(f"warning: {warning}", err=True)
    _write(text, out)


@tariff.command()
@click.argument("format", type=click.Choice(["urdb"]))
@TARIFF
@click.option("--out", type=click.Path(path_type=Path), help="File to write  [default: print it]")
def export(format: str, tariff: str, out: Path | None) -> None:  # noqa: A002 - the user's word
    """Write TARIFF in another FORMAT; a warning for each thing that the format cannot hold."""
    import json

    from microgrid.tariffs.library import find_tariff
    from microgrid.tariffs.urdb_export import export_urdb

    del format  # there is one
    made = export_urdb(find_tariff(tariff, allow_secondary=True))
    for lost in made.lost:
        click.echo(f"warning: not held: {lost}", err=True)
    _write(json.dumps(made.record, indent=1) + "\n", out)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    out.write_text(text, encoding="utf-8")
    click.echo(f"wrote {out}")


COMMANDS = (bill, tariff)
