"""Coincident-peak charge: what the load draws while the whole system peaks sets a yearly charge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from microgrid.assets.programs.peak_rule import (
    PeakGroup,
    PeakRule,
    forecast_signal,
    peak_groups,
    peak_rules,
    peak_weights,
)
from microgrid.assets.programs.program import Program
from microgrid.formulation.algebra import Linear, Relation, number, total
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
    forecast_mw: Profile | None = quantity(
        "MW", "forecast of the system's load, from which the likelihood follows instead of a signal", default=None, ge=0
    )
    forecast_error_mw: float | None = quantity("MW", "standard deviation of that forecast", default=None, gt=0)
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

    @model_validator(mode="after")
    def _one_source_of_likelihood(self) -> Self:
        if (self.forecast_mw is None) != (self.forecast_error_mw is None):
            raise ValueError("give forecast_mw and forecast_error_mw together")
        if self.forecast_mw is not None and self.signal != 0.0:
            raise ValueError("give either signal or forecast_mw, not both")
        return self

    def terms(self) -> PeakRule:
        """The rule itself."""
        return peak_rules()[self.rule] if isinstance(self.rule, str) else self.rule

    def formulate(self, block: Block) -> None:
        """Write the expected charge, the worst case, and what a backtest would settle."""
        rule, steps = self.terms(), block.horizon.steps
        import_ = block.signal(f"{self.poi}.import_mw")
        per_peak = 1000.0 * self.rate_usd_per_kw_year / rule.peaks_per_year
        groups = peak_groups(rule, block.horizon)
        weights = block.numbers(self._expected_peaks(block, groups))

        @block.cost(steps)
        def expected_charge(t: int) -> Linear | float:
            r"""(1 - \rho) 1000 rate / n \; \pi_t p^{imp}_t"""
            return ((1.0 - self.worst_case_share) * per_peak * weights[t]) * import_[t] if weights[t] else 0.0

        self._reckon_worst(block, groups, rule, per_peak, import_)
        block.report("expected_peaks", lambda t: weights[t], "1", "expected number of peaks in the step")
        self._report_groups(block, groups, weights, per_peak, import_)
        if self.outcome is not None:
            fell = block.profile("outcome")
            block.report(
                "settled_usd",
                lambda t: per_peak * fell[t] * import_[t],
                "$",
                "charge settled on the peaks as they fell",
            )

    def _expected_peaks(self, block: Block, groups: Sequence[PeakGroup]) -> list[float]:
        """Expected number of peaks by step."""
        signal, rule = block.profile("signal"), self.terms()
        weights = [0.0] * block.horizon.count
        for group in groups:
            if self.forecast_mw is not None and self.forecast_error_mw is not None:
                forecast = block.profile("forecast_mw")
                for t, likelihood in forecast_signal(group, forecast, self.forecast_error_mw).items():
                    signal[t] = likelihood
            for interval, expected in zip(group.intervals, peak_weights(group, rule, signal, self.blend), strict=True):
                for t in interval:
                    weights[t] = expected / len(interval)
        return weights

    @staticmethod
    def _report_groups(
        block: Block, groups: Sequence[PeakGroup], weights: Sequence[float], per_peak: float, import_: Sequence[Linear]
    ) -> None:
        """Report each group's expected charge and, beside it, the charge if the worst of its intervals is the peak."""
        if not groups:
            return
        index = Index(f"{block.name}.group", len(groups), tuple(group.label for group in groups))

        def expected(place: int) -> Linear | float:
            return total((per_peak * weights[t]) * import_[t] for steps in groups[place].intervals for t in steps)

        def worst(place: int) -> float:
            likely = [steps for steps in groups[place].intervals if weights[steps[0]] > 0]
            drawn = [sum(number(import_[t]) for t in steps) / len(steps) for steps in likely]
            return per_peak * max(drawn, default=0.0)

        block.report("expected_usd", expected, "$", "expected charge of the month or season", index=index)
        block.report("worst_usd", worst, "$", "charge of one peak if the worst likely interval is it", index=index)

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

        group = block.numbers(place for place, _ in pairs)
        share = block.numbers(1.0 / len(interval) for _, interval in pairs)
        imported = block.sums(import_, [interval for _, interval in pairs])

        @block.constraint(range(len(pairs)))
        def worst_case(row: int) -> Relation:
            r"""z_g \ge \frac{1}{|i|} \sum_{t \in i} p^{imp}_t for every candidate interval i"""
            return worst[group[row]] >= share[row] * imported[row]

        @block.cost(index)
        def worst_charge(place: int) -> Linear:
            r"""\rho 1000 rate / n \; k c_g z_g with c_g the part of the group inside the window"""
            return (self.worst_case_share * per_peak * rule.peaks * groups[place].coverage) * worst[place]


__all__ = ["CoincidentPeak"]
