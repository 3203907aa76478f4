"""Commands on inputs: what a hash is worth, and real-world files as clean series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from microgrid.cli import display
from microgrid.cli.cases import JSON
from microgrid.cli.statements import import_options, reading_options

if TYPE_CHECKING:
    from microgrid.case.imports import CleanSeries

SHARE = click.FloatRange(0, 1, max_open=True)
POSITIVE = click.FloatRange(0, min_open=True)
BTC = click.option("--btc-usd", type=POSITIVE, required=True, help="Price of one bitcoin, USD.")
DIFFICULTY = click.option("--difficulty", type=POSITIVE, required=True, help="Network difficulty.")
FEE_SHARE = click.option(
    "--fee-share", type=SHARE, default=0.01, show_default=True, help="Fees as a share of the whole block reward."
)
HASHPRICE = click.option(
    "--hashprice", type=POSITIVE, multiple=True, required=True, help="USD/PH/day; may be repeated."
)
EFFICIENCY = click.option("--efficiency", type=POSITIVE, multiple=True, help="J/TH; may be repeated.")
MODEL = click.option("--model", multiple=True, help="Machine of the shipped table, in place of --efficiency.")
POOL_FEE = click.option("--pool-fee", type=SHARE, default=0.0, show_default=True, help="Share that the pool keeps.")
PUE = click.option(
    "--pue", type=click.FloatRange(1), default=1.0, show_default=True, help="Facility power over IT power."
)


@click.group()
def economics() -> None:
    """What a hash is worth: hashprice, break-even prices, the value of curtailing, random futures."""


@economics.command()
@BTC
@DIFFICULTY
@click.option("--subsidy", type=click.FloatRange(0), help="New coins a block, BTC.")
@click.option("--date", "day", help="Day whose subsidy holds, e.g. 2025-07-15, in place of --subsidy.")
@FEE_SHARE
@POOL_FEE
@EFFICIENCY
@MODEL
@PUE
@JSON
def hashprice(**stated: Any) -> None:
    """Hashprice from BTC price, difficulty, subsidy and fees; with an efficiency also the revenue of one MWh."""
    from microgrid.assets import hashprice as worth

    subsidy = _subsidy(stated["subsidy"], stated["day"])
    price = float(worth.hashprice_usd_per_ph_day(stated["btc_usd"], stated["difficulty"], subsidy, stated["fee_share"]))
    rows = [
        ("hashprice", price, "USD/PH/day"),
        ("hashprice", price / stated["btc_usd"] * 1e8, "satoshi/PH/day"),
        ("network hashrate", float(worth.network_hashrate_eh_per_s(stated["difficulty"])), "EH/s"),
        ("subsidy", subsidy, "BTC"),
    ]
    for name, efficiency in _efficiencies(stated).items():
        revenue = float(worth.revenue_usd_per_mwh(price, efficiency, stated["pool_fee"], stated["pue"]))
        rows.append((f"revenue at {name}", revenue, "USD/MWh at the meter"))
    _print_rows(rows, as_json=stated["as_json"])


@economics.command()
@HASHPRICE
@EFFICIENCY
@MODEL
@click.option("--power-price", type=float, multiple=True, help="USD/MWh; gives the break-even J/TH. May be repeated.")
@POOL_FEE
@PUE
@JSON
def breakeven(**stated: Any) -> None:
    """Power price at which mining earns nothing, by hashprice and efficiency; or the worst J/TH at a power price."""
    from microgrid.assets import hashprice as worth

    machines, prices = _efficiencies(stated), stated["power_price"]
    if not machines and not prices:
        raise click.UsageError(
            "give --efficiency or --model for break-even prices, or --power-price for a break-even J/TH"
        )
    rows = []
    for value in stated["hashprice"]:
        for name, efficiency in machines.items():
            price = float(worth.revenue_usd_per_mwh(value, efficiency, stated["pool_fee"], stated["pue"]))
            rows.append((f"hashprice {value:g}, {name}", price, "USD/MWh"))
        for power in prices:
            worst = float(worth.break_even_efficiency_j_per_th(value, power, stated["pool_fee"], stated["pue"]))
            rows.append((f"hashprice {value:g}, power at {power:g} USD/MWh", worst, "J/TH"))
    _print_rows(rows, as_json=stated["as_json"])


@economics.command()
@click.option("--power-price", type=float, multiple=True, required=True, help="USD/MWh; may be repeated.")
@HASHPRICE
@EFFICIENCY
@MODEL
@click.option(
    "--adders", type=float, default=0.0, show_default=True, help="Avoided charges and program value, USD/MWh."
)
@POOL_FEE
@PUE
@JSON
def curtail(**stated: Any) -> None:
    """Value of one MWh not mined: power price and adders, less the revenue forgone. Curtail where it is positive."""
    from microgrid.assets import hashprice as worth

    machines = _efficiencies(stated)
    if not machines:
        raise click.UsageError("give --efficiency or --model")
    rows = []
    for value in stated["hashprice"]:
        for name, efficiency in machines.items():
            for power in stated["power_price"]:
                gain = float(
                    worth.value_of_curtailed_mwh(
                        power, value, efficiency, pool_fee=stated["pool_fee"], pue=stated["pue"],
                        adders_usd_per_mwh=stated["adders"],
                    )
                )  # fmt: skip
                rows.append((f"power at {power:g}, hashprice {value:g}, {name}", gain, "USD/MWh"))
    _print_rows(rows, as_json=stated["as_json"])


@economics.command()
@BTC
@DIFFICULTY
@click.option("--from", "start", required=True, help="First day, UTC, e.g. 2026-01-01.")
@click.option("--days", type=click.IntRange(1), default=365, show_default=True, help="Days of each path.")
@click.option("--price-drift", type=float, default=0.0, show_default=True, help="Yearly growth of the expected price.")
@click.option(
    "--price-volatility", type=click.FloatRange(0), default=0.55, show_default=True, help="Per square root of a year."
)
@click.option(
    "--difficulty-drift",
    type=click.FloatRange(-1, min_open=True),
    default=0.02,
    show_default=True,
    help="Mean growth an epoch.",
)
@click.option(
    "--difficulty-spread", type=click.FloatRange(0), default=0.06, show_default=True, help="Spread of growth an epoch."
)
@FEE_SHARE
@click.option("--paths", type=click.IntRange(1), default=1, show_default=True, help="Number of paths.")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed gives the same numbers."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="CSV to write; BTC price, difficulty and hashprice of every path.",
)
def paths(start: str, days: int, out: Path, **stated: Any) -> None:
    """Write seeded random futures of BTC price, difficulty and hashprice as daily series. A stress set, not a forecast.

    A case takes either the hashprice of a path, or its BTC price and difficulty with the fee share stated here.
    """
    import pandas as pd

    from microgrid.assets.hashprice import HashpriceScenario, hashprice_paths
    from microgrid.case.imports import CleanSeries

    times = pd.date_range(_day(start, "--from"), periods=days, freq="D")
    drawn = hashprice_paths(HashpriceScenario(**stated), times)
    columns, units = {}, {}
    for place in range(stated["paths"]):
        for name, rows, unit in (
            ("btc_price_usd", drawn.btc_usd, "$/BTC"), ("difficulty", drawn.difficulty, "1"),
            ("hashprice_usd_per_ph_day", drawn.hashprice_usd_per_ph_day, "$/PH/day"),
        ):  # fmt: skip
            columns[f"{name}_{place + 1}"], units[f"{name}_{place + 1}"] = rows[place], unit
    note = ", ".join(f"{name} {value}" for name, value in stated.items())
    beside = f"a case that takes BTC price and difficulty states fee_share: {stated['fee_share']:g} beside them"
    made = CleanSeries(times, columns, units, 1440, (f"random futures: {note}", beside))
    _print_written(made, made.write(out))


def _subsidy(stated: float | None, day: str | None) -> float:
    """Subsidy as stated, or of a day; one of them must be given."""
    if (stated is None) == (day is None):
        raise click.UsageError("give --subsidy or --date, one of them")
    if stated is not None:
        return stated
    import pandas as pd

    from microgrid.assets.hashprice import subsidy_on

    try:
        return float(subsidy_on(pd.DatetimeIndex([_day(str(day), "--date")]))[0])
    except ValueError as early:
        raise click.BadParameter(str(early), param_hint="--date") from early


def _day(text: str, option: str) -> Any:
    """UTC instant of an ISO date."""
    import pandas as pd

    try:
        return pd.Timestamp(text).tz_localize("UTC")
    except (ValueError, TypeError) as wrong:
        raise click.BadParameter(f"{text!r} is not a date such as 2025-07-15", param_hint=option) from wrong


def _efficiencies(stated: dict[str, Any]) -> dict[str, float]:
    """J/TH by the name under which it is printed."""
    found = {f"{value:g} J/TH": float(value) for value in stated["efficiency"]}
    if stated["model"]:
        from microgrid.assets.catalogue import asic_model

        for name in stated["model"]:
            machine = asic_model(name)
            found[f"{machine.model} ({machine.efficiency_j_per_th:g} J/TH)"] = machine.efficiency_j_per_th
    return found


def _print_rows(rows: Sequence[tuple[str, float, str]], *, as_json: bool) -> None:
    """Print quantity, value and unit."""
    if as_json:
        import json
        import math

        plain = [
            {"quantity": name, "value": value if math.isfinite(value) else None, "unit": unit}
            for name, value, unit in rows
        ]
        click.echo(json.dumps(plain, indent=1))
        return
    from microgrid.report.terminal import table

    columns = [("quantity", "left"), ("value", "right"), ("unit", "left")]
    table("", columns, [(name, f"{value:,.3f}", unit) for name, value, unit in rows], display.console())  # type: ignore[arg-type]


@click.command("import")
@click.argument("kind", type=click.Choice(["prices", "weather", "btc", "load", "fuel"]))
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "file_format",
    default="csv",
    show_default=True,
    help="ercot, pjm, caiso, epw, energyplus, azure or csv.",
)
@click.option("--out", type=click.Path(path_type=Path), help="CSV to write  [default: FILE with .clean.csv]")
@click.option("--node", default="", help="Settlement point, pricing node, zone or load area to keep.")
@click.option("--column", default="", help="Column that holds the values.")
@click.option("--year", type=click.IntRange(1), help="Calendar year onto which a typical year is laid.")
@reading_options
@click.option(
    "--reference", type=click.Path(path_type=Path), help="Trusted series; a shift in time against it is refused."
)
@click.option("--reference-format", default="csv", show_default=True, help="Format of the trusted series.")
@click.option("--reference-node", default="", help="Node of the trusted series.")
def import_(
    kind: str,
    file: Path,
    file_format: str,
    out: Path | None,
    reference: Path | None,
    reference_format: str,
    reference_node: str,
    **stated: Any,
) -> None:
    """Turn FILE into a clean series of KIND: UTC, interval-beginning, one step, no gap, with a note of every change.

    FILE may be a folder of CSV files. What the file does not say (zone, unit, what a stamp marks) is asked for. With a
    reference, such as the price of a neighbouring node, hour-ending stamps taken for hour-beginning ones are found out.
    """
    from microgrid.case.imports import import_series

    trusted = None
    if reference is not None:
        told = import_options({"node": reference_node, "stamp": "beginning" if reference_format == "csv" else None})
        trusted = import_series(kind, reference, reference_format, told)
    made = import_series(kind, file, file_format, import_options(stated), trusted)
    _print_written(made, made.write(out or file.with_name(f"{file.stem}.clean.csv")))


def _print_written(made: CleanSeries, path: Path) -> None:
    """Print the notes, the file, and how a case refers to its columns."""
    for note in made.notes:
        click.echo(f"note: {note}")
    click.echo(f"wrote {path}: {len(made.times):,} rows of {made.step_min} min from {made.times[0]:%Y-%m-%dT%H:%MZ}")
    click.echo("in a case (path relative to the case file):")
    for name, series in made.references(path.name).items():
        zone = f", zone: {series.zone}" if series.zone else ""
        unit = '"1"' if series.unit == "1" else series.unit  # a bare 1 is a number in YAML
        click.echo(f"  {{file: {series.file}, column: {name}, unit: {unit}{zone}}}")


COMMANDS = (economics, import_)
