"""AI inference: requests become active replicas, replicas become power; dear hours brown out, defer or shed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from microgrid.assets.asset import Asset
from microgrid.assets.expected_calls import with_calls
from microgrid.assets.inference_calls import CallRoom, reckon_calls
from microgrid.assets.inference_class import Brownout, InferenceClass, Replica
from microgrid.assets.room import Room
from microgrid.assets.service_level import owe_credits
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block, Headroom
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Profile, quantity


@dataclass(frozen=True)
class Service:
    """What is done with one class, all as IT power of normal operation (MW), linear in the decisions.

    `load` is served, `shed` refused, `moved` the part of the load that is served in brownout.
    """

    load: Sequence[Linear | float]
    shed: Sequence[Linear] | None
    moved: Sequence[Linear] | None
    brownout: Brownout | None

    def power(self, t: int) -> Linear | float:
        """IT power of the replicas active for the class."""
        if self.moved is None or self.brownout is None:
            return self.load[t]
        saved = 1.0 - self.brownout.power_gain / self.brownout.throughput_gain
        return self.load[t] - saved * self.moved[t]

    def active(self, t: int) -> Linear | float:
        """Replicas active for the class, counted as their normal power in MW."""
        if self.moved is None or self.brownout is None:
            return self.load[t]
        return self.load[t] - (1.0 - 1.0 / self.brownout.throughput_gain) * self.moved[t]


class AiInference(Asset):
    r"""A hall of alike replicas that serves classes of requests.

    Traffic hardly changes the power of an active replica (5 % of a B200's peak throughput still draws 88 % of its peak
    power, ML.ENERGY 2026), so traffic sets the number of *active* replicas and that sets the power. Replicas are
    hundreds, so the count is continuous. Decisions are written as IT power in normal operation: a class without any
    freedom adds no variable at all.

    Reserves are sold from what a call can save at once: requests that may be refused and are not yet, and brownout of
    the rest. Deferred work is not given up in a call, because its time may be short. Nothing is offered downward: a
    request refused is gone. Expected calls forgo the income of what they refuse, pay for its shedding and for latency,
    and lower the availability that a service level counts.
    """

    example: ClassVar[Mapping[str, object]] = {
        "kind": "ai_inference", "bus": "INFER", "requests_per_s": 20000.0, "tokens_per_request": 400.0,
        "replica": {"count": 3000, "tokens_per_s": 3974.0, "power_kw": 2.94, "idle_power_kw": 0.6},
        "classes": {
            "interactive": {"share": 0.7, "value_usd_per_million_tokens": 0.4},
            "batch": {"share": 0.3, "value_usd_per_million_tokens": 0.2, "sheddable_share": 0.5},
        },
    }  # fmt: skip

    kind: Literal["ai_inference"] = "ai_inference"
    requests_per_s: Profile = quantity("1/s", "requests arriving", symbol=r"\lambda_t", ge=0)
    tokens_per_request: float = quantity("1", "output tokens of a request", default=400.0, gt=0)
    replica: Replica = Field(description="replicas of the model")
    classes: dict[str, InferenceClass] = Field(description="classes of requests by name", min_length=1)
    call_ramp_mw_per_min: float | None = quantity(
        "MW/min", "speed at which a call takes effect (admission, batch size); any when absent", default=None, gt=0
    )
    available_share: Profile = quantity("1", "share of replicas in working order", default=1.0, ge=0, le=1)
    room: Room = Field(Room(), description="cooling, power chain and redundant supply")
    power_factor: float = quantity(
        "1", "displacement power factor at the bus, lagging", symbol=r"\cos\varphi", default=0.99, gt=0, le=1
    )

    @model_validator(mode="after")
    def _classes_agree(self) -> Self:
        bad = [name for name in self.classes if "." in name or not name.strip()]
        if bad:
            raise ValueError(f"class names must not be empty or hold a dot: {', '.join(map(repr, bad))}")
        shares = [entry.share for entry in self.classes.values() if isinstance(entry.share, float)]
        if len(shares) == len(self.classes) and abs(sum(shares) - 1.0) > 1e-6:
            raise ValueError(f"shares of the classes must sum to 1, they sum to {sum(shares):g}")
        return self

    def rating_mva(self) -> float:
        """Facility power with all replicas active, or of the supply, over the power factor."""
        it_power = min(self.room.it_limit_mw, self.replica.installed_mw)
        return it_power * self.room.largest_facility_per_it() / self.power_factor

    def needs_mw(self, block: Block, name: str) -> list[float]:
        """IT power that the requests of a class need in normal operation, at every step."""
        rate, share = block.profile("requests_per_s"), block.profile(f"classes.{name}.share")
        served = self.replica.tokens_per_s * self.classes[name].utilisation
        per_request = self.tokens_per_request / served * self.replica.power_kw / 1000.0
        return block.numbers(requests * part * per_request for requests, part in zip(rate, share, strict=True))

    def formulate(self, block: Block) -> None:
        """Write every class, the replicas they share, and the power at the bus."""
        idle = self.replica.idle_share
        needs = {name: self.needs_mw(block, name) for name in self.classes}
        capacity = block.numbers(self.replica.installed_mw * share for share in block.profile("available_share"))
        self._check_capacity(block, needs, capacity)
        services = {
            name: write_class(block, name, entry, needs[name], capacity) for name, entry in self.classes.items()
        }
        for name, service in services.items():
            self._pay(block, name, needs[name], service)

        active = block.terms(lambda t: total([*(service.active(t) for service in services.values()), 0.0]))
        running = block.terms(lambda t: total([*(service.power(t) for service in services.values()), 0.0]))
        it_power = block.terms(lambda t: running[t] + idle * (capacity[t] - active[t])) if idle else running
        ratio = self.room.facility_per_it(block)
        facility = block.terms(lambda t: ratio[t] * it_power[t])
        self._limit(block, needs, capacity, active, it_power)
        rooms = {name: self._room(block, name, needs[name], service) for name, service in services.items()}
        self._offer(block, rooms, ratio)
        block.after_all(lambda: self._settle(block, needs, services, rooms, ratio))
        block.injects(lambda t: -facility[t])
        block.publish("facility_per_it", lambda t: ratio[t], "1", "power at the bus per power of the accelerators")
        block.publish("facility_power_mw", lambda t: facility[t], "MW", "power of the hall with cooling")
        block.publish("it_power_mw", lambda t: it_power[t], "MW", "power of the replicas")
        block.report("it_power_mw", lambda t: it_power[t], "MW", "power of the replicas")
        block.report("facility_power_mw", lambda t: facility[t], "MW", "power of the hall with cooling")
        per_replica = self.replica.power_kw / 1000.0
        block.report("active_replicas", lambda t: active[t] / per_replica, "1", "replicas active")

    def _check_capacity(self, block: Block, needs: Mapping[str, Sequence[float]], capacity: Sequence[float]) -> None:
        """Refuse demand that no choice could serve, naming the first such hour."""
        for t, most in enumerate(capacity):
            least = sum(entry.least_share * needs[name][t] for name, entry in self.classes.items())
            if least > most * (1.0 + 1e-9):
                per_replica = self.replica.power_kw / 1000.0
                raise InvalidInput(
                    Problem(
                        rule=f"requests at {block.horizon.label(t)} need {least / per_replica:.0f} replicas, "
                        f"{most / per_replica:.0f} are available, and no more may be shed",
                        remedy="install more replicas, or allow shedding, brownout or deferral",
                        field=f"{block.name}.requests_per_s",
                    )
                )

    def _room(self, block: Block, name: str, need: Sequence[float], service: Service) -> CallRoom:
        """What a call can take from one class at once: requests not yet refused, load not yet in brownout."""
        entry, idle = self.classes[name], self.replica.idle_share
        shed, moved, load = service.shed, service.moved, service.load
        browning = max(0.0, entry.brownout.saves(idle)) if entry.brownout else 0.0
        refusable = brownable = None
        if shed is not None and entry.defer_h == 0:
            refusable = block.terms(lambda t: entry.sheddable_share * need[t] - shed[t])
        if moved is not None and browning > 0:
            brownable = block.terms(lambda t: load[t] - moved[t])
        return CallRoom(refusable, brownable, 1.0 - idle - browning, browning)

    def _offer(self, block: Block, rooms: Mapping[str, CallRoom], ratio: Sequence[float]) -> None:
        """Offer what a call can save at once; nothing where no class has any freedom."""
        saving = [
            (factor, mw)
            for room in rooms.values()
            for factor, mw in ((room.saved_refusing, room.refusable), (room.saved_browning, room.brownable))
            if mw is not None
        ]
        if not saving:
            return
        ramp = float("inf") if self.call_ramp_mw_per_min is None else self.call_ramp_mw_per_min * min(ratio)
        up = block.terms(lambda t: ratio[t] * total(factor * mw[t] for factor, mw in saving))
        block.headroom(Headroom(up, None, ramp_mw_per_min=ramp))

    def _settle(
        self,
        block: Block,
        needs: Mapping[str, Sequence[float]],
        services: Mapping[str, Service],
        rooms: Mapping[str, CallRoom],
        ratio: Sequence[float],
    ) -> None:
        """Charge expected calls, and owe the credits of service levels for what is refused by schedule or by call."""
        called = reckon_calls(block, self.classes, self.replica, rooms, ratio)
        for name, entry in self.classes.items():
            shed = services[name].shed
            if entry.service_level is not None and shed is not None:
                refused = with_calls(block, shed, called.get(name))
                owe_credits(block, name, entry.service_level, needs[name], refused, entry.sheddable_share)

    def _limit(
        self,
        block: Block,
        needs: Mapping[str, Sequence[float]],
        capacity: Sequence[float],
        active: Sequence[Linear],
        it_power: Sequence[Linear],
    ) -> None:
        """Bound active replicas and the supply, only at steps where the demand could reach them."""
        deferring = any(entry.defer_h for entry in self.classes.values())

        def most(t: int) -> float:
            return float("inf") if deferring else sum(need[t] for need in needs.values())

        if any(most(t) > capacity[t] for t in block.horizon.steps):

            @block.constraint(block.horizon.steps)
            def replicas(t: int) -> Relation | None:
                r"""\sum_c r_{c,t} \le R_t"""
                return active[t] <= capacity[t] if most(t) > capacity[t] else None

        if self.room.it_limit_mw < self.replica.installed_mw:

            @block.constraint(block.horizon.steps)
            def redundant_supply(t: int) -> Relation:
                r"""p^{IT}_t \le \bar p^{IT}"""
                return it_power[t] <= self.room.it_limit_mw

    def _pay(self, block: Block, name: str, need: Sequence[float], service: Service) -> None:
        entry, hours, steps = self.classes[name], block.horizon.hours, block.horizon.steps
        million = entry.tokens_per_mwh(self.replica) / 1e6
        shed, moved, brownout = service.shed, service.moved, service.brownout
        if entry.value_usd_per_million_tokens:
            value = entry.value_usd_per_million_tokens * million

            @block.revenue(steps, of=name)
            def inference_income(t: int) -> Linear:
                r"""v_c \Delta_t (q_{c,t} - s_{c,t})"""
                accepted: list[Linear | float] = [need[t]] if shed is None else [need[t], -shed[t]]
                return (value * hours[t]) * total(accepted)

        if shed is not None and entry.shed_cost_usd_per_million_tokens:
            penalty = entry.shed_cost_usd_per_million_tokens * million

            @block.cost(steps, of=name)
            def shedding(t: int) -> Linear:
                r"""c_c \Delta_t s_{c,t}"""
                return (penalty * hours[t]) * shed[t]

        if moved is not None and brownout is not None and brownout.cost_usd_per_million_tokens:
            latency = brownout.cost_usd_per_million_tokens * million

            @block.cost(steps, of=name)
            def brownout_latency(t: int) -> Linear:
                r"""\kappa \Delta_t b_{c,t}"""
                return (latency * hours[t]) * moved[t]


def write_class(
    block: Block, name: str, entry: InferenceClass, need: Sequence[float], capacity: Sequence[float]
) -> Service:
    """Write the freedom of one class: shedding, deferral, brownout; nothing for a class without any."""
    steps = block.horizon.steps
    shed = None
    if entry.sheddable_share > 0:
        shed = block.variable(
            "shed_mw", steps, "MW", "IT power of refused requests",
            upper=[entry.sheddable_share * mw for mw in need], of=name,
        )  # fmt: skip
    accepted: Sequence[Linear | float] = need if shed is None else block.terms(lambda t: need[t] - shed[t])
    load = _defer(block, name, entry, need, accepted, capacity) if entry.defer_h > 0 else accepted
    moved = None
    if entry.brownout is not None:
        gain = entry.brownout.throughput_gain
        most = [gain * mw for mw in capacity] if entry.defer_h > 0 else need
        moved = block.variable(
            "brownout_mw", steps, "MW", "IT power of the load, in normal operation, that is served in brownout",
            upper=most, of=name,
        )  # fmt: skip
        if shed is not None or entry.defer_h > 0:
            _within_load(block, name, load, moved)
    block.report("load_mw", lambda t: load[t], "MW", "IT power of the served load in normal operation", of=name)
    return Service(load, shed, moved, entry.brownout)


def _within_load(block: Block, name: str, load: Sequence[Linear | float], moved: Sequence[Linear]) -> None:
    @block.constraint(block.horizon.steps, of=name)
    def brownout_within_load(t: int) -> Relation:
        r"""b_{c,t} \le q_{c,t} - s_{c,t}"""
        return moved[t] <= load[t]


def _defer(
    block: Block,
    name: str,
    entry: InferenceClass,
    need: Sequence[float],
    accepted: Sequence[Linear | float],
    capacity: Sequence[float],
) -> Sequence[Linear]:
    """Serve batch work within its delay: backlog between steps, never older than the delay."""
    horizon, hours, last = block.horizon, block.horizon.hours, block.horizon.count
    gain = entry.brownout.throughput_gain if entry.brownout else 1.0
    most = [gain * mw for mw in capacity]
    served = block.variable("served_mw", horizon.steps, "MW", "batch work done", upper=most, of=name)
    waiting_at = [_may_wait(horizon, t, entry.defer_h) for t in horizon.steps]
    youngest = [sum(hours[k] * need[k] for k in places) for places in waiting_at]
    upper = [_first(block, name, youngest), *youngest]
    waiting = block.variable("backlog_mwh", horizon.edges, "MWh", "batch work waiting", upper=upper, of=name)

    @block.constraint(horizon.steps, of=name)
    def backlog(t: int) -> Relation:
        r"""b_{t+1} = b_t + \Delta_t (q_{c,t} - s_{c,t} - y_{c,t})"""
        return waiting[t + 1] - waiting[t] + hours[t] * served[t] == hours[t] * accepted[t]

    if entry.sheddable_share > 0:

        @block.constraint([t for t in horizon.steps if waiting_at[t]], of=name)
        def in_time(t: int) -> Relation:
            r"""b_{t+1} \le \sum_{k = t-D+1}^{t} \Delta_k (q_{c,k} - s_{c,k})"""
            return waiting[t + 1] <= total(hours[k] * accepted[k] for k in waiting_at[t])

    if horizon.wraps:

        @block.constraint(range(1), of=name)
        def wrap(_: int) -> Relation:
            r"""b_T = b_0"""
            return waiting[last] == waiting[0]

    return served


def _may_wait(horizon: Horizon, t: int, delay_h: float) -> list[int]:
    """Steps whose work may still wait at the end of step `t`; none at the end of a window with fixed ends."""
    reach = int(delay_h * 60.0 / horizon.step_min + 1e-9)
    if horizon.wraps:
        return [(t - back) % horizon.count for back in range(min(reach, horizon.count))]
    return list(range(max(0, t - reach + 1), t + 1)) if t < horizon.count - 1 else []


def _first(block: Block, name: str, youngest: Sequence[float]) -> float:
    return youngest[-1] if block.horizon.wraps else block.carried(f"{name}.backlog_mwh", 0.0)


__all__ = ["AiInference", "Service"]
