"""`microgrid`: the command group, and the only place where errors become exit codes."""

from __future__ import annotations

import sys
from typing import Any

import rich_click as click

from microgrid.cli import bill, cases, inputs, results, tariffs
from microgrid.errors import Infeasible, InvalidInput, MicrogridError

EXIT_CODES = """
Exit codes: 0 ok, 2 bad input, 3 infeasible, 4 network limit left broken, 5 solver limit before the asked gap,
6 audit failed.
"""


def _version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the version."""
    if not asked or context.resilient_parsing:
        return
    from microgrid.schema.version import program_version

    click.echo(f"microgrid {program_version()}")
    context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=EXIT_CODES)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version and exit."
)
def cli() -> None:
    """Design a campus of Bitcoin mining and AI load behind one meter: dispatch, bill, AC power flow, report."""


for module in (cases, results, inputs, bill, tariffs):
    for command in module.COMMANDS:
        cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code of the error met, never with a traceback."""
    try:
        code: Any = cli.main(args=arguments, standalone_mode=False)
    except click.Abort:
        fail("interrupted; nothing was written", 130)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(wrong.exit_code)
    except InvalidInput as wrong:
        lines = [str(problem) for problem in wrong.problems]
        fail("\n".join(lines) + f"\n{len(lines)} problem{'s' if len(lines) > 1 else ''}", wrong.exit_code)
    except Infeasible as wrong:
        lines = [
            f"  {item.limit}{_amount(item)}{': ' + item.detail if item.detail else ''}" for item in wrong.conflicts
        ]
        fail("\n".join([f"infeasible: {wrong}", *lines]), wrong.exit_code)
    except MicrogridError as wrong:
        fail(f"{_headline(wrong)}: {wrong}", wrong.exit_code)
    except KeyboardInterrupt:
        fail("interrupted; nothing was written", 130)
    except SystemExit as ended:  # click's answer to a broken pipe: the reader (`| head`) has seen enough
        sys.exit(0 if isinstance(ended.__context__, BrokenPipeError) else ended.code)
    except OSError as refused:
        fail(*_of_the_system(refused))
    except Exception as defect:  # noqa: BLE001 - the one broad catch: a user never sees a traceback
        fail(_defect(defect), 1)
    sys.exit(code if isinstance(code, int) else 0)


def fail(text: str, code: int) -> None:
    """Write to standard error and exit."""
    click.echo(text, err=True)
    sys.exit(code)


def _amount(conflict: Any) -> str:
    parts = []
    if conflict.shortfall_mw:
        parts.append(f"{conflict.shortfall_mw:,.3f} MW")
    if conflict.hours:
        parts.append(f"{conflict.hours:,.2f} h")
    if conflict.worst:
        parts.append(f"from {conflict.worst}" if not conflict.shortfall_mw else f"worst {conflict.worst}")
    return f" ({', '.join(parts)})" if parts else ""


def _headline(wrong: MicrogridError) -> str:
    return {4: "network limits broken", 5: "not proven", 6: "audit failed, nothing published"}.get(
        wrong.exit_code, "defect"
    )


def _of_the_system(refused: OSError) -> tuple[str, int]:
    """Words and code of a file or disk that refuses: bad input when it names the file, else a defect."""
    if refused.filename is None:
        return _defect(refused), 1
    return f"{refused.filename}: {refused.strerror}: name another file or free this one", 2


def _defect(defect: Exception) -> str:
    """Tell a defect in two lines, and where its traceback was put."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="microgrid-", delete=False, encoding="utf-8") as file:
        file.write(traceback.format_exc())
    return f"this is a defect of microgrid: {type(defect).__name__}: {defect}\nplease report it with {file.name}"


if __name__ == "__main__":
    main()
