"""Losing the grid connection, a unit, or a source of an island: who carries the load, by hand and by pandapower."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandapower
import pytest
import xarray as xr

from microgrid.case.load import load_case
from microgrid.case.model import Case
from microgrid.network.attach import attach
from microgrid.network.island import form_island
from microgrid.powerflow.extract import pandapower_options
from microgrid.powerflow.outage_cases import resolve_outages, single_outages
from microgrid.powerflow.outages import OutageStatus
from microgrid.study.island_balance import Member, balance_island
from microgrid.study.islanding import UnitOutage, grid_outage, survive, unit_outages
from microgrid.study.network_check import NetworkCheck, check_network
from microgrid.study.outage_check import OutageCheck, check_outages, named_outages
from microgrid.study.outage_tables import islands
from microgrid.study.room import Room, rooms_of
from microgrid.study.solve import dispatch_case
from microgrid.study.summary import outages

pytestmark = pytest.mark.filterwarnings("ignore")
CASE = """
name: alone
time: {start: 2025-01-01, end: 2025-01-01T04:00, step_min: 60, zone: America/Chicago}
network: single_bus
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 60, export_limit_mw: 30}
  hall: {kind: engines, bus: CAMPUS, units: 6, unit_power_mw: 2, min_load_mw: 1, heat_rate_mmbtu_per_mwh: 8,
         fuel_price_usd_per_mmbtu: 1}
  battery: {kind: battery, bus: CAMPUS, power_mw: 4, energy_mwh: 8}
  office: {kind: facility_load, bus: CAMPUS, power_mw: 10, power_factor: 0.95}
  mine: {kind: facility_load, bus: CAMPUS, power_mw: 6}
tariffs:
  retail:
    poi: grid
    tariff: {id: flat, timezone: America/Chicago, charges: [{id: energy, kind: energy, price: 0.05}]}
"""
SECURE, ISLANDED = int(OutageStatus.SECURE), int(OutageStatus.ISLANDED)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    path = tmp_path_factory.mktemp("alone") / "case.yaml"
    path.write_text(CASE, encoding="utf-8")
    return load_case(path)


@pytest.fixture(scope="module")
def check(case: Case) -> NetworkCheck:
    return check_of(case)


def four(*values: float) -> np.ndarray:
    return np.array(values, float)


def check_of(case: Case) -> NetworkCheck:
    """Four hours: enough room; the mine gives too little; no engine runs; the campus exports."""
    injections = {
        ("hall", ""): four(5, 5, 0, 11), ("battery", ""): four(-1, -1, -1, 3),
        ("office", ""): four(-10, -10, -10, -2), ("mine", ""): four(-6, -6, -6, -1),
    }  # fmt: skip
    rooms = {
        "hall": Room(four(3, 3, 0, 1), four(1, 1, 0, 5)),
        "battery": Room(four(5, 5, 5, 1), four(3, 3, 3, 7)),
        "mine": Room(four(5, 2, 5, 0), four(0, 0, 0, 0)),
    }
    running = {"hall": four(4 / 6, 4 / 6, 0.0, 1.0)}
    return check_network(case, injections, running=running, rooms=rooms, compare=False)


def study(check: NetworkCheck, units: tuple[UnitOutage, ...] = ()) -> OutageCheck:
    return check_outages(check, grid_outage(check), units=units)


def test_the_campus_carries_on_without_the_grid_by_hand(check: NetworkCheck) -> None:
    found = study(check).result.sel(outage="grid connection")
    assert found["status"].to_numpy().tolist() == [SECURE, ISLANDED, ISLANDED, SECURE]
    # Missing 12 MW: engines 3, battery 5, mine 4. In hour 2 the mine gives 2 of 4, so the office of 10 MW is tripped.
    np.testing.assert_allclose(found["tripped_mw"], [4, 2, 0, 0], atol=1e-5)
    np.testing.assert_allclose(found["lost_mw"], [0, 10, 16, 0], atol=1e-5)
    # That is 8 MW too much: of 15 and 4 MVA the engines take back all they may, 3 + 1, and the battery 4 of its 5 MW.
    # In hour 4 an export of 11 MW is taken back, which leaves that and 2 MW as reserve.
    np.testing.assert_allclose(found["redispatched_mw"], [8, 1 + 1, 0, 11], atol=1e-5)
    np.testing.assert_allclose(found["reserve_mw"], [0, (3 + 1) + (5 - 1), 0, 2 + 11], atol=1e-5)
    assert check.losses_mw.max() == pytest.approx(0.0, abs=1e-6)  # all stands at the meter's bus


def test_the_table_of_islands_says_how_often_and_with_what(check: NetworkCheck) -> None:
    row = islands(study(check))[0]
    assert (row["steps"], row["survived_steps"], row["islanded_steps"], row["broken_steps"]) == (4, 2, 2, 0)
    assert row["lost_mw"] == pytest.approx(16.0)
    assert row["least_reserve_mw"] == pytest.approx(0.0, abs=1e-6)


def test_a_study_states_the_actions_that_it_assumed(case: Case, check: NetworkCheck) -> None:
    page = outages(study(check), case.horizon)
    assert page is not None
    assert "firm loads are tripped whole" in page["actions"]
    plain = replace(check, operation=replace(check.operation, rooms={}))
    assert "not balanced" in study(plain).result.attrs["actions"]


def test_the_ledger_adds_up_with_every_answer(check: NetworkCheck) -> None:
    found = check_outages(check, (*single_outages(check.attached), *grid_outage(check)), units=unit_outages(check))
    ledger = found.ledger
    assert ledger["total"] == found.result["status"].size == sum(v for k, v in ledger.items() if k != "total")
    assert "one of 6 units of hall" in found.result["outage"]


def test_a_unit_takes_its_share_and_the_grid_makes_up_for_it(case: Case, check: NetworkCheck) -> None:
    result = study(check, unit_outages(check)).result.sel(outage="one of 6 units of hall")
    injections = {(part, ""): power.copy() for (part, _), power in check.operation.powers.items()}
    injections["hall", ""] = injections["hall", ""] * four(3 / 4, 3 / 4, 0, 5 / 6)
    again = check_network(case, injections, running={"hall": four(3, 3, 0, 5) / 6}, compare=False)
    only = again.powerflow["loading_percent"].sel(branch="line THEVENIN").to_numpy()
    np.testing.assert_allclose(
        result["loading"], only / float(again.attached.line.emergency_loading_percent.iloc[0]), rtol=1e-6
    )
    assert (result["status"].to_numpy() == SECURE).all()


def test_of_two_pieces_the_larger_source_carries_on_as_pandapower_says() -> None:
    """An island of the hybrid campus, solved by pandapower with the same taps and the same balance."""
    case = load_case("ercot_hybrid_campus", ["time.start=2025-01-01", "time.end=2025-01-01T02:00", "time.ends=fixed"])
    found = dispatch_case(case)
    running = {"engines": found.dataset["engines.running"].to_numpy() / 5}
    rooms = rooms_of(case, found.dataset)
    check = check_network(case, dict(found.injections), running=running, rooms=rooms, compare=False)
    outage = resolve_outages(check.grid, grid_outage(check))[0]
    survival = survive(check, outage)
    assert survival is not None
    altered = survival.altered
    net = form_island(attach(altered.net, altered.connections, altered.powers, online=altered.online)[0])
    taps = check.powerflow
    for place, index in enumerate(taps["tap_element"].to_numpy()):
        net[str(taps["tap_table"].to_numpy()[place])].loc[index, "tap_pos"] = taps["tap_position"].to_numpy()[place, 0]
    pandapower.runpp(net, distributed_slack=True, tolerance_mva=1e-9, **pandapower_options(net))
    wanted = max(
        float(np.nanmax(net[f"res_{table}"].loading_percent / net[table].emergency_loading_percent))
        for table in ("line", "trafo")
    )
    result = check_outages(check, grid_outage(check)).result
    assert float(result["loading"].to_numpy()[0, 0]) == pytest.approx(wanted, abs=1e-6)


def test_a_grid_forming_battery_carries_what_the_engines_leave(tmp_path: Path) -> None:
    text = CASE.replace("battery, bus: CAMPUS,", "battery, bus: CAMPUS, grid_forming: true,")
    (tmp_path / "case.yaml").write_text(text, encoding="utf-8")
    found = study(check_of(load_case(tmp_path / "case.yaml"))).result
    assert found["status"].to_numpy()[0].tolist() == [SECURE, ISLANDED, ISLANDED, SECURE]
    assert found["lost_mw"].to_numpy()[0, 2] == pytest.approx(
        10.0
    )  # battery 5 MW and mine 5 MW leave the office of 10 MW to be tripped


def member(power: float, up: float, down: float, *, source: bool, forms: bool = False, rating: float = 1.0) -> Member:
    one = np.ones(1)
    return Member("p", "b", power * one, up * one, down * one, rating, source, forms * one > 0)


def test_sources_share_by_rating_and_fall_below_their_least_load_only_last() -> None:
    found = balance_island(
        [
            member(3.0, 9.0, 1.0, source=True, forms=True, rating=2.0),
            member(1.0, 9.0, 1.0, source=True, rating=1.0),
            member(-10.0, 0.0, 0.0, source=False),
        ],
        np.zeros(1),
    )
    np.testing.assert_allclose(found.injection_mw[:, 0], [7.0, 3.0, -10.0])
    found = balance_island(
        [member(6.0, 0.0, 1.0, source=True, forms=True), member(-2.0, 0.0, 0.0, source=False)], np.zeros(1)
    )
    np.testing.assert_allclose(found.injection_mw[:, 0], [2.0, -2.0])
    assert found.redispatched_mw[0] == pytest.approx(4.0)


def test_an_island_counts_the_loss_of_a_unit_against_its_reserve() -> None:
    case = load_case("island_week", ["time.start=2025-08-04", "time.end=2025-08-04T02:00"])
    found = dispatch_case(case)
    running = {"engines": found.dataset["engines.running"].to_numpy() / 4}
    rooms = rooms_of(case, found.dataset)
    check = check_network(case, dict(found.injections), running=running, rooms=rooms, compare=False)
    hall = [outage for outage in single_outages(check.attached) if outage.label.startswith("gen")]
    result = check_outages(check, tuple(hall), units=unit_outages(check)).result
    unit, whole = (result.isel(outage=place) for place in (1, 0))
    power = found.dataset["engines.power_mw"].to_numpy() / found.dataset["engines.running"].to_numpy()
    np.testing.assert_allclose(unit["redispatched_mw"], power + check.losses_mw, rtol=2e-2)
    assert (unit["status"].to_numpy() == SECURE).all()
    assert (whole["status"].to_numpy() == ISLANDED).all()
    drawn = sum(-np.minimum(p, 0.0) for (part, _), p in check.operation.powers.items() if part != "battery")
    np.testing.assert_allclose(whole["lost_mw"], drawn, rtol=1e-6)


FEEDERS = """
name: feeders
time: {start: 2025-01-01, end: 2025-01-01T01:00, step_min: 60, zone: America/Chicago}
network: feeders.py
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 60, export_limit_mw: 30}
  hall: {kind: engines, bus: B, units: 4, unit_power_mw: 2, min_load_mw: 1, heat_rate_mmbtu_per_mwh: 8,
         fuel_price_usd_per_mmbtu: 1}
  office: {kind: facility_load, bus: B, power_mw: 5}
  shop: {kind: facility_load, bus: A, power_mw: 2}
  depot: {kind: facility_load, bus: C, power_mw: 1, power_factor: 1}
tariffs:
  retail: {poi: grid, tariff: {id: flat, timezone: America/Chicago, charges: [{id: energy, kind: energy, price: 0.05}]}}
"""
NETWORK = """
import pandapower as pp
from microgrid.network.source import add_source, from_fault_level
def build():
    net = pp.create_empty_network(name="feeders", f_hz=60.0, sn_mva=100.0)
    for name in ("POI", "A", "B", "C"):
        pp.create_bus(net, 34.5, name=name, min_vm_pu=0.95, max_vm_pu=1.05, min_vm_emergency_pu=0.9,
                      max_vm_emergency_pu=1.1)
    for name, (a, b), ka in (("LA", (0, 1), 0.6), ("LB", (1, 2), 0.6), ("LC", (0, 3), 0.2)):
        pp.create_line_from_parameters(net, a, b, 1.0, r_ohm_per_km=0.1, x_ohm_per_km=0.3, c_nf_per_km=10, max_i_ka=ka,
            name=name, max_loading_percent=100, r0_ohm_per_km=0.3, x0_ohm_per_km=0.9, c0_nf_per_km=5, endtemp_degree=80)
    net.line["emergency_loading_percent"] = 100.0
    OWN
    add_source(net, "POI", from_fault_level(34.5, 1000.0, x_over_r=10.0, vm_pu=1.0, rating_ka=2.0,
                                            weakest_fault_level_mva=800.0))
    return net
"""


def feeders(folder: Path, own: dict[int, float], outage: str, depot: float = 1.0) -> xr.Dataset:
    """GRID - POI - A - B and POI - C, engines with 4 of 8 MW at B, loads of the network at the buses of `own`."""
    lines = "; ".join(f"pp.create_load(net, {bus}, {power}, name='own')" for bus, power in own.items()) or "pass"
    (folder / "feeders.py").write_text(NETWORK.replace("OWN", lines), encoding="utf-8")
    (folder / "case.yaml").write_text(FEEDERS, encoding="utf-8")
    power = {"hall": 4.0, "office": -5.0, "shop": -2.0, "depot": -depot}
    check = check_network(
        load_case(folder / "case.yaml"), {(part, ""): np.array([value]) for part, value in power.items()},
        running={"hall": np.ones(1)}, rooms={"hall": Room(np.full(1, 3.99), np.full(1, 2.0))}, compare=False,
    )  # fmt: skip
    known = {one.label: one for one in named_outages(check, doubles=("line LA+line LB",))}
    return check_outages(check, (known[outage],)).result.isel(outage=0, time=0)


@pytest.mark.parametrize(
    ("own", "outage", "status", "lost_mw", "redispatched_mw"),
    [
        # The office of 5 MW stays on 4 MW of engines and 1 MW of their room, whatever feeder C draws from the grid.
        ({}, "line LB", SECURE, 0.0, 1.0),
        ({3: 8.0}, "line LB", SECURE, 0.0, 1.0),
        # Own 14 MW beside 8 MW: all is tripped in turn, 22 MW, and what feeds nobody is stopped.
        ({3: 14.0}, "grid connection", ISLANDED, 22.0, 0.0),
        # Own 1 MW: 9 MW of load, 4 + 3.99 MW; the office is tripped, and the engines come back to 4 MW: 2 + 1 + 1.
        ({1: 1.0}, "grid connection", ISLANDED, 5.0, 0.0),
        # Bus A goes dark with the shop, 2 MW, and own 1.5 MW.
        ({1: 1.5}, "line LA + line LB", ISLANDED, 3.5, 1.0),
        # Bus C goes dark with the depot, 1 MW, and own 8 MW.
        ({3: 8.0}, "line LC", ISLANDED, 9.0, 0.0),
    ],
)
def test_what_the_network_carries_counts_where_it_stands(
    tmp_path: Path, own: dict[int, float], outage: str, status: int, lost_mw: float, redispatched_mw: float
) -> None:
    found = feeders(tmp_path, own, outage)
    assert int(found["status"]) == status
    assert float(found["lost_mw"]) == pytest.approx(lost_mw, abs=1e-6)
    assert float(found["redispatched_mw"]) == pytest.approx(redispatched_mw, abs=0.01)  # losses


def test_what_stays_with_the_grid_is_judged_beside_the_island(tmp_path: Path) -> None:
    # 11 MW on line LC: 11 / (sqrt 3 · 34.5 kV · 0.2 kA) = 0.920, while the island of one bus has no branch.
    found = feeders(tmp_path, {}, "line LB", depot=11.0)
    assert float(found["loading"]) == pytest.approx(11.0 / (3**0.5 * 34.5 * 0.2), rel=0.02)
    assert str(found["branch"].to_numpy()[int(found["loading_branch"])]) == "line LC"


@pytest.mark.parametrize(
    ("engine", "after", "lost_mw", "reserve_mw"),
    [
        # Engines 9 MW and 4 MW of the UPS carry all; the UPS could carry 3 MW more of the hall.
        (9.0, [9.0, 4.0, -10.0, -3.0], 0.0, 3.0),
        # Engines 5 MW and 7 MW of the UPS leave 1 MW: the hall is tripped, its UPS with it, and 5 - 3 MW is too much.
        (5.0, [3.0, 0.0, 0.0, -3.0], 10.0, 2.0),
    ],
)
def test_a_ups_gives_nothing_when_its_load_is_tripped(
    engine: float, after: list[float], lost_mw: float, reserve_mw: float
) -> None:
    def backed(name: str) -> list[Member]:
        return [
            member(engine, 0.0, 5.0, source=True, forms=True),
            replace(member(1.0, 6.0, 0.0, source=True), backs=name),
            replace(member(-10.0, 0.0, 0.0, source=False), part="hall"),
            member(-3.0, 0.0, 0.0, source=False),
        ]

    found = balance_island(backed("hall"), np.zeros(1))
    np.testing.assert_allclose(found.injection_mw[:, 0], after)
    assert (found.lost_mw[0], found.reserve_mw[0]) == pytest.approx((lost_mw, reserve_mw))
    elsewhere = balance_island(backed("dark"), np.zeros(1))  # a load that is not here is carried by nobody here
    assert elsewhere.injection_mw[1, 0] == 0.0


def test_power_still_missing_leaves_nothing_alive() -> None:
    found = balance_island(
        [member(2.0, 0.0, 1.0, source=True, forms=True), member(-1.0, 0.0, 0.0, source=False)], np.full(1, 3.0)
    )
    assert not found.alive[0]  # 2 MW of engines cannot carry 3 MW that no one can trip
    assert found.lost_mw[0] == pytest.approx(1.0)


def test_only_running_units_answer_within_the_minute(tmp_path: Path) -> None:
    """Four units of 10 MW at 1 MW/min each: one on at 6 MW reaches 7 MW in the minute, not 10."""
    path = tmp_path / "case.yaml"
    text = CASE.replace("  battery: {kind: battery, bus: CAMPUS, power_mw: 4, energy_mwh: 8}\n", "")
    for old, new in (
        ("kind: engines, bus: CAMPUS, units: 6, unit_power_mw: 2, min_load_mw: 1",
         "kind: engines, bus: CAMPUS, units: 4, unit_power_mw: 10, min_load_mw: 6, ramp_mw_per_min: 1"),
        ("power_mw: 10, power_factor: 0.95", "power_mw: 1"), ("power_mw: 6}", "power_mw: 5}"),
        ("import_limit_mw: 60, export_limit_mw: 30", "import_limit_mw: 0.001, export_limit_mw: 0"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    case = load_case(path)
    found = dispatch_case(case)
    assert found.dataset["hall.running"].to_numpy().tolist() == [1.0] * 4
    np.testing.assert_allclose(rooms_of(case, found.dataset)["hall"].up_mw[1:], 1.0)  # it starts in the first step


BACKED = """
name: backed
time: {start: 2025-01-01, end: 2025-01-01T02:00, step_min: 60, zone: America/Chicago}
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 60, export_limit_mw: 30}
  hall:
    kind: ai_training
    bus: HALL
    room: {pue: 1.2, supply: {modules: 3, module_mw: 6, redundancy: N+1}}
    jobs:
      a: {power_mw: 10, min_power_mw: 10, work_mwh: 20, unfinished_usd_per_mwh: 900}
      b: {power_mw: 10, min_power_mw: 1, work_mwh: 4, unfinished_usd_per_mwh: 900}
  ups: {kind: ups, bus: HALL, power_mw: 12, energy_mwh: ENERGY, protects: hall, discharge_efficiency: 1}
  backup: {kind: backup_engines, bus: HALL, units: 2, unit_power_mw: 2, permit_h_per_year: 4383, fuel_mmbtu_per_mwh: 9,
           fuel_price_usd_per_mmbtu: 20}
tariffs:
  retail:
    poi: grid
    tariff: {id: flat, timezone: America/Chicago, charges: [{id: energy, kind: energy, price: 0.05}]}
"""


@pytest.mark.parametrize(
    ("energy_mwh", "ups_mw", "hall_mw"),
    [
        # 12 MW for 5 minutes are 1 MWh. Beyond it 1.5 MWh carry 6 of the hall's 12 MW for 15 minutes, and the others
        # may be dropped with their cooling as far as job b gives way: 1 MW; 2.875 MWh leave less than that, 0.5 MW.
        (2.5, 6.0, 1.2),
        (3.875, 11.5, 0.6),
        (9.0, 12.0, 0.0),
    ],
)
def test_room_is_read_from_the_state_and_not_from_what_idle_decisions_hold(
    tmp_path: Path, energy_mwh: float, ups_mw: float, hall_mw: float
) -> None:
    (tmp_path / "case.yaml").write_text(BACKED.replace("ENERGY", str(energy_mwh)), encoding="utf-8")
    case = load_case(tmp_path / "case.yaml")
    state = {
        "hall.a.running": 1.0, "hall.b.segment0_mw": 1.0, "ups.energy_mwh": energy_mwh, "backup.running": 1.0,
        "backup.power_mw": 1.5,
    }  # fmt: skip
    idle = ("ups.carried_when_called_mw", "ups.dropped_when_called_mw", "hall.room_to_rise_mw")
    found = []
    for left in (0.0, 0.4):
        values = {name: np.full(3 if name == "ups.energy_mwh" else 2, value) for name, value in state.items()}
        values |= {name: np.full(2, left) for name in idle} | {"backup.unused_engine_h": np.full(1, left)}
        dispatched = xr.Dataset({name: (f"dim_{len(value)}", value) for name, value in values.items()})
        found.append(rooms_of(case, dispatched))
    for name, up_mw in (("ups", ups_mw), ("hall", hall_mw), ("backup", 0.5)):
        for rooms in found:
            np.testing.assert_allclose(rooms[name].up_mw, up_mw, atol=1e-9)
    np.testing.assert_allclose(found[0]["hall"].down_mw, found[1]["hall"].down_mw)
