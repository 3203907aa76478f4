"""Commands on results: show, plot, verify, check."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from microgrid.cli import display
from microgrid.cli.cases import JSON, OVERRIDE, QUIET, show_summary

RESULT = click.argument("result", type=click.Path(path_type=Path))


@click.command()
@RESULT
@JSON
@click.option("--months", is_flag=True, help="Money by item and month instead.")
def show(result: Path, as_json: bool, months: bool) -> None:
    """Print the summary of RESULT again."""
    from microgrid.results.files import open_results

    opened = open_results(result)
    if not months:
        show_summary(opened.summary, as_json=as_json)
        return
    from microgrid.study.summary import by_month
    from microgrid.study.verify import stored_horizon

    frame = by_month(opened.dispatch, stored_horizon(opened)).round(2)
    click.echo(frame.to_json(orient="index", indent=1) if as_json else frame.to_string(float_format="{:,.0f}".format))


@click.command()
@RESULT
@click.option(
    "--week",
    default=0,
    show_default=True,
    help="Week shown in the dispatch stack, counted from the start; -1 is the one with the highest price.",
)
@click.option("--format", "file_type", type=click.Choice(["png", "svg"]), default="png", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the pictures  [default: RESULT/plots]")
def plot(result: Path, week: int, file_type: str, out: Path | None) -> None:
    """Draw RESULT: dispatch stack, load duration, price against mining power, stored energy, voltages and loadings."""
    from microgrid.report.plots import draw
    from microgrid.results.files import open_results

    for path in draw(open_results(result), out or result / "plots", week=week, file_type=file_type):
        click.echo(f"wrote {path}")


@click.command()
@RESULT
@JSON
def verify(result: Path, as_json: bool) -> int:
    """Recompute the certificates of RESULT from its files alone."""
    from microgrid.report.terminal import print_certificates
    from microgrid.results.files import open_results
    from microgrid.study.summary import certificates
    from microgrid.study.verify import verify_result

    residuals = verify_result(open_results(result))
    rows = certificates(residuals)
    if as_json:
        import json

        click.echo(json.dumps(rows, indent=1))
    else:
        print_certificates(rows, display.console())  # type: ignore[arg-type]
    return 0 if all(residual.holds for residual in residuals) else 6


@click.command()
@click.argument("target")
@OVERRIDE
@JSON
@QUIET
def check(target: str, overrides: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """Solve every step of TARGET in AC again: a result folder, or a case (which is dispatched first).

    Exit code 4 when a limit of the intact network is broken, 6 when a certificate is missed.
    """
    with display.progress(quiet=quiet or as_json) as tell:
        tell("load")
        from microgrid.study.recheck import network_of
        from microgrid.study.summary import certificates, network

        case, found = network_of(target, overrides, tell)
    page = {
        "network": network(found, case.horizon),
        "certificates": certificates(found.residuals),
    }
    if as_json:
        import json

        click.echo(json.dumps(page, indent=1))
    else:
        from microgrid.report.terminal import print_certificates, print_network

        console = display.console()
        print_network(page["network"], console)  # type: ignore[arg-type]
        print_certificates(page["certificates"], console)  # type: ignore[arg-type]
    if not all(residual.holds for residual in found.residuals):
        return 6
    return 4 if found.violations else 0


@click.command()
@click.argument("target")
@OVERRIDE
@click.option("--bus", "buses", is_flag=True, help="Outages of buses as well.")
@click.option(
    "--double",
    "doubles",
    multiple=True,
    metavar="A+B",
    help="A stated double outage, e.g. --double 'trafo T1+line F1'.",
)
@click.option("--screen", is_flag=True, help="Screen by DC factors first; the recall is told.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the outage dataset as NetCDF.")
@JSON
@QUIET
def contingency(
    target: str,
    overrides: tuple[str, ...],
    buses: bool,
    doubles: tuple[str, ...],
    screen: bool,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Solve every outage at every step of TARGET: a result folder, or a case (which is dispatched first).

    Every outage and step has exactly one status; the ledger adds up. Exit code 4 when an emergency limit is broken,
    or a step has no solution even without an outage.
    """
    with display.progress(quiet=quiet or as_json) as tell:
        tell("load")
        from microgrid.results.files import check_file, write_dataset, writing_file

        if out is not None:
            check_file(out)  # now, not after all outages
        from microgrid.study.islanding import unit_outages
        from microgrid.study.outage_check import check_outages, named_outages
        from microgrid.study.recheck import network_of
        from microgrid.study.summary import outages

        case, found = network_of(target, overrides, tell, outages=True)
        tell("outages")
        chosen = named_outages(found, buses=buses, doubles=doubles)
        study = check_outages(
            found,
            chosen,
            units=unit_outages(found),
            screen=screen,
            progress=lambda done, of: tell(f"outages {done:,} of {of:,}"),
        )
        if out is not None:
            with writing_file(out) as draft:
                write_dataset(study.result, draft)
    page = outages(study, case.horizon)
    if as_json:
        import json

        click.echo(json.dumps(page, indent=1))
    else:
        from microgrid.report.terminal import print_outages

        print_outages(page, display.console())  # type: ignore[arg-type]
    return 4 if study.broken.any() or study.ledger["not_possible"] else 0


COMMANDS = (show, plot, verify, check, contingency)
__all__ = ["COMMANDS", "OVERRIDE", "QUIET"]
