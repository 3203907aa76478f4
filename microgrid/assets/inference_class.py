"""Classes of inference requests and the replicas that serve them."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from microgrid.assets.service_level import ServiceLevel
from microgrid.schema.quantity import Declared, Profile, quantity

SECONDS_PER_HOUR = 3600.0


class Brownout(Declared):
    """A second working point of a replica: larger batches, more throughput for little more power, later tokens.

    ML.ENERGY measured for Llama-3.3-70B on two B200, batch 128 → 512: throughput 1.78 times, power 1.01 times, time
    between tokens 2.3 times (leaderboard of 2026-08).
    """

    throughput_gain: float = quantity("1", "throughput relative to normal", symbol="g_b", gt=1, examples=[1.78])
    power_gain: float = quantity("1", "power relative to normal", symbol="w_b", ge=1, examples=[1.01])
    cost_usd_per_million_tokens: float = quantity(
        "$/Mtok", "worth of the latency lost", symbol=r"\kappa", default=0.0, ge=0
    )

    @model_validator(mode="after")
    def _saves_energy(self) -> Self:
        if self.power_gain >= self.throughput_gain:
            raise ValueError("a brownout must save energy a token: power_gain must lie below throughput_gain")
        return self

    def saves(self, idle_share: float) -> float:
        r"""Power saved a MW of load moved into brownout: ``1 - w_b / g_b - i (1 - 1 / g_b)`` with the idle share i."""
        return 1.0 - self.power_gain / self.throughput_gain - idle_share * (1.0 - 1.0 / self.throughput_gain)


class Replica(Declared):
    """One copy of the model on its accelerators, active or parked."""

    count: float = quantity("1", "replicas installed", symbol="R", gt=0)
    tokens_per_s: float = quantity("1/s", "output tokens at the normal batch size", symbol="g", gt=0)
    power_kw: float = quantity("kW", "IT power while active", symbol="w", gt=0)
    idle_power_kw: float = quantity("kW", "IT power while parked", symbol="w_0", default=0.0, ge=0)

    @model_validator(mode="after")
    def _idles_below_power(self) -> Self:
        if self.idle_power_kw >= self.power_kw:
            raise ValueError(f"idle_power_kw {self.idle_power_kw:g} must lie below power_kw {self.power_kw:g}")
        return self

    @property
    def installed_mw(self) -> float:
        """IT power of all replicas active, MW."""
        return self.count * self.power_kw / 1000.0

    @property
    def idle_share(self) -> float:
        """Idle over active power."""
        return self.idle_power_kw / self.power_kw


class InferenceClass(Declared):
    """Requests that share a service level and a price: interactive, relaxed, batch."""

    share: Profile = quantity("1", "share of the hall's requests", symbol=r"\sigma_c", default=1.0, ge=0, le=1)
    utilisation: float = quantity(
        "1", "load of an active replica that still holds the class' latency", symbol=r"\rho_c", default=1.0, gt=0, le=1
    )
    value_usd_per_million_tokens: float = quantity("$/Mtok", "income of served tokens", symbol="v_c", default=0.0, ge=0)
    sheddable_share: float = quantity(
        "1", "share of requests that may be refused", symbol=r"\bar s_c", default=0.0, ge=0, le=1
    )
    shed_cost_usd_per_million_tokens: float = quantity(
        "$/Mtok", "penalty of refused tokens, beside their income", symbol="c_c", default=0.0, ge=0
    )
    service_level: ServiceLevel | None = Field(
        None, description="credits on a monthly fee where too many requests are refused; none when absent"
    )
    defer_h: float = quantity("h", "longest delay of batch work; 0 serves at once", symbol="D_c", default=0.0, ge=0)
    brownout: Brownout | None = Field(None, description="larger batches when energy is dear; none when absent")

    def tokens_per_mwh(self, replica: Replica) -> float:
        """Tokens served by one MWh of IT energy in normal operation."""
        return self.utilisation * replica.tokens_per_s * SECONDS_PER_HOUR / (replica.power_kw / 1000.0)

    @property
    def least_share(self) -> float:
        """Share of the normally active replicas that the class needs at least, at once."""
        accepted = 0.0 if self.defer_h else 1.0 - self.sheddable_share
        return accepted / (self.brownout.throughput_gain if self.brownout else 1.0)


__all__ = ["Brownout", "InferenceClass", "Replica"]
