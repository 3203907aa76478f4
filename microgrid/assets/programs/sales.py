"""The ledger of flexibility: who sold which MW, and what is left to sell.

Every sale claims its MW, energy and speed out of the provider's headroom and out of the headroom of the meter, which
hold all claims together once all programs have written: no MW can be sold twice, whatever the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, number, total
from microgrid.formulation.block import Block, Rule
from microgrid.formulation.headroom import Claim, Headroom, Way, Window

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

    @property
    def way(self) -> Way:
        """Direction of the sale."""
        return "up" if self.up else "down"


def site(poi: str) -> str:
    """Key of the headroom of a meter in the ledger."""
    return f"{poi}{METER}"


@dataclass(frozen=True)
class Rights:
    """What export and import may reach at a meter while one program's calls run, MW by step.

    `down_mw` is None where nobody states an import right; then no call may raise the import.
    """

    poi: str
    up_mw: Sequence[float]
    down_mw: Sequence[float] | None


def open_meter(
    block: Block, poi: str, import_right_mw: list[float] | None = None, export_right_mw: list[float] | None = None
) -> Rights:
    """Rights of one program at a meter, whose headroom is opened: how far the exchange may move, and how fast.

    A right that is not given is read from the meter's signals ``import_right_mw`` and ``export_right_mw``; without
    them nothing may be exported, and no more imported.
    """
    if site(poi) not in block.campus.headrooms:
        import_, export = block.signal(f"{poi}.import_mw"), block.signal(f"{poi}.export_mw")
        signals, speeds = block.campus.signals, [f"{poi}.{way}_mw_per_min" for way in ("fall", "rise")]
        fall, rise = ((signals[name].terms,) if name in signals else () for name in speeds)
        windows = {way: _windows(block, f"{poi}.{way}_mw.") for way in ("fall", "rise")}
        room = Headroom(
            block.terms(lambda t: import_[t] - export[t]), block.terms(lambda t: export[t] - import_[t]),
            speeds_up=fall, speeds_down=rise, windows_up=windows["fall"], windows_down=windows["rise"],
        )  # fmt: skip
        block.headroom(room, site(poi))
    export_right = _right(block, poi, "export_right_mw", export_right_mw)
    return Rights(
        poi, export_right or block.numbers([0.0] * block.horizon.count),
        _right(block, poi, "import_right_mw", import_right_mw),
    )  # fmt: skip


def _windows(block: Block, prefix: str) -> tuple[Window, ...]:
    """What the MW-variation limits of a meter leave, as it publishes them under ``prefix`` lag ``.`` minutes."""
    found = []
    for name in sorted(name for name in block.campus.signals if name.startswith(prefix)):
        lag, minutes = name.removeprefix(prefix).split(".", 1)
        found.append(Window(float(minutes), int(lag), block.campus.signals[name].terms))
    return tuple(found)


def _right(block: Block, poi: str, name: str, given: list[float] | None) -> list[float] | None:
    signal = block.campus.signals.get(f"{poi}.{name}")
    return given if given is not None or signal is None else block.numbers(map(number, signal.terms))


def room_of(block: Block, provider: str) -> Headroom:
    """What `provider` offers; InvalidInput names the assets that offer headroom."""
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


def take(block: Block, name: str, sales: Iterable[Sale]) -> None:
    """Claim sales out of the headroom called `name`."""
    for sale in sales:
        claim = Claim(sale.mw, sale.response_min, sale.deployed_share, sale.duration_h)
        block.campus.headrooms[name] = block.campus.headrooms[name].sold(claim, sale.way)


def take_from_meter(block: Block, rights: Rights, sales: Iterable[Sale], *, exempt_from_ramp: bool) -> None:
    """Claim sales within the rights of a meter; an agreement may exempt calls from its ramp and variations."""
    key = site(rights.poi)
    for sale in sales:
        response = float("inf") if exempt_from_ramp else sale.response_min
        right = rights.up_mw if sale.up else rights.down_mw
        claim = Claim(sale.mw, response, sale.deployed_share, sale.duration_h, right)
        block.campus.headrooms[key] = block.campus.headrooms[key].sold(claim, sale.way)


def report_sale(block: Block, sale: Sale, rooms: Sequence[str], earned: Rule | None = None) -> None:
    """Report what a sale earns and the MW still free behind it, in headrooms called `rooms` (provider and meter).

    `earned` tells the payment of a step, USD, where it is not the price of the MW sold.
    """
    of, hours = f"{sale.service}.{sale.provider}", block.horizon.hours
    by_price: Rule = lambda t: (hours[t] * sale.price_usd_per_mwh[t]) * sale.mw[t]  # noqa: E731 - one of two rules
    block.report(EARNED, earned or by_price, "$", "payment for the capacity sold", of=of)
    if sale.deployed_share:
        block.report(CALLED, lambda t: sale.deployed_share * sale.mw[t], "MW", "energy expected to be called", of=of)
    report_spare(block, sale, rooms, of=of)


def report_spare(block: Block, sale: Sale, rooms: Sequence[str], *, of: str) -> None:
    """Report the MW that all sales together leave in the headrooms behind a sale or a reserve held."""

    def write() -> None:
        sides = [room.side(sale.way) for name in rooms if (room := block.campus.headrooms.get(name)) is not None]

        def spare(t: int) -> float:
            free = [left for side in sides for left in side.left_mw(sale.mw, t)]
            stored = [
                number(energy[t]) - sum(claim.duration_h * number(claim.mw[t]) for claim in side.claims)
                for side in sides
                for energy in side.energies_mwh
            ]
            held = [energy / sale.duration_h for energy in stored if sale.duration_h > 0]
            return min([*free, *held], default=0.0)

        block.report(SPARE, spare, "MW", "MW still free behind the sale; negative would not be deliverable", of=of)

    block.after_all(write)


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
    "Rights",
    "Sale",
    "open_meter",
    "report_sale",
    "report_spare",
    "room_of",
    "sales_table",
    "sellers",
    "site",
    "sum_of",
    "take",
    "take_from_meter",
]
