"""Commands on cases: solve, validate, new, list, describe, schema."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from microgrid.cli import display

OVERRIDE = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a field, e.g. --set assets.battery.power_mw=20.",
)
QUIET = click.option("--quiet", is_flag=True, help="No progress.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.argument("case")
@OVERRIDE
@click.option("--out", type=click.Path(path_type=Path), help="Result folder  [default: results/CASE]")
@click.option(
    "--gap",
    type=click.FloatRange(0, 1, min_open=True),
    help="Relative gap to prove  [default: of the case, else 0.001]",
)
@click.option(
    "--time-limit", type=click.FloatRange(0, min_open=True), help="Seconds after which an unproven solve ends."
)
@click.option("--solver", default="highs", show_default=True, help="highs, or any solver that Pyomo can reach.")
@click.option(
    "--secure",
    type=click.Choice(["none", "n0", "n1"]),
    help="Network limits that the dispatch keeps  [default: of the case, else none]",
)
@JSON
@QUIET
def solve(
    case: str,
    overrides: tuple[str, ...],
    out: Path | None,
    gap: float | None,
    time_limit: float | None,
    solver: str,
    secure: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Dispatch CASE at least cost, bill it, check every step in AC, and write a result folder.

    CASE is a shipped case's name (see `microgrid list cases`), a folder, or a path to a case.yaml.
    """
    with display.progress(quiet=quiet or as_json) as tell:
        tell("load")
        from microgrid.case.load import load_case
        from microgrid.dispatch.run import SolveSettings
        from microgrid.results.files import check_free
        from microgrid.study.solve import save, solve_case

        loaded = load_case(case, overrides)
        announce_plugins(loaded.header.plugins)
        target = out or Path("results") / loaded.name
        check_free(target)  # now, not after an hour of solving
        options = loaded.header.solve
        settings = SolveSettings(gap or options.gap, time_limit or options.time_limit_s, solver)
        solved = solve_case(loaded, settings=settings, secure=secure, progress=tell)
        tell("write")
        folder = save(solved, target)
    show_summary(solved.summary, as_json=as_json)
    if not as_json:
        click.echo(f"written to {folder}")
    return 4 if solved.violated else 0


def announce_plugins(plugins: tuple[str, ...]) -> None:
    """Say on standard error which files of the case were executed."""
    if plugins:
        click.echo(f"executed plugins of the case: {', '.join(plugins)}", err=True)


def show_summary(summary: object, *, as_json: bool) -> None:
    """Print a summary for people or machines."""
    if as_json:
        import json

        click.echo(json.dumps(summary, indent=1, ensure_ascii=False))
        return
    from microgrid.report.terminal import print_summary

    print_summary(summary, display.console())  # type: ignore[arg-type]


@click.command()
@click.argument("case")
@OVERRIDE
def validate(case: str, overrides: tuple[str, ...]) -> None:
    """Check CASE and report every problem at once, without solving."""
    from microgrid.case.load import load_case

    loaded = load_case(case, overrides)
    announce_plugins(loaded.header.plugins)
    horizon = loaded.horizon
    click.echo(
        f"{loaded.name}: valid; {len(loaded.parts)} parts, {len(loaded.inputs)} series, "
        f"{horizon.count:,} steps of {horizon.step_min} min"
    )


@click.command()
@click.option("--kind", help="Only this asset or program.")
def schema(kind: str | None) -> None:
    """Print the JSON Schema of a case file, for completion in editors."""
    import json

    from microgrid.case.json_schema import case_schema

    click.echo(json.dumps(case_schema(kind), indent=1))


@click.command()
@click.argument("kind")
def describe(kind: str) -> None:
    """Print the maths, fields, units and limits of an asset, program or network."""
    from microgrid.case.describe import describe_text

    click.echo(describe_text(kind))


@click.command("list")
@click.argument("what", type=click.Choice(["cases", "networks", "assets", "programs", "tariffs", "charges"]))
def list_(what: str) -> None:
    """List shipped and installed cases, networks, assets, programs, tariffs or charges."""
    from microgrid.case.catalogue import entries

    found = entries(what)
    width = max((len(name) for name in found), default=0)
    for name, meaning in found.items():
        click.echo(f"{name:{width}}  {meaning}")


@click.command()
@click.argument("what", type=click.Choice(["case", "asset", "network"]))
@click.argument("name")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
def new(what: str, name: str, force: bool) -> None:
    """Write a working start for an own case, asset or network."""
    from microgrid.case.starts import write_start

    for path in write_start(what, name, force=force):
        click.echo(f"wrote {path}")


COMMANDS = (solve, validate, new, list_, describe, schema)
