"""AC power flow of a stored result, or of a case that is dispatched first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from microgrid.case.load import load_case
from microgrid.case.model import Case
from microgrid.dispatch.run import Dispatch
from microgrid.errors import InvalidInput, Problem
from microgrid.results.files import MANIFEST, NETWORK, open_results
from microgrid.study.network_check import NetworkCheck, check_network
from microgrid.study.room import rooms_of
from microgrid.study.running import running_shares
from microgrid.study.secure import solve_secure
from microgrid.study.solve import dispatch_case, settings_of
from microgrid.study.verify import stored_audit, stored_case, stored_network


def network_of(
    target: str, overrides: Sequence[str], progress: Callable[[str], None], *, outages: bool = False
) -> tuple[Case, NetworkCheck]:
    """Case and AC check of a result folder (as stored) or of a case; ready for an outage study when `outages`.

    Raises:
        InvalidInput: no network, or overrides on a result, which is what it is.
    """
    folder = Path(target)
    if (folder / MANIFEST).is_file():
        if overrides:
            raise InvalidInput(
                Problem("a result cannot be changed", "give the case instead", "--set", ", ".join(overrides))
            )
        results = open_results(folder)
        case = stored_case(results)
        injections = dict(stored_audit(results, case).injections)
        dispatched = results.dispatch
        if not (folder / NETWORK).is_file():
            raise InvalidInput(_no_network(target))
        net = stored_network(results)
    else:
        case = load_case(target, overrides)
        if not case.header.network:
            raise InvalidInput(_no_network(target))
        found = _dispatched(case, progress)
        injections, dispatched = dict(found.injections), found.dataset
        net = None
    progress("AC power flow of every step")
    running = running_shares(case.connections(), dispatched)
    rooms = rooms_of(case, dispatched) if outages else None
    return case, check_network(case, injections, net, running=running, rooms=rooms)


def _dispatched(case: Case, progress: Callable[[str], None]) -> Dispatch:
    """The dispatch that `microgrid solve` would write: with the network's rows where the case asks for them."""
    asked = case.header.solve.secure
    if asked == "none":
        return dispatch_case(case, progress=progress)
    return solve_secure(case, settings_of(case), asked, progress).dispatch


def _no_network(target: str) -> Problem:
    return Problem("the case names no network", "name one under network: and solve again", "network", target)


__all__ = ["network_of"]
