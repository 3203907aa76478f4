"""Battery against short arithmetic: what an hour of charging is worth, and every limit in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from microgrid.assets.battery import Battery
from microgrid.assets.facility_load import FacilityLoad

BOTH_WAYS = {"import_limit_mw": 1000.0, "export_limit_mw": 1000.0}


def battery(**fields: Any) -> Battery:
    """10 MW / 40 MWh with a full SOC window, empty at the start, free at the end, efficiencies 0.9 and 0.8."""
    given = {
        "bus": "BESS", "power_mw": 10.0, "energy_mwh": 40.0, "soc_min": 0.0, "soc_max": 1.0, "initial_energy_mwh": 0.0,
        "end": "free", "charge_efficiency": 0.9, "discharge_efficiency": 0.8,
    }  # fmt: skip
    return Battery(**{**given, **fields})


def test_arbitrage_with_split_efficiencies(bench: Callable[..., Any]) -> None:
    # buy 10 MWh at 10: 100 $, 9 MWh reach the cells, 9 x 0.8 = 7.2 MWh come back at 100: 720 $
    found = bench({"battery": battery()}, [10, 100], **BOTH_WAYS).solve()
    assert found.solution.objective == pytest.approx(100 - 720)
    assert found.dataset["battery.energy_mwh"].to_numpy() == pytest.approx([0, 9, 0])
    assert found.dataset["battery.discharge_mw"].to_numpy() == pytest.approx([0, 7.2])


def test_wear_is_paid_on_energy_discharged(bench: Callable[..., Any]) -> None:
    # as above, less 7.2 MWh x 5 $/MWh
    cost = bench({"battery": battery(wear_usd_per_mwh=5.0)}, [10, 100], **BOTH_WAYS).cost()
    assert cost == pytest.approx(100 - 720 + 36)


def test_idle_when_the_spread_does_not_pay_the_losses(bench: Callable[..., Any]) -> None:
    # a MWh sold needs 1 / 0.72 = 1.389 MWh bought: at 80 that costs 111 > 100
    assert bench({"battery": battery()}, [80, 100], **BOTH_WAYS).cost() == pytest.approx(0.0, abs=1e-9)


def test_soc_window_bounds_the_swing(bench: Callable[..., Any]) -> None:
    # 10 MWh between 20 % and 70 %: 5 MWh swing; bought 5 / 0.9 at 10, sold 5 x 0.8 at 100
    asset = battery(energy_mwh=10.0, soc_min=0.2, soc_max=0.7, initial_energy_mwh=2.0)
    found = bench({"battery": asset}, [10, 100], **BOTH_WAYS).solve()
    assert found.solution.objective == pytest.approx(50 / 0.9 - 400)
    assert found.dataset["battery.energy_mwh"].to_numpy() == pytest.approx([2, 7, 2])


def test_a_quarter_hour_moves_a_quarter_of_the_energy(bench: Callable[..., Any]) -> None:
    # 10 MW for 0.25 h: 2.5 MWh bought, 1.8 MWh sold
    assert bench({"battery": battery()}, [10, 100], step_min=15, **BOTH_WAYS).cost() == pytest.approx(25 - 180)


def test_self_discharge_decides_when_to_sell(bench: Callable[..., Any]) -> None:
    # 10 MWh fading by 10 % an hour, each hour's loss before what is drawn in it: 9 x 80 = 720, 8.1 x 95 = 769.50,
    # 7.29 x 100 = 729
    asset = battery(power_mw=100.0, initial_energy_mwh=10.0, discharge_efficiency=1.0, self_discharge_per_hour=0.1)
    found = bench({"battery": asset}, [80, 95, 100], import_limit_mw=0.0, export_limit_mw=100.0).solve()
    assert found.solution.objective == pytest.approx(-769.5)
    assert found.dataset["battery.energy_mwh"].to_numpy() == pytest.approx([10, 9, 0, 0])


def test_self_discharge_follows_the_length_of_the_step(bench: Callable[..., Any]) -> None:
    # two half hours keep 0.9 ** 0.5 each, 9 MWh in all, as one hour would
    asset = battery(power_mw=100.0, initial_energy_mwh=10.0, discharge_efficiency=1.0, self_discharge_per_hour=0.1)
    cost = bench({"battery": asset}, [50, 100], step_min=30, import_limit_mw=0.0, export_limit_mw=100.0).cost()
    assert cost == pytest.approx(-900)


def test_end_same_gives_back_what_was_there(bench: Callable[..., Any]) -> None:
    # free: 10 MWh x 0.8 sold at 100; same: buying back costs more than selling earns, so nothing moves
    free, same = (battery(initial_energy_mwh=10.0, end=end) for end in ("free", "same"))
    assert bench({"battery": free}, [100, 100], **BOTH_WAYS).cost() == pytest.approx(-800)
    assert bench({"battery": same}, [100, 100], **BOTH_WAYS).cost() == pytest.approx(0.0, abs=1e-9)


def test_default_start_is_the_middle_of_the_window(bench: Callable[..., Any]) -> None:
    # 10 % .. 70 % of 40 MWh: middle 16 MWh, of which 12 may be drawn, 9.6 MWh reach the bus
    asset = battery(power_mw=100.0, soc_min=0.1, soc_max=0.7, initial_energy_mwh=None)
    found = bench({"battery": asset}, [100], import_limit_mw=0.0, export_limit_mw=100.0).solve()
    assert found.dataset["battery.energy_mwh"].to_numpy() == pytest.approx([16, 4])
    assert found.solution.objective == pytest.approx(-960)


def test_wrapping_ends_choose_their_own_level(bench: Callable[..., Any]) -> None:
    # dear hour first: the cycle starts full of the 9 MWh bought in the hour after it
    asset = battery(initial_energy_mwh=20.0)
    found = bench({"battery": asset}, [100, 10], wraps=True, **BOTH_WAYS).solve()
    energy = found.dataset["battery.energy_mwh"].to_numpy()
    assert found.solution.objective == pytest.approx(100 - 720)
    assert energy[0] == pytest.approx(energy[-1])
    assert energy[0] - energy[1] == pytest.approx(9.0)


def test_energy_carried_from_the_window_before(bench: Callable[..., Any]) -> None:
    # 15 MWh handed over replace the case's own start: 10 MW for an hour draw 12.5 MWh
    found = bench({"battery": battery()}, [100], **BOTH_WAYS).solve(carried={"battery.energy_mwh": 15.0})
    assert found.dataset["battery.energy_mwh"].to_numpy() == pytest.approx([15, 2.5])


def test_cycles_are_counted_by_local_day(bench: Callable[..., Any]) -> None:
    # 22:00 to 02:00 local: two hours on either day; half a cycle of 20 MWh is 10 MWh sold a day, bought at 10
    asset = battery(
        energy_mwh=20.0, power_mw=15.0, charge_efficiency=1.0, discharge_efficiency=1.0, max_cycles_per_day=0.5
    )
    found = bench({"battery": asset}, [10, 100, 10, 100], start="2025-07-16T03:00Z", **BOTH_WAYS).solve()
    assert found.solution.objective == pytest.approx(2 * (100 - 1000))
    assert found.dataset["battery.discharge_mw"].to_numpy().reshape(2, 2).sum(axis=1) == pytest.approx([10, 10])


def test_power_limit_holds_in_both_directions(bench: Callable[..., Any]) -> None:
    # 30 MWh of load at 100, battery full: 10 MW out each hour, the meter gives the rest
    asset = battery(initial_energy_mwh=40.0, discharge_efficiency=1.0)
    found = bench({"battery": asset, "load": FacilityLoad(bus="L", power_mw=15.0)}, [100, 100, 100]).solve()
    assert found.solution.objective == pytest.approx(3 * 5 * 100)
    assert np.all(found.dataset["grid.import_mw"].to_numpy() == pytest.approx(5.0))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"initial_energy_mwh": 50.0}, "must lie between 0 and 40 MWh"),
        ({"soc_min": 0.5, "soc_max": 0.5}, "soc_min 0.5 must lie below soc_max 0.5"),
        ({"energy_mwh": -1.0}, "greater than 0"),
        ({"charge_efficiency": 1.01}, "less than or equal to 1"),
        ({"self_discharge_per_hour": 1.0}, "less than 1"),
    ],
)
def test_impossible_batteries_are_refused(fields: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        battery(**fields)
