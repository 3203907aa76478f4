"""Close the loop between dispatch and network: violations become rows, losses enter the balance, until AC agrees.

Round 0 knows no network. Every later round is solved with all rows so far; rows accumulate, because replacing them
oscillates. The loop ends when no limit is broken and the losses of the dispatch are those of the AC power flow, or
when a violation remains that no decision moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from microgrid.case.load import told_in_file
from microgrid.case.model import Case
from microgrid.dispatch.balance import CAMPUS
from microgrid.dispatch.run import Dispatch, SolveSettings, dispatch
from microgrid.errors import Residual
from microgrid.formulation.connection import Connection, NetworkCut
from microgrid.powerflow.cuts import CutOptions, Decision, build_cuts, build_loss_cuts, intact_snapshot
from microgrid.powerflow.judge import RowLimits
from microgrid.powerflow.limits import normal_limits
from microgrid.powerflow.outages import intact_network
from microgrid.study.network_check import NetworkCheck, at_buses, certified, check_network
from microgrid.study.outage_check import OutageCheck, check_outages, outage_rows
from microgrid.study.running import running_shares

MOST_ROUNDS = 6
LOSS_MISSED_MW = 0.05  # a step whose losses are missed by more gets another tangent
LOSS_OF_POWER = 0.005
LOSS_OF_ENERGY = 1e-4
BLOCK = 1024  # steps linearised together, to bound memory
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Round:
    """One round of the loop: objective, limits broken intact and after outages, losses missed, rows so far."""

    objective_usd: float
    violations: int
    outage_violations: int
    loss_miss_mw: float
    loss_miss_mwh: float
    cuts: int


@dataclass(frozen=True)
class Secured:
    """A dispatch that the network accepts (or the best found), its check, its rows, and how it came about.

    `outages` is None in mode n0; `best` is the place in `rounds` of the dispatch. Best is, of the rounds with fewest
    steps without a solution and with losses paid where any has, the one with fewest limits broken; of equals the last.
    """

    dispatch: Dispatch
    check: NetworkCheck
    outages: OutageCheck | None
    cuts: tuple[NetworkCut, ...]
    rounds: tuple[Round, ...]
    loss_tolerance_mw: float
    best: int

    @property
    def published(self) -> Round:
        """The round of the dispatch."""
        return self.rounds[self.best]

    @property
    def cost_of_network_usd(self) -> float:
        """Objective with network limits and losses, less the objective without a network."""
        return self.published.objective_usd - self.rounds[0].objective_usd

    @property
    def accepted(self) -> bool:
        """True when no limit is broken, intact or (in mode n1) after any single outage, and the losses agree."""
        last = self.published
        return last.violations == 0 and last.outage_violations == 0 and self.losses.holds

    @property
    def losses(self) -> Residual:
        """Losses of the dispatch against those of the AC power flow at the worst step."""
        return Residual("losses", self.published.loss_miss_mw, self.loss_tolerance_mw, "MW", "dispatch against AC")


def solve_secure(case: Case, settings: SolveSettings, mode: str, progress: Progress) -> Secured:
    """Dispatch a case so that the network keeps its limits in AC, with losses in the balance.

    `mode` is ``n0`` (intact network) or ``n1`` (after any single outage as well, within emergency limits).

    Raises:
        Infeasible: no dispatch keeps the limits; names elements, hours and MW.
    """
    net = case.network()
    with told_in_file(case):
        found = dispatch(case.parts, case.horizon, case.inputs, settings=settings, progress=progress)
    cuts: list[NetworkCut] = []
    rounds: list[Round] = []
    best: _Trial | None = None
    while True:
        progress(f"AC power flow, round {len(rounds)}")
        trial = _tried(case, found, net, mode, (len(rounds), len(cuts)), progress)
        rounds.append(trial.round)
        best = trial if best is None or trial.rank <= best.rank else best
        if trial.accepted or len(rounds) > MOST_ROUNDS:
            break
        progress(f"network rows, round {len(rounds)}")
        fresh = _fresh_rows(case, found, trial.check, trial.outages, trial.miss)
        if not fresh:
            break
        cuts.extend(fresh)
        found = dispatch(case.parts, case.horizon, case.inputs, settings=settings, cuts=cuts, progress=progress)
    kept = tuple(cuts[: best.round.cuts])
    return Secured(best.found, certified(best.check), best.outages, kept, tuple(rounds), best.tolerance_mw, best.place)


@dataclass(frozen=True)
class _Trial:
    """One round with all that is published of it."""

    place: int
    found: Dispatch
    check: NetworkCheck
    outages: OutageCheck | None
    miss: np.ndarray
    round: Round
    accepted: bool
    tolerance_mw: float

    @property
    def rank(self) -> tuple[bool, int, bool, int, float]:
        """Lower is better: accepted, fewest steps without solution, losses paid, fewest limits broken, losses met."""
        unsolved = sum(violation.kind == "divergent" for violation in self.check.violations)
        broken = self.round.violations + self.round.outage_violations
        missed = self.round.loss_miss_mw > self.tolerance_mw
        return not self.accepted, unsolved, missed, broken, self.round.loss_miss_mwh


def _tried(
    case: Case, found: Dispatch, net: Any, mode: str, place_and_cuts: tuple[int, int], progress: Progress
) -> _Trial:
    place, cuts = place_and_cuts
    running = running_shares(case.connections(), found.dataset)
    check = check_network(case, dict(found.injections), net, running=running, compare=False)
    outages = _outages(check, mode, place, progress)
    miss = loss_miss(case, found, check)
    told = _round(case, found, check, outages, miss, cuts)
    tolerance = float(LOSS_OF_POWER * _drawn(found).max())
    return _Trial(place, found, check, outages, miss, told, _accepted(case, told, found), tolerance)


def _outages(check: NetworkCheck, mode: str, place: int, progress: Progress) -> OutageCheck | None:
    if mode != "n1":
        return None
    progress(f"single outages, round {place}")
    return check_outages(check)


def _round(
    case: Case, found: Dispatch, check: NetworkCheck, outages: OutageCheck | None, miss: np.ndarray, cuts: int
) -> Round:
    return Round(
        found.solution.objective,
        len(check.violations),
        0 if outages is None else int(outages.broken.sum()),
        float(np.abs(miss).max()),
        float(np.abs(miss) @ np.asarray(case.horizon.hours)),
        cuts,
    )


def _accepted(case: Case, last: Round, found: Dispatch) -> bool:
    """No limit broken, and losses agree: at every step to 0.5 % of the highest power, over the window to 0.01 %."""
    drawn = _drawn(found)
    highest, energy = float(drawn.max()), float(drawn @ np.asarray(case.horizon.hours))
    limits_hold = last.violations == 0 and last.outage_violations == 0
    return (
        limits_hold and last.loss_miss_mw <= LOSS_OF_POWER * highest and last.loss_miss_mwh <= LOSS_OF_ENERGY * energy
    )


def _drawn(found: Dispatch) -> np.ndarray:
    """MW drawn by all parts together, shape (steps,)."""
    return np.asarray(sum(np.clip(-power, 0.0, None) for power in found.injections.values()))


def _fresh_rows(
    case: Case, found: Dispatch, check: NetworkCheck, outages: OutageCheck | None, miss: np.ndarray
) -> list[NetworkCut]:
    """Rows of all steps where a limit is broken or the losses are missed."""
    wrong = np.abs(miss) > LOSS_MISSED_MW
    wrong[[violation.step for violation in check.violations]] = True
    decisions = decisions_of(case.connections(), dict(found.injections), check)
    if not decisions:
        return []
    cuts = _intact_rows(check, decisions, np.flatnonzero(wrong))
    inflated = set(np.flatnonzero(miss < -LOSS_MISSED_MW).tolist())
    cuts += [capped(cut) for cut in cuts if cut.quantity == "loss" and cut.step in inflated]
    if outages is not None:
        cuts += outage_rows(check, outages, decisions)
    return [scaled(cut) for cut in cuts]


def loss_miss(case: Case, found: Dispatch, check: NetworkCheck) -> np.ndarray:
    """Losses of the AC power flow less those the dispatch reckoned with, MW by step (NaN of unsolved steps as 0)."""
    reckoned = found.dataset[f"{CAMPUS}.loss_mw"].to_numpy() if f"{CAMPUS}.loss_mw" in found.dataset else 0.0
    return np.nan_to_num(check.campus_losses_mw(case, dict(found.injections)) - reckoned)


def _intact_rows(check: NetworkCheck, decisions: tuple[Decision, ...], steps: np.ndarray) -> list[NetworkCut]:
    """Rows of the intact network at the chosen steps: limits broken or near, and a tangent of the losses."""
    limits = RowLimits.of(check.grid, normal_limits(check.attached, check.grid))
    options = CutOptions(outside=check.poi_lines, own_mw=check.own_mw)
    cuts: list[NetworkCut] = []
    for begin in range(0, len(steps), BLOCK):
        chosen = steps[begin : begin + BLOCK]
        snapshot = intact_snapshot(intact_network(check.system, check.profiles, chosen), chosen)
        cuts += build_cuts(snapshot, decisions, limits, options)
        cuts += build_loss_cuts(snapshot, decisions, options)
    return cuts


def capped(tangent: NetworkCut) -> NetworkCut:
    """The tangent from above, with a little room, where the dispatch has reckoned with more losses than there are.

    That pays only where energy is worth less than nothing. The present point always fits, so a cap never makes a case
    infeasible; it keeps the step near the point at which the tangent was taken.
    """
    coefficients = tuple((key, -value) for key, value in tangent.coefficients)
    return replace(tangent, coefficients=coefficients, bound=-tangent.bound + LOSS_MISSED_MW, loss_coefficient=1.0)


def scaled(cut: NetworkCut) -> NetworkCut:
    """A voltage or current row in percent: sizes near one suit the LP, its price is USD per percentage point."""
    if cut.quantity == "loss":
        return cut
    coefficients = tuple((key, 100.0 * value) for key, value in cut.coefficients)
    return replace(cut, coefficients=coefficients, bound=100.0 * cut.bound)


def decisions_of(
    connections: Sequence[Connection], injections: Mapping[tuple[str, str], np.ndarray], check: NetworkCheck
) -> tuple[Decision, ...]:
    """Injections that the dispatch decides, one a part and bus, with the reactive power that comes with them."""
    powers = at_buses(list(connections), dict(injections))
    return tuple(
        Decision(
            link.part,
            link.bus,
            check.bus_rows[link.bus],
            powers[link.part, link.bus],
            q_per_mw=0.0 if link.vm_pu is not None else link.mvar_per_mw,
        )
        for link in connections
        if link.behaviour != "grid"
    )


def shadow_prices(found: Dispatch, cuts: Sequence[NetworkCut], limit: int = 200) -> list[dict[str, Any]]:
    """Price of every binding network row by element and step, USD per percentage point, dearest first."""
    duals = found.duals.get(f"{CAMPUS}.network_cut")
    if duals is None:
        return []
    total: dict[tuple[str, str, str, int], float] = {}
    for cut, dual in zip(cuts, np.abs(duals).tolist(), strict=False):  # rows after the last one written have no price
        if dual > 1e-6 and cut.quantity != "loss":
            key = (cut.element, cut.quantity, cut.outage, cut.step)
            total[key] = total.get(key, 0.0) + dual
    dearest = sorted(total.items(), key=lambda item: -item[1])[:limit]
    return [
        {"element": element, "quantity": quantity, "outage": outage, "step": step, "usd_per_percent": price}
        for (element, quantity, outage, step), price in dearest
    ]


__all__ = ["Round", "Secured", "decisions_of", "loss_miss", "shadow_prices", "solve_secure"]
