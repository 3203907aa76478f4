"""Consoles and progress: rich on a terminal, plain text when piped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_SECONDS = 2.0


def console(*, errors: bool = False) -> object:
    """Console on standard output or error; 110 columns wide when it is not a terminal."""
    from rich.console import Console

    made = Console(stderr=errors, highlight=False)
    return made if made.is_terminal else Console(stderr=errors, highlight=False, width=130, no_color=True)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Yield a function that is told each stage; shown on standard error, live on a terminal, else one line each.

    Stages shorter than two seconds in all are not shown when the output is piped.
    """
    from rich.console import Console

    screen = Console(stderr=True)
    began = time.perf_counter()
    if quiet:
        yield lambda _: None
        return
    if screen.is_terminal:
        with screen.status("…") as status:
            yield lambda stage: status.update(f"{stage} [dim]({time.perf_counter() - began:.0f} s)[/dim]")
        return

    def tell(stage: str) -> None:
        elapsed = time.perf_counter() - began
        if elapsed > QUIET_SECONDS:
            screen.print(f"{elapsed:6.1f} s  {stage}", highlight=False)

    yield tell


__all__ = ["console", "progress"]
