"""Wholesale energy: import and export at a spot price, with a fixed block that may be sold back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from microgrid.assets.programs.program import Program
from microgrid.formulation.algebra import Linear, Relation
from microgrid.formulation.block import Block
from microgrid.schema.quantity import Profile, quantity


class WholesaleEnergy(Program):
    r"""Energy settled at the meter against a spot price.

    With a fixed block of Q MW at strike K the campus pays ``K Q + spot (import - Q)``: what is not used is sold back
    at spot. The block shifts the bill by a constant and leaves the dispatch as it was, unless selling back costs a
    spread. Several meters or blocks are several programs.
    """

    example: ClassVar[Mapping[str, object]] = {"kind": "wholesale_energy", "poi": "poi", "spot_usd_per_mwh": 40.0}

    kind: Literal["wholesale_energy"] = "wholesale_energy"
    spot_usd_per_mwh: Profile = quantity("$/MWh", "spot price at the node", symbol="S_t")
    import_adder_usd_per_mwh: Profile = quantity("$/MWh", "losses, fees and taxes on import", default=0.0)
    export_deduction_usd_per_mwh: Profile = quantity("$/MWh", "losses and fees on export", default=0.0, ge=0)
    block_mw: Profile = quantity("MW", "fixed block bought at the strike", symbol="Q_t", default=0.0, ge=0)
    strike_usd_per_mwh: float = quantity("$/MWh", "price of the fixed block", symbol="K", default=0.0)
    sell_back_spread_usd_per_mwh: float = quantity(
        "$/MWh", "what the supplier keeps of block energy sold back", symbol="s", default=0.0, ge=0
    )

    def formulate(self, block: Block) -> None:
        """Write energy bought and sold at spot, and the block with its sell-back."""
        steps, hours = block.horizon.steps, block.horizon.hours
        import_, export = block.signal(f"{self.poi}.import_mw"), block.signal(f"{self.poi}.export_mw")
        spot = block.profile("spot_usd_per_mwh")
        dearer, less = block.profile("import_adder_usd_per_mwh"), block.profile("export_deduction_usd_per_mwh")

        @block.cost(steps)
        def energy(t: int) -> Linear:
            r"""\Delta_t ((S_t + a_t) p^{imp}_t - (S_t - d_t) p^{exp}_t)"""
            bought = (hours[t] * (spot[t] + dearer[t])) * import_[t]
            return bought - (hours[t] * (spot[t] - less[t])) * export[t]

        fixed = block.profile("block_mw")
        if not any(fixed):
            return

        @block.cost(steps)
        def fixed_block(t: int) -> float:
            r"""\Delta_t (K - S_t) Q_t"""
            return hours[t] * (self.strike_usd_per_mwh - spot[t]) * fixed[t]

        if self.sell_back_spread_usd_per_mwh:
            spread = self.sell_back_spread_usd_per_mwh
            back = block.variable("sold_back_mw", steps, "MW", "block energy sold back", upper=fixed)

            @block.constraint(steps)
            def sell_back(t: int) -> Relation:
                r"""o_t \ge Q_t - p^{imp}_t"""
                return back[t] >= fixed[t] - import_[t]

            @block.cost(steps)
            def sell_back_spread(t: int) -> Linear:
                r"""s \Delta_t o_t"""
                return (spread * hours[t]) * back[t]


__all__ = ["WholesaleEnergy"]
