"""What next year's bill of this year's coincident peaks is not weighed in: rules that no sum of their own states.

A minimum bill may swallow part of next year's charge, a credit or an overrun may move with it. The optimiser weighs the
charges and percent riders on such peaks alone, and the notes of the bill name the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from microgrid.tariffs.bill import with_defaults
from microgrid.tariffs.charges import AnnualMinimum, DemandCharge, EnergyCharge, MinimumBill, Percent
from microgrid.tariffs.determinants import Coincident, Excess, SumOf
from microgrid.tariffs.model import Tariff


def unweighed(tariff: Tariff) -> list[str]:
    """Rules, by name, that read coincident peaks billed next year and are not weighed for that year."""
    coming = _billed_next_year(tariff)
    return [*_limits(tariff, coming), *_charges(tariff, coming), *_programs(tariff, coming)]


def _billed_next_year(tariff: Tariff) -> set[str]:
    """Determinants that bill last year's coincident peaks, and sums of them."""
    found: set[str] = set()
    for name, node in tariff.determinants.items():
        if isinstance(node, Coincident) and node.billed == "next_year" and node.prior_kw is not None:
            found.update([name] if node.next_year_value else [])
        if isinstance(node, SumOf) and found.intersection(node.of):
            found.add(name)
    return found


def _limits(tariff: Tariff, coming: set[str]) -> Iterator[str]:
    for name, node in tariff.determinants.items():
        if isinstance(node, Excess) and node.over in coming:
            yield f"the limit of `{name}`"


def _charges(tariff: Tariff, coming: set[str]) -> Iterator[str]:
    weighed: set[str] = set()
    for charge in with_defaults(tariff):
        if isinstance(charge, DemandCharge) and charge.of in coming:
            weighed.add(charge.id)
        if isinstance(charge, Percent) and weighed & {*charge.of}:
            weighed.add(charge.id)
        if isinstance(charge, EnergyCharge) and charge.kw in coming:
            yield f"hours-use tiers of `{charge.id}`"
        if isinstance(charge, MinimumBill) and (coming & {*(charge.per or {})} or weighed & {*charge.of}):
            yield f"minimum bill `{charge.id}`"
        if isinstance(charge, AnnualMinimum) and weighed & {*charge.of}:
            yield f"annual minimum `{charge.id}`"


def _programs(tariff: Tariff, coming: set[str]) -> Iterator[str]:
    for program in tariff.programs:
        if program.active and program.kind != "penalty" and program.of in coming:
            yield f"program `{program.id}`"


__all__ = ["unweighed"]
