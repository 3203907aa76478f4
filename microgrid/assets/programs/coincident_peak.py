"""Coincident-peak charge: what the load draws while the whole system peaks sets a yearly charge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from microgrid.assets.programs.peak_rule import PeakGroup, PeakRule, peak_groups, peak_rules, peak_weights
from microgrid.assets.programs.program import Program
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block
from microgrid.formulation.horizon import Index
from microgrid.schema.quantity import Profile, quantity


class CoincidentPeak(Program):
    r"""Expected charge over the intervals that may turn out to be peaks, with the worst case beside it.

    ``cost = rate / n [(1 - \rho) \sum_t \pi_t import_t + \rho \sum_g k z_g]`` with \pi the expected number of peaks in
    an interval and z_g the largest import over the candidates of a group. Import is that of the meter, so on-site
    generation at the peaks is worth as much as load shed. Nothing here looks ahead: `signal` must be what is known when
    the decision is taken. The peaks as they fell (`outcome`) never enter a decision; they settle a backtest, and used
    as a signal they give the bound of perfect foresight.
    """

    example: ClassVar[Mapping[str, object]] = {
        "kind": "coincident_peak", "poi": "poi", "rule": "ercot_4cp", "rate_usd_per_kw_year": 65.0,
    }  # fmt: skip

    kind: Literal["coincident_peak"] = "coincident_peak"
    rule: str | PeakRule = Field(description="shipped rule (ercot_4cp, texas_12cp_proposal, pjm_5cp) or own fields")
    rate_usd_per_kw_year: float = quantity("$/kW-yr", "charge per kW of average import at the peaks", ge=0)
    signal: Profile = quantity("1", "relative likelihood of a peak, step by step", symbol=r"\pi_t", default=0.0, ge=0)
    blend: float = quantity(
        "1", "share of the likelihood spread evenly over candidate hours", symbol=r"\beta", default=0.25, ge=0, le=1
    )
    worst_case_share: float = quantity(
        "1", "share of the charge reckoned on the worst candidate instead", symbol=r"\rho", default=0.0, ge=0, le=1
    )
    outcome: Profile | None = quantity("1", "1 where a peak fell, to settle a backtest", default=None, ge=0)

    @field_validator("rule")
    @classmethod
    def _rule_is_known(cls, rule: str | PeakRule) -> str | PeakRule:
        if isinstance(rule, str) and rule not in peak_rules():
            raise ValueError(f"no rule {rule!r}; choose one of {', '.join(peak_rules())} or give its fields")
        return rule

    def terms(self) -> PeakRule:
        """The rule itself."""
        return peak_rules()[self.rule] if isinstance(self.rule, str) else self.rule

    def formulate(self, block: Block) -> None:
        """Write the expected charge, the worst case, and what a backtest would settle."""
        rule, steps = self.terms(), block.horizon.steps
        import_ = block.signal(f"{self.poi}.import_mw")
        per_peak = 1000.0 * self.rate_usd_per_kw_year / rule.peaks_per_year
        groups, signal = peak_groups(rule, block.horizon), block.profile("signal")
        weights = [0.0] * block.horizon.count
        for group in groups:
            for interval, expected in zip(group.intervals, peak_weights(group, rule, signal, self.blend), strict=True):
                for t in interval:
                    weights[t] = expected / len(interval)

        @block.cost(steps)
        def expected_charge(t: int) -> Linear | float:
            r"""(1 - \rho) 1000 rate / n \; \pi_t p^{imp}_t"""
            return ((1.0 - self.worst_case_share) * per_peak * weights[t]) * import_[t] if weights[t] else 0.0

        self._reckon_worst(block, groups, rule, per_peak, import_)
        block.report("expected_peaks", lambda t: weights[t], "1", "expected number of peaks in the step")
        block.report(
            "charge_if_peak_usd",
            lambda t: per_peak * import_[t] if weights[t] else 0.0,
            "$",
            "charge if the peak falls here",
        )
        if self.outcome is not None:
            fell = block.profile("outcome")
            block.report(
                "settled_usd",
                lambda t: per_peak * fell[t] * import_[t],
                "$",
                "charge settled on the peaks as they fell",
            )

    def _reckon_worst(
        self, block: Block, groups: Sequence[PeakGroup], rule: PeakRule, per_peak: float, import_: Sequence[Linear]
    ) -> None:
        if self.worst_case_share == 0 or not groups:
            return
        index = Index(f"{block.name}.group", len(groups), tuple(group.label for group in groups))
        worst = block.variable("worst_mw", index, "MW", "largest import over the intervals that may be a peak")
        pairs = [
            (place, interval)
            for place, group in enumerate(groups)
            for interval, candidate in zip(group.intervals, group.candidates, strict=True)
            if candidate
        ]

        @block.constraint(range(len(pairs)))
        def worst_case(row: int) -> Relation:
            r"""z_g \ge \frac{1}{|i|} \sum_{t \in i} p^{imp}_t for every candidate interval i"""
            place, interval = pairs[row]
            return worst[place] >= (1.0 / len(interval)) * total(import_[t] for t in interval)

        @block.cost(index)
        def worst_charge(place: int) -> Linear:
            r"""\rho 1000 rate / n \; k c_g z_g with c_g the part of the group inside the window"""
            return (self.worst_case_share * per_peak * rule.peaks * groups[place].coverage) * worst[place]


__all__ = ["CoincidentPeak"]
