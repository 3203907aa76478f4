"""The ledger of flexibility: who sold which MW, and what is left to sell.

Every sale takes its MW and its speed out of the provider's headroom and out of the headroom of the meter. A later
program, or a later service of the same one, only sees what is left, so no MW can be sold twice, whatever the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, number, total
from microgrid.formulation.block import Block, Claim, Headroom, Rule

Terms = Sequence[Linear] | Sequence[float]
SOLD, HELD, SPARE, EARNED, CALLED = "sold_mw", "held_mw", "spare_mw", "earned_usd", "called_mw"
METER = ".meter"
COLUMNS = (
    "program", "service", "provider", "largest_mw", "sold_mwh", "hours", "first", "last", "price_usd_per_mwh",
    "earned_usd", "called_mwh", "deliverable",
)  # fmt: skip


@dataclass(frozen=True)
class Sale:
    """MW sold by one provider to one service at every step, sustained for `duration_h` when called.

    `deployed_share` is the share of them that is called on average.
    """

    service: str
    provider: str
    mw: Sequence[Linear]
    duration_h: float
    price_usd_per_mwh: Sequence[float]
    up: bool = True
    response_min: float = float("inf")
    deployed_share: float = 0.0


def site(poi: str) -> str:
    """Key of the headroom of a meter in the ledger."""
    return f"{poi}{METER}"


def open_meter(block: Block, poi: str, import_right_mw: Terms | None, export_right_mw: Terms | None) -> Headroom:
    """Headroom of the meter: how far import may fall (to full export) and rise, less what is already sold.

    A right that is not given is read from the meter's signals ``import_right_mw`` and ``export_right_mw``; without
    them nothing may be exported, and no more imported.
    """
    key = site(poi)
    import_, export = block.signal(f"{poi}.import_mw"), block.signal(f"{poi}.export_mw")
    into = _right(block, poi, "export_right_mw", export_right_mw) or block.numbers([0.0] * block.horizon.count)
    from_grid = _right(block, poi, "import_right_mw", import_right_mw)
    room = block.campus.headrooms.get(key)
    up = room.up if room is not None else block.terms(lambda t: import_[t] - export[t] + into[t])
    down = None if room is None else room.down
    if down is None and from_grid is not None:
        down = block.terms(lambda t: from_grid[t] - import_[t] + export[t])
    claims = ((), ()) if room is None else (room.claims_up, room.claims_down)
    block.campus.headrooms[key] = Headroom(up, down, claims_up=claims[0], claims_down=claims[1])
    return block.campus.headrooms[key]


def _right(block: Block, poi: str, name: str, given: Terms | None) -> Terms | None:
    signal = f"{poi}.{name}"
    return block.signal(signal) if given is None and signal in block.campus.signals else given


def room_of(block: Block, provider: str) -> Headroom:
    """What `provider` has left to sell; InvalidInput names the assets that offer headroom."""
    rooms = block.campus.headrooms
    if provider not in rooms:
        have = ", ".join(sorted(sellers(block))) or "none of the assets"
        raise InvalidInput(
            Problem("offers no headroom", f"assets that do: {have}", f"{block.name}.providers", provider)
        )
    return rooms[provider]


def sellers(block: Block) -> list[str]:
    """Assets with headroom, in the order of the case."""
    return [name for name in block.campus.headrooms if not name.endswith(METER)]


def take(block: Block, name: str, sales: Iterable[Sale]) -> Headroom:
    """Deduct sales from the headroom called `name` and return what is left."""
    left = block.campus.headrooms[name]
    for sale in sales:
        left = _less(block, left, sale)
    block.campus.headrooms[name] = left
    return left


def _less(block: Block, room: Headroom, sale: Sale) -> Headroom:
    side, energies = (room.up, room.energies_up_mwh) if sale.up else (room.down, room.energies_down_mwh)
    side = None if side is None else _after(block, side, 1.0, sale.mw)
    energies = tuple(_after(block, energy, sale.duration_h, sale.mw) for energy in energies)
    claim = Claim(sale.mw, sale.response_min, sale.deployed_share, sale.duration_h)
    if sale.up:
        return replace(room, up=side, energies_up_mwh=energies, claims_up=(*room.claims_up, claim))
    return replace(room, down=side, energies_down_mwh=energies, claims_down=(*room.claims_down, claim))


def _after(block: Block, free: Sequence[Linear], share: float, sold: Sequence[Linear]) -> Sequence[Linear]:
    return block.terms(lambda t: free[t] - share * sold[t])


def hold_speed(block: Block, of: str, room: Headroom, sales: Sequence[Sale], *, up: bool) -> None:
    """Keep what must respond within a time, this program's and earlier ones' together, within the ramp of that time.

    The schedule's own ramping uses up a part of the speed; what it leaves stands in the headroom.
    """
    ramp, speeds = room.ramp_mw_per_min, room.speeds_up if up else room.speeds_down
    if (ramp == float("inf") and not speeds) or not sales:
        return
    claims = [*(room.claims_up if up else room.claims_down), *(Claim(sale.mw, sale.response_min) for sale in sales)]
    first = min(sale.response_min for sale in sales)
    for limit in sorted({claim.response_min for claim in claims if first <= claim.response_min < float("inf")}):
        together = [claim.mw for claim in claims if claim.response_min <= limit]
        if len(together) > 1 and ramp < float("inf"):  # a single sale is bounded by its own ramp already
            _respond(block, f"{of}.{limit:g}min", block.numbers([ramp * limit] * block.horizon.count), together)
        for place, speed in enumerate(speeds):
            _respond(block, f"{of}.{limit:g}min.speed{place}", speed, together, limit)


def hold_meter_speed(block: Block, poi: str, sales: Sequence[Sale], *, up: bool) -> None:
    """Keep calls, earlier programs' included, within the ramp and the variation limits that the meter publishes."""
    if not sales:
        return
    room, signals, side = block.campus.headrooms[site(poi)], block.campus.signals, "up" if up else "down"
    way = "fall" if up else "rise"
    claims = [*(room.claims_up if up else room.claims_down), *(Claim(sale.mw, sale.response_min) for sale in sales)]
    if (ramp := signals.get(f"{poi}.{way}_mw_per_min")) is not None:
        for limit in sorted({claim.response_min for claim in claims if claim.response_min < float("inf")}):
            together = [claim.mw for claim in claims if claim.response_min <= limit]
            _respond(block, f"meter.{side}.{limit:g}min", ramp.terms, together, limit)
    prefix = f"{poi}.{way}_mw."
    for name in sorted(name for name in signals if name.startswith(prefix)):
        lag, window = name.removeprefix(prefix).split(".", 1)
        together = [claim.mw for claim in claims if claim.response_min <= float(window)]
        if together:
            _respond(block, f"meter.{side}.window{window}min.{lag}", signals[name].terms, together)


def _respond(block: Block, of: str, reach_mw: Terms, together: Sequence[Sequence[Linear]], scale: float = 1.0) -> None:
    @block.constraint(block.horizon.steps, of=of)
    def response(t: int) -> Relation:
        r"""\sum_{s: \theta_s \le \theta} r_{s,t} \le R \theta, or the change allowed in a window of \theta"""
        return sum_of(mw[t] for mw in together) <= scale * reach_mw[t]


def report_sale(block: Block, sale: Sale, rooms: Sequence[Headroom], earned: Rule | None = None) -> None:
    """Report what a sale earns and the MW that were still free behind it (provider and meter), never negative.

    `earned` tells the payment of a step, USD, where it is not the price of the MW sold.
    """
    of, hours = f"{sale.service}.{sale.provider}", block.horizon.hours
    by_price: Rule = lambda t: (hours[t] * sale.price_usd_per_mwh[t]) * sale.mw[t]  # noqa: E731 - one of two rules
    block.report(EARNED, earned or by_price, "$", "payment for the capacity sold", of=of)
    if sale.deployed_share:
        block.report(CALLED, lambda t: sale.deployed_share * sale.mw[t], "MW", "energy expected to be called", of=of)
    report_spare(block, sale, rooms, of=of)


def report_spare(block: Block, sale: Sale, rooms: Sequence[Headroom], *, of: str) -> None:
    """Report the MW that are still free behind a sale or a reserve held."""

    def spare(t: int) -> float:
        free = [number(side[t]) for room in rooms if (side := room.up if sale.up else room.down) is not None]
        energies = [
            energy for room in rooms for energy in (room.energies_up_mwh if sale.up else room.energies_down_mwh)
        ]
        held = [number(energy[t]) / sale.duration_h for energy in energies if sale.duration_h > 0]
        return min([*free, *held], default=0.0)

    block.report(SPARE, spare, "MW", "MW still free behind the sale; negative would not be deliverable", of=of)


def sales_table(
    values: Mapping[str, np.ndarray], hours: Sequence[float], times: pd.DatetimeIndex, tolerance_mw: float = 1e-5
) -> pd.DataFrame:
    """Who sold which MW, when, for how much, and whether it was deliverable: one row a program, service and provider.

    ``sold_mwh`` are MW held times hours, ``price_usd_per_mwh`` what one of them earned on average, ``called_mwh`` the
    energy expected to be called. `values` holds variables and reports of a result by full name. A sale is deliverable
    when the MW still free behind it never fall below zero by more than `tolerance_mw`.
    """
    rows = []
    for name in sorted(values):
        if not name.endswith((f".{SOLD}", f".{HELD}")):
            continue
        program, service, provider, stem = _seller(name)
        sold = np.asarray(values[name], dtype=float)
        active, span = np.flatnonzero(sold > tolerance_mw), np.asarray(hours)
        sold_mwh, earned = float(sold @ span), float(np.sum(values.get(f"{stem}.{EARNED}", 0.0)))
        rows.append(
            {
                "program": program,
                "service": service,
                "provider": provider,
                "largest_mw": float(sold.max(initial=0.0)),
                "sold_mwh": sold_mwh,
                "hours": float(span[active].sum()),
                "first": times[active[0]] if active.size else None,
                "last": times[active[-1]] if active.size else None,
                "price_usd_per_mwh": earned / sold_mwh if active.size else 0.0,
                "earned_usd": earned,
                "called_mwh": float(np.asarray(values.get(f"{stem}.{CALLED}", np.zeros(span.size))) @ span),
                "deliverable": bool(np.min(values.get(f"{stem}.{SPARE}", np.zeros(1))) >= -tolerance_mw),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _seller(name: str) -> tuple[str, str, str, str]:
    """Program, service and provider of a result ``program.service.provider.sold_mw``, and what its reports begin with.

    Reserve that is held and not sold has no service in its name, ``program.provider.held_mw``; it is spinning reserve.
    """
    stem = name.rpartition(".")[0]
    if name.endswith(f".{HELD}"):
        program, provider = stem.split(".", 1)
        return program, "spinning", provider, stem
    program, service, provider = stem.split(".", 2)
    return program, service, provider, stem


def sum_of(terms: Iterable[Linear | float]) -> Linear:
    """Sum that is a linear term even when nothing is summed."""
    return total([*terms, 0.0])


__all__ = [
    "CALLED",
    "EARNED",
    "HELD",
    "SOLD",
    "SPARE",
    "Sale",
    "hold_meter_speed",
    "hold_speed",
    "open_meter",
    "report_sale",
    "report_spare",
    "room_of",
    "sales_table",
    "sellers",
    "site",
    "sum_of",
    "take",
]
