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
    from microgrid.results.files import open_results  # noqa: PLC0415 - heavy imports wait until a command runs

    opened = open_results(result)
    if not months:
        show_summary(opened.summary, as_json=as_json)
        return
    from microgrid.study.summary import by_month  # noqa: PLC0415
    from microgrid.study.verify import stored_horizon  # noqa: PLC0415

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
    from microgrid.report.plots import draw  # noqa: PLC0415
    from microgrid.results.files import open_results  # noqa: PLC0415

    for path in draw(open_results(result), out or result / "plots", week=week, file_type=file_type):
        click.echo(f"wrote {path}")


@click.command()
@RESULT
@JSON
def verify(result: Path, as_json: bool) -> int:
    """Recompute the certificates of RESULT from its files alone."""
    from microgrid.report.terminal import print_certificates  # noqa: PLC0415
    from microgrid.results.files import open_results  # noqa: PLC0415
    from microgrid.study.summary import certificates  # noqa: PLC0415
    from microgrid.study.verify import verify_result  # noqa: PLC0415

    residuals = verify_result(open_results(result))
    rows = certificates(residuals)
    if as_json:
        import json  # noqa: PLC0415

        click.echo(json.dumps(rows, indent=1))
    else:
        print_certificates(rows, display.console())  # type: ignore[arg-type]
    return 0 if all(residual.holds for residual in residuals) else 6


COMMANDS = (show, plot, verify)
__all__ = ["COMMANDS", "OVERRIDE", "QUIET"]
