"""Commands on tariffs: check, list, import and export them."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from microgrid.cli.bill import PICTURE

TARIFF = click.argument("tariff")


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
    from microgrid.tariffs.cautions import warnings
    from microgrid.tariffs.drawing import draw
    from microgrid.tariffs.explain import explain
    from microgrid.tariffs.library import find_tariff, tariff_file
    from microgrid.tariffs.read import located

    found = find_tariff(tariff, allow_secondary=True)
    drawings = draw(found)
    click.echo("\n\n".join([explain(found), *(drawing.text() for drawing in drawings)]))
    told = located(warnings(found), tariff_file(tariff))
    click.echo("")
    for text in told:
        click.echo(f"warning: {text}")
    if not told:
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


COMMANDS = (tariff,)
