"""Point of interconnection: the meter between the campus and the grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

from microgrid.assets.asset import Asset
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block
from microgrid.formulation.connection import Behaviour
from microgrid.formulation.ramping import speed_left
from microgrid.schema.quantity import Declared, Profile, quantity

Net = Callable[[int], Linear]


class Variation(Declared):
    """Limit on how far the net exchange may move within a rolling window (utility MW-variation limits)."""

    window_min: float = quantity("min", "length of the rolling window", gt=0)
    change_mw: float = quantity("MW", "largest change between any two steps in the window", gt=0)


class Poi(Asset):
    """Grid connection with firm and non-firm limits, ramp and variation limits.

    Import and export are separate so that each can be priced; doing both at once is forbidden, by a binary only at
    steps where a solved relaxation would do so.
    """

    behaviour: ClassVar[Behaviour] = "grid"
    example: ClassVar[Mapping[str, object]] = {"kind": "poi", "bus": "POI", "import_limit_mw": 60.0}

    kind: Literal["poi"] = "poi"
    import_limit_mw: float = quantity("MW", "firm import right", symbol=r"\bar P^{imp}", ge=0)
    export_limit_mw: float = quantity("MW", "firm export right", symbol=r"\bar P^{exp}", default=0.0, ge=0)
    non_firm_import_mw: Profile = quantity(
        "MW", "import offered above the firm right, step by step", symbol=r"N^{imp}_t", default=0.0, ge=0
    )
    non_firm_export_mw: Profile = quantity(
        "MW", "export offered above the firm right, step by step", symbol=r"N^{exp}_t", default=0.0, ge=0
    )
    ramp_mw_per_min: float | None = quantity(
        "MW/min", "largest rate of change of the net exchange", symbol="R", default=None, gt=0
    )
    variations: tuple[Variation, ...] = quantity("-", "MW-variation limits over rolling windows", default=())

    def formulate(self, block: Block) -> None:
        """Write import, export, their limits and rates of change."""
        horizon, steps = block.horizon, block.horizon.steps
        firm_import, firm_export = block.capacity("import_limit_mw"), block.capacity("export_limit_mw")
        import_limit = block.numbers(firm_import + extra for extra in block.profile("non_firm_import_mw"))
        export_limit = block.numbers(firm_export + extra for extra in block.profile("non_firm_export_mw"))
        import_ = block.variable("import_mw", steps, "MW", "power bought at the meter", upper=import_limit)
        export = block.variable("export_mw", steps, "MW", "power sold at the meter", upper=export_limit)
        block.exclusive(import_, export, import_limit, export_limit)

        def net(t: int) -> Linear:
            return import_[t] - export[t]

        block.injects(net)
        block.publish("import_mw", lambda t: import_[t], "MW", "metered import")
        block.publish("export_mw", lambda t: export[t], "MW", "metered export")
        block.publish("import_right_mw", lambda t: import_limit[t], "MW", "import right of the step")
        block.publish("export_right_mw", lambda t: export_limit[t], "MW", "export right of the step")
        self._publish_speed(block, net)
        if self.ramp_mw_per_min is not None:
            self._limit_ramp(block, net, self.ramp_mw_per_min)
        for lag, change_mw in self._change_by_lag(horizon.step_min).items():
            if self._ramped_mw(horizon.step_min * lag) > change_mw:  # else the ramp limit implies it
                _limit_change(block, net, change_mw, lag)

    def _publish_speed(self, block: Block, net: Net) -> None:
        """Tell programs how fast the exchange may fall or rise when they are called, beside what is scheduled."""
        ramp = self.ramp_mw_per_min
        if ramp is not None:
            exchange = block.terms(net)
            fall, rise = (speed_left(block, ramp, exchange, rising=rising) for rising in (False, True))
            block.publish("fall_mw_per_min", lambda t: fall[t], "MW/min", "speed left to lower the net exchange")
            block.publish("rise_mw_per_min", lambda t: rise[t], "MW/min", "speed left to raise the net exchange")
        tightest: dict[float, float] = {}
        for entry in self.variations:
            tightest[entry.window_min] = min(entry.change_mw, tightest.get(entry.window_min, math.inf))
        for window, change in tightest.items():
            for lag in range(1, math.ceil(window / block.horizon.step_min - 1e-9) + 1):
                _publish_variation(block, net, (window, change), lag)

    def _change_by_lag(self, step_min: int) -> dict[int, float]:
        """Tightest limit for every distance in steps; a window reaches each step that it touches."""
        limits: dict[int, float] = {}
        for variation in self.variations:
            for lag in range(1, math.ceil(variation.window_min / step_min - 1e-9) + 1):
                limits[lag] = min(variation.change_mw, limits.get(lag, math.inf))
        return limits

    def _ramped_mw(self, minutes: float) -> float:
        """Most that the exchange can move in a time."""
        return math.inf if self.ramp_mw_per_min is None else self.ramp_mw_per_min * minutes

    def _limit_ramp(self, block: Block, net: Net, ramp: float) -> None:
        horizon = block.horizon

        @block.constraint(horizon.steps)
        def ramp_up(t: int) -> Relation | None:
            r"""(p^{imp}_t - p^{exp}_t) - (p^{imp}_{t-1} - p^{exp}_{t-1}) \le 60 R \Delta_t"""
            before = horizon.previous(t)
            return None if before is None else net(t) - net(before) <= 60.0 * ramp * horizon.hours[t]

        @block.constraint(horizon.steps)
        def ramp_down(t: int) -> Relation | None:
            r"""(p^{imp}_{t-1} - p^{exp}_{t-1}) - (p^{imp}_t - p^{exp}_t) \le 60 R \Delta_t"""
            before = horizon.previous(t)
            return None if before is None else net(before) - net(t) <= 60.0 * ramp * horizon.hours[t]


def _earlier(block: Block, t: int, lag: int) -> int | None:
    """Step that lies `lag` steps before `t`; None before the first of a window with fixed ends."""
    return (t - lag) % block.horizon.count if block.horizon.wraps or t >= lag else None


def _publish_variation(block: Block, net: Net, limit: tuple[float, float], lag: int) -> None:
    """Publish what a window's limit leaves for calls beside the change scheduled since `lag` steps before."""
    window_min, change_mw = limit

    def left(t: int, sign: float) -> Linear:
        before = _earlier(block, t, lag)
        scheduled = [] if before is None else [sign * net(t), -sign * net(before)]
        return total([*scheduled, change_mw])

    block.publish(
        f"fall_mw.{lag}.{window_min:g}", lambda t: left(t, 1.0), "MW", "room to lower the exchange within the window"
    )
    block.publish(
        f"rise_mw.{lag}.{window_min:g}", lambda t: left(t, -1.0), "MW", "room to raise the exchange within the window"
    )


def _limit_change(block: Block, net: Net, change_mw: float, lag: int) -> None:
    of = f"lag{lag}"

    def earlier(t: int) -> int | None:
        return _earlier(block, t, lag)

    @block.constraint(block.horizon.steps, of=of)
    def variation_up(t: int) -> Relation | None:
        r"""p^{net}_t - p^{net}_{t-k} \le \Delta P^{max} for every lag k inside the window"""
        before = earlier(t)
        return None if before is None else net(t) - net(before) <= change_mw

    @block.constraint(block.horizon.steps, of=of)
    def variation_down(t: int) -> Relation | None:
        r"""p^{net}_{t-k} - p^{net}_t \le \Delta P^{max} for every lag k inside the window"""
        before = earlier(t)
        return None if before is None else net(before) - net(t) <= change_mw


__all__ = ["Poi", "Variation"]
