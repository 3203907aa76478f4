"""A tier of a mining fleet: alike machines with their efficiency, size, power modes, cooling and switching rules."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from microgrid.assets.catalogue import asic_model, relative_power_curve
from microgrid.assets.concave_curve import Point, Segment, segments, thin, upper_hull
from microgrid.assets.cooling import Cooling, find_cooling, known_cooling
from microgrid.errors import InvalidInput
from microgrid.schema.quantity import Declared, Profile, quantity

LIQUID = ("immersion", "hydro", "immersion_tower", "hydro_tower")
LADDER_LOSS = 0.006
"""Hash share that a corner of the firmware ladder must be worth to be kept; rungs are many and nearly on a line."""


class PowerMode(Declared):
    """A working point of a machine, relative to its nameplate."""

    power_share: float = quantity("1", "power relative to nameplate", gt=0)
    hash_share: float = quantity("1", "hashrate relative to nameplate", gt=0)


class MiningTier(Declared):
    """Alike machines, from the shipped ASIC table (`model`) or from their own data.

    Of hashrate, power and efficiency of one machine any two give the third. The size is a number of machines (`units`)
    or their nameplate power (`power_mw`).
    """

    model: str = Field("", description="machine of the shipped table, e.g. Antminer S21; empty when data are given")
    hashrate_th_s: float | None = quantity("TH/s", "nameplate hashrate of a machine", default=None, gt=0)
    power_w: float | None = quantity("W", "nameplate power of a machine", default=None, gt=0)
    efficiency_j_per_th: float | None = quantity("J/TH", "energy per hash", symbol="e_k", default=None, gt=0)
    units: float | None = quantity("1", "machines", symbol="N_k", default=None, gt=0)
    power_mw: float | None = quantity("MW", "nameplate power of all machines", symbol=r"\bar p_k", default=None, gt=0)
    availability: Profile = quantity(
        "1", "share of machines in working order", symbol="a_{k,t}", default=1.0, ge=0, le=1, examples=[0.97]
    )
    modes: tuple[PowerMode, ...] | Literal["ladder"] = quantity(
        "-", "working points in ascending power, or the shipped firmware ladder; nameplate only when empty", default=()
    )
    idle_share: float = quantity(
        "1", "power of a sleeping machine relative to nameplate (25 W of 3.5 kW is 0.007)", default=0.0, ge=0, lt=1
    )
    cooling: str | Cooling | None = Field(
        None, description="cooling of the tier; of the fleet or the model when absent"
    )
    pue: Profile | None = quantity(
        "1", "facility power per machine power; from `cooling` and ambient temperature when absent", default=None, ge=1
    )
    restart_loss_h: float = quantity(
        "h", "hashing lost by a restart, as time at nameplate (0.02 from sleep, 0.15 cold)", default=0.0, ge=0
    )
    restart_cost_usd_per_mw: float = quantity("$/MW", "wear of a restart per power restarted", default=0.0, ge=0)
    min_up_h: float = quantity("h", "shortest time between restart and curtailment of a machine", default=0.0, ge=0)
    min_down_h: float = quantity("h", "shortest time between curtailment and restart of a machine", default=0.0, ge=0)
    blocks: int | None = quantity(
        "1",
        "equal feeder or container blocks that switch as one; machines switch singly when absent",
        default=None,
        ge=1,
    )
    min_hash_share: float = quantity(
        "1", "least hashing over the window relative to what was available (hosting contracts)", default=0.0, ge=0, le=1
    )

    @field_validator("cooling")
    @classmethod
    def _cooling_is_known(cls, cooling: str | Cooling | None) -> str | Cooling | None:
        return None if cooling is None else known_cooling(cooling)

    @model_validator(mode="after")
    def _data_agree(self) -> Self:
        if (self.units is None) == (self.power_mw is None):
            raise ValueError("give either units or power_mw, not both and not neither")
        given = [
            name for name in ("hashrate_th_s", "power_w", "efficiency_j_per_th") if getattr(self, name) is not None
        ]
        if self.model and given:
            raise ValueError(
                f"model {self.model!r} already states {', '.join(given)}; give either the model or the data"
            )
        if self.model:
            self._find_model()
        elif self.power_mw is not None and "efficiency_j_per_th" not in given and len(given) < 2:
            raise ValueError("give model, efficiency_j_per_th, or hashrate_th_s with power_w")
        elif self.power_mw is None and len(given) < 2:
            raise ValueError("with units give model, or two of hashrate_th_s, power_w and efficiency_j_per_th")
        self._check_consistency()
        shares = [self.idle_share, *(power for power, _ in self.working_points)]
        if any(later <= earlier for earlier, later in pairwise(shares)):
            raise ValueError(f"modes must be in ascending power_share above idle_share, they are {shares}")
        return self

    def _find_model(self) -> None:
        try:
            asic_model(self.model)
        except InvalidInput as unknown:
            raise ValueError(str(unknown)) from unknown

    def _check_consistency(self) -> None:
        if self.hashrate_th_s and self.power_w and self.efficiency_j_per_th:
            computed = self.power_w / self.hashrate_th_s
            if abs(computed / self.efficiency_j_per_th - 1.0) > 0.02:
                raise ValueError(
                    f"power_w / hashrate_th_s is {computed:.4g} J/TH, but efficiency_j_per_th is "
                    f"{self.efficiency_j_per_th:g}; drop one of the three"
                )

    @property
    def joule_per_th(self) -> float:
        """Energy per hash at nameplate, J/TH."""
        if self.model:
            return asic_model(self.model).efficiency_j_per_th
        if self.hashrate_th_s and self.power_w:
            return self.power_w / self.hashrate_th_s
        return float(self.efficiency_j_per_th or 0.0)

    @property
    def unit_power_mw(self) -> float:
        """Nameplate power of one machine, MW."""
        if self.model:
            return asic_model(self.model).power_w / 1e6
        return float(self.power_w or float(self.hashrate_th_s or 0.0) * self.joule_per_th) / 1e6

    @property
    def nameplate_mw(self) -> float:
        """Nameplate power of all machines, MW."""
        return self.power_mw if self.power_mw is not None else float(self.units or 0.0) * self.unit_power_mw

    @property
    def hash_ph_s_per_mw(self) -> float:
        """Hashrate per nameplate power: PH/s per MW (1000 / e with e in J/TH)."""
        return 1000.0 / self.joule_per_th

    @property
    def working_points(self) -> list[Point]:
        """(power share, hash share) of every mode."""
        if self.modes == "ladder":
            curve = relative_power_curve()
            return thin(upper_hull(curve[0], curve), LADDER_LOSS)
        return [(mode.power_share, mode.hash_share) for mode in self.modes] or [(1.0, 1.0)]

    def plant(self, fleet: str | Cooling | None) -> Cooling:
        """Cooling of the tier, else of the fleet, else the one the model is made for, else air.

        Above the published window of its inlet a machine made for air stops, and one made for a liquid throttles as the
        plant says, until the plant's own shutdown: its firmware slows down while the coolant still flows.
        """
        machine = asic_model(self.model) if self.model else None
        chosen = self.cooling or fleet or (machine.cooling if machine else "air")
        plant = find_cooling(chosen)
        if machine is None or machine.temperature_max_c is None:
            return plant
        limit = machine.temperature_max_c
        if machine.cooling == "air":
            if chosen in LIQUID:  # the published limit is that of inlet air: it says nothing of a machine in a liquid
                return plant
            return plant.model_copy(update={"shutdown_c": min(limit, plant.shutdown_c or limit)})
        if plant.derate_from_c is None or plant.derate_full_c is None:
            return plant
        return plant.model_copy(update={"derate_from_c": min(limit, plant.derate_from_c)})

    @property
    def switches(self) -> bool:
        """True when going on and off needs its own variables: it is limited, counted in blocks, or costs money.

        A restart that costs is told from leaving a low power mode only where what is on is counted.
        """
        restarts_cost = self.restart_loss_h > 0 or self.restart_cost_usd_per_mw > 0
        moded = bool(self.modes) and restarts_cost
        return self.blocks is not None or self.min_up_h > 0 or self.min_down_h > 0 or moded

    def free_segments(self) -> list[Segment]:
        """Segments of hash share against power share from sleep upward, for machines that switch freely."""
        return segments(upper_hull((self.idle_share, 0.0), self.working_points))

    def running_hull(self) -> list[Point]:
        """Corners of hash share against power share of a machine that is on, from its lowest mode upward."""
        return upper_hull(self.working_points[0], self.working_points)


__all__ = ["MiningTier", "PowerMode"]
