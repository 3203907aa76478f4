"""The dollar bank of export credits: filled by one cycle, applied to later ones, closed at the true-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.tariffs.charges import AnyCharge, DemandCharge, EnergyCharge, Fixed, NetMeteredEnergy
from microgrid.tariffs.export import DOLLAR_BANK, Export
from microgrid.tariffs.export_terms import least_price
from microgrid.tariffs.ledger import Ledger
from microgrid.tariffs.page import Page
from microgrid.tariffs.reading import Reading

BANKED, APPLIED, CASHED = "credit_banked", "credit_applied", "credit_cashed"


def offset_charges(charges: Sequence[AnyCharge], export: Export) -> list[str]:
    """Charges that banked dollars may pay."""
    kinds: dict[str, tuple[type, ...]] = {
        "energy": (EnergyCharge, NetMeteredEnergy),
        "demand": (DemandCharge,),
        "fixed": (Fixed,),
    }
    wanted = tuple(kind for name in export.offsets for kind in kinds[name])
    return [charge.id for charge in charges if isinstance(charge, wanted) and not is_export(charge)]


def is_export(charge: AnyCharge) -> bool:
    """Whether the charge pays for export."""
    return isinstance(charge, EnergyCharge) and charge.channel == "export"


def bill_credits(charges: Sequence[AnyCharge], reading: Reading, ledger: Ledger) -> None:
    """Move export credits of this cycle to the bank and apply what the bank holds."""
    export = reading.export
    if export is None or export.scheme not in DOLLAR_BANK:
        return
    credit = _credited(charges, ledger.amounts, reading.credits)
    payable = np.maximum(_sum(ledger.amounts, offset_charges(charges, export), credit.size), 0.0)
    closes = export.closes(reading.axis.cycles.month)
    applied, cashed = _apply(credit, payable, closes, export)
    if any(is_export(charge) for charge in charges):
        _enter(ledger, BANKED, _export_paid(charges, ledger.amounts, credit.size))
    _enter(ledger, APPLIED, -applied)
    if cashed.any():
        _enter(ledger, CASHED, -cashed)


def _credited(
    charges: Sequence[AnyCharge], amounts: Mapping[str, np.ndarray], credits_by_charge: Mapping[str, np.ndarray]
) -> np.ndarray:
    size = len(next(iter(amounts.values())))
    return np.asarray(_export_paid(charges, amounts, size) + _sum(credits_by_charge, list(credits_by_charge), size))


def _export_paid(charges: Sequence[AnyCharge], amounts: Mapping[str, np.ndarray], size: int) -> np.ndarray:
    return -_sum(amounts, [charge.id for charge in charges if is_export(charge)], size)


def _apply(
    credit: np.ndarray, payable: np.ndarray, closes: np.ndarray, export: Export
) -> tuple[np.ndarray, np.ndarray]:
    """Dollars applied and cashed by cycle, shape (cycles,)."""
    applied, cashed = np.zeros(credit.size), np.zeros(credit.size)
    bank = 0.0
    for cycle in range(credit.size):
        usable = bank + (credit[cycle] if export.apply_in_current_month or export.carry == "expire" else 0.0)
        applied[cycle] = min(usable, payable[cycle])
        bank += credit[cycle] - applied[cycle]
        if closes[cycle]:
            cashed[cycle] = bank * (export.true_up_price or 0.0)
            bank = 0.0
    return applied, cashed


def _enter(ledger: Ledger, name: str, amount: np.ndarray) -> None:
    ledger.open(name, "export", ("export",))
    ledger.each_cycle(name, "$", amount, amount)


def _sum(amounts: Mapping[str, np.ndarray], names: Sequence[str], size: int) -> np.ndarray:
    return np.asarray(sum((amounts[name] for name in names), np.zeros(size)))


def write_credits(charges: Sequence[AnyCharge], page: Page) -> None:
    """Write bank and application of dollars; an LP, since a dollar is worth most when applied, and never more than one.

    The LP may apply a dollar in another cycle than the bill does; the total agrees.
    """
    export = page.export
    if export is None or export.scheme not in DOLLAR_BANK:
        return
    paid = [charge.id for charge in charges if is_export(charge)]
    credit = _credit_terms(page, paid)
    offsets = offset_charges(charges, export)
    _refuse_negative(charges, offsets, page)
    applied = page.variable("applied", "credits", "USD", "banked dollars applied to the bill")
    bank = page.variable("bank", "credits", "USD", "dollars left after the cycle")
    cashed = page.variable("cashed", "credits", "USD", "dollars of a closing bank")
    closes = export.closes(page.axis.cycles.month)
    at_once = export.apply_in_current_month or export.carry == "expire"

    def before(c: int) -> Linear | float:
        return 0.0 if c == 0 else bank[c - 1]

    @page.block.constraint(page.cycles, of="credits")
    def recursion(c: int) -> Relation:
        r"""b_c = b_{c-1} + credit_c - applied_c - cashed_c"""
        return bank[c] == before(c) + credit[c] - applied[c] - cashed[c]

    @page.block.constraint(page.cycles, of="credits")
    def closing(c: int) -> Relation:
        r"""b_c = 0 where the bank closes; nothing is cashed elsewhere"""
        return bank[c] == 0.0 if closes[c] else cashed[c] == 0.0

    @page.block.constraint(page.cycles, of="credits")
    def usable(c: int) -> Relation:
        r"""applied_c \le b_{c-1} (+ credit_c where the same month may use it)"""
        return applied[c] <= before(c) + (credit[c] if at_once else 0.0)

    @page.block.constraint(page.cycles, of="credits")
    def payable(c: int) -> Relation:
        r"""applied_c \le charges that credits may pay"""
        return applied[c] <= total(page.amounts[name][c] for name in offsets)

    _money(page, (credit, applied, cashed), paid=bool(paid), price=export.true_up_price or 0.0)


def _refuse_negative(charges: Sequence[AnyCharge], offsets: Sequence[str], page: Page) -> None:
    """Refuse charges that may sum below zero: what credits may pay is then the positive part, which no LP states."""
    energy, others = np.zeros(page.axis.count), []
    for charge in charges:
        if charge.id not in offsets:
            continue
        if isinstance(charge, EnergyCharge):
            energy = energy + least_price(charge, page)
        elif (isinstance(charge, Fixed) and charge.amount < 0.0) or any(
            (page.amount_pull.get(charge.id, {}).get(name, np.zeros(1)) < 0.0).any() for name in page.determinants
        ):
            others.append(charge.id)
    if others or (energy < 0.0).any():
        names = ", ".join(others or offsets)
        raise InvalidInput(
            Problem(
                f"charges that credits may pay ({names}) have a negative price, so their sum may fall below zero, "
                "and a dollar bank on it cannot be optimised",
                "leave them out of `export.offsets`, give the index a floor of zero, or pay export in the same bill "
                "(`net_billing`)",
                "export.offsets",
            )
        )


def _credit_terms(page: Page, paid: Sequence[str]) -> list[Linear]:
    """Dollars credited by cycle: surplus of net metering, and payments for export."""
    return [
        total([*(terms[c] for terms in page.credits.values()), *(-1.0 * page.amounts[name][c] for name in paid)])
        for c in page.cycles
    ]


def _money(
    page: Page, parts: tuple[Sequence[Linear], Sequence[Linear], Sequence[Linear]], *, paid: bool, price: float
) -> None:
    credit, applied, cashed = parts

    @page.block.revenue(page.cycles, of="credits")
    def credit_applied(c: int) -> Linear:
        r"""applied_c + \pi^{cash} cashed_c"""
        return applied[c] + price * cashed[c]

    page.may_be_negative.add(APPLIED)
    page.amounts[APPLIED] = [-1.0 * applied[c] - price * cashed[c] for c in page.cycles]
    if not paid:
        return

    @page.block.cost(page.cycles, of="credits")
    def credit_banked(c: int) -> Linear:
        r"""export payments, taken out of the bill and into the bank"""
        return credit[c]

    page.amounts[BANKED] = list(credit)


__all__ = ["APPLIED", "BANKED", "CASHED", "bill_credits", "is_export", "offset_charges", "write_credits"]
