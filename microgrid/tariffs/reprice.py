"""Change every price of a tariff by a factor: escalation over years, exchange rates, price scaling."""

from __future__ import annotations

from collections.abc import Callable

from microgrid.tariffs.charges import (
    AnnualMinimum,
    AnyCharge,
    DemandCharge,
    EnergyCharge,
    Fixed,
    MinimumBill,
    NetMeteredEnergy,
)
from microgrid.tariffs.model import Escalation, Tariff
from microgrid.tariffs.prices import Price, Tier
from microgrid.tariffs.programs import Program
from microgrid.tariffs.supply import SupplyBlock

Factor = Callable[[str | None], float]
"""Price factor of a component (an escalation name, or a tag)."""


def scaled(tariff: Tariff, factor: float, currency: str | None = None) -> Tariff:
    """Tariff with every price times `factor`, in `currency` if one is named.

    Series keep their values; their multiplier, adder and limits are scaled instead.
    """
    changed = _repriced(tariff, lambda _: factor)
    if currency is None or currency == tariff.currency:
        return changed
    plain = {
        key: ref.model_copy(update={"unit": f"$/{ref.unit.partition('/')[2]}"}) if ref.currency else ref
        for key, ref in changed.series.items()
    }
    return changed.model_copy(update={"currency": currency, "series": plain})


def escalated(tariff: Tariff, years: int) -> Tariff:
    """Tariff `years` after the first, each component at its own rate; a path sets the first year as well."""
    rule = tariff.rule()
    if tariff.escalation is None or (years == 0 and not rule.path):
        return tariff
    return _repriced(tariff, lambda component: rule.factor(component, years))


def component_of(charge: AnyCharge | SupplyBlock | Program, rule: Escalation) -> str | None:
    """Component whose rate raises the charge: its own name for it, else the first of its tags that has a rate."""
    named = getattr(charge, "escalation", None)
    if named is not None:
        return str(named)
    tags: tuple[str, ...] = getattr(charge, "tags", ("supply",) if isinstance(charge, SupplyBlock) else ("program",))
    return next((tag for tag in tags if tag in rule.real or tag in rule.path), None)


def _repriced(tariff: Tariff, factor: Factor) -> Tariff:
    rule = tariff.rule()

    def of(charge: AnyCharge | SupplyBlock | Program) -> float:
        return factor(component_of(charge, rule))

    update: dict[str, object] = {
        "charges": tuple(_charge(charge, of(charge)) for charge in tariff.charges),
        "supply": tuple(_supply(block, of(block)) for block in tariff.supply),
        "programs": tuple(_program(program, of(program)) for program in tariff.programs),
    }
    if tariff.export is not None:
        export, by = tariff.export, factor("export")
        changed: dict[str, object] = {"nonbypassable": export.nonbypassable * factor("delivery")}
        if export.credit_price is not None:
            changed["credit_price"] = _price(export.credit_price, by)
        if export.true_up_price is not None and export.scheme == "net_metering_kwh":
            changed["true_up_price"] = export.true_up_price * by
        update["export"] = export.model_copy(update=changed)
    return tariff.model_copy(update=update)


def _charge(charge: AnyCharge, by: float) -> AnyCharge:
    if isinstance(charge, (Fixed, AnnualMinimum)):
        return charge.model_copy(update={"amount": charge.amount * by})
    if isinstance(charge, MinimumBill):
        return charge.model_copy(
            update={
                "amount": None if charge.amount is None else charge.amount * by,
                "per": None if charge.per is None else {ref: price * by for ref, price in charge.per.items()},
                "plus": charge.plus * by,
            }
        )
    if isinstance(charge, NetMeteredEnergy):
        return charge.model_copy(update={"price": _price(charge.price, by)})
    if isinstance(charge, DemandCharge):
        return charge.model_copy(update={"price": _optional(charge.price, by), "tiers": _demand_tiers(charge, by)})
    if isinstance(charge, EnergyCharge):
        return charge.model_copy(
            update={
                "price": _optional(charge.price, by),
                "tiers": None if charge.tiers is None else _tiers(charge.tiers, by),
                "mult": charge.mult * by,
                "adder": charge.adder * by,
                "floor": None if charge.floor is None else charge.floor * by,
                "cap": None if charge.cap is None else charge.cap * by,
            }
        )
    return charge


def _demand_tiers(charge: DemandCharge, by: float) -> object:
    if charge.tiers is None:
        return None
    if isinstance(charge.tiers, dict):
        return {name: tuple(_tiers(month, by) for month in months) for name, months in charge.tiers.items()}
    return _tiers(charge.tiers, by)


def _supply(block: SupplyBlock, by: float) -> SupplyBlock:
    return block.model_copy(
        update={
            "price": _price(block.price, by),
            "sell_back_mult": block.sell_back_mult * by,
            "sell_back_adder": block.sell_back_adder * by,
            "index_mult": block.index_mult * by,
        }
    )


def _program(program: Program, by: float) -> Program:
    penalty = None if program.penalty_price is None else program.penalty_price * by
    return program.model_copy(update={"price": program.price * by, "penalty_price": penalty})


def _tiers(tiers: tuple[Tier, ...], by: float) -> tuple[Tier, ...]:
    return tuple(tier.model_copy(update={"price": _price(tier.price, by)}) for tier in tiers)


def _optional(price: Price | None, by: float) -> Price | None:
    return None if price is None else _price(price, by)


def _price(price: Price, by: float) -> Price:
    if not isinstance(price, dict):
        return price * by
    return {
        name: tuple(value * by for value in values) if isinstance(values, tuple) else values * by
        for name, values in price.items()
    }


__all__ = ["component_of", "escalated", "scaled"]
