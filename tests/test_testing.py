"""The published conformance tests accept every built-in and refuse what breaks a rule."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest

from microgrid.assets.asset import Asset
from microgrid.case.kinds import built_in
from microgrid.formulation.block import Block
from microgrid.network.load import load_network
from microgrid.schema.quantity import quantity
from microgrid.testing import check_asset, check_network


@pytest.mark.parametrize("kind", sorted(built_in()))
def test_every_built_in_keeps_the_rules(kind: str) -> None:
    check_asset(built_in()[kind])


class Silent(Asset):
    """An asset without an injection."""

    example: ClassVar[dict[str, Any]] = {"kind": "silent", "bus": "B"}
    kind: Literal["silent"] = "silent"

    def formulate(self, block: Block) -> None:
        """Write nothing."""


class Unlabelled(Silent):
    """An asset whose rule has no equation."""

    power_mw: float = quantity("MW", "power", default=1.0)

    def formulate(self, block: Block) -> None:
        power = block.variable("power_mw", block.horizon.steps, "MW", "power", upper=self.power_mw)

        @block.constraint(block.horizon.steps)
        def limit(t: int) -> Any:
            return power[t] <= 1.0

        block.injects(lambda t: power[t])


class Unitless(Silent):
    """An asset with a number without a unit."""

    power_mw: float = 1.0


def test_an_asset_must_inject() -> None:
    with pytest.raises(AssertionError, match=r"must call block\.injects"):
        check_asset(Silent)


def test_a_rule_must_carry_its_equation() -> None:
    with pytest.raises(AssertionError, match="docstring of a rule"):
        check_asset(Unlabelled)


def test_a_number_must_have_a_unit() -> None:
    with pytest.raises(AssertionError, match=r"meaning|quantity"):
        check_asset(Unitless)


def test_a_network_without_a_poi_is_refused() -> None:
    net = load_network("single_bus")
    check_network(net)
    net.poi = "NOWHERE"
    with pytest.raises(AssertionError):
        check_network(net)
