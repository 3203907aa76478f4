"""The loop between dispatch and network: violations that rows cure, losses that enter, and what cannot be cured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandapower
import pytest

from microgrid.case.load import load_case
from microgrid.case.model import Case
from microgrid.dispatch.run import SolveSettings
from microgrid.errors import Infeasible
from microgrid.network.load import load_network
from microgrid.study.recheck import network_of
from microgrid.study.secure import Secured, solve_secure

SETTINGS = SolveSettings(gap=1e-4)
FEEDER = "FEEDER_AI_A"  # loaded to 72 % on 12 February when nothing holds it


def tightened(folder: Path, line: str, percent: float) -> str:
    """Path of the ring-bus campus with one line held to a lower loading."""
    net = load_network("ring_bus_138kv")
    place = net.line.index[net.line.name == line][0]
    net.line.loc[place, "max_loading_percent"] = percent
    path = folder / "tight.json"
    pandapower.to_json(net, str(path))
    return str(path)


def pjm(start: str, end: str, network: str, *more: str) -> Case:
    window = (f"time.start={start}", f"time.end={end}", f"network={network}")
    return load_case("pjm_ai_campus", [*window, *more])


def solved(case: Case, mode: str = "n0") -> Secured:
    return solve_secure(case, SETTINGS, mode, lambda _: None)


@pytest.fixture(scope="module")
def feeder_network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tightened(tmp_path_factory.mktemp("net"), FEEDER, 68.0)


@pytest.fixture(scope="module")
def day(feeder_network: str) -> Secured:
    return solved(pjm("2025-02-12", "2025-02-13", feeder_network))


def test_a_day_with_violations_is_cured_within_two_rounds_of_rows(day: Secured) -> None:
    assert day.rounds[0].violations > 0
    assert day.rounds[-1].violations == 0
    assert len(day.rounds) <= 3
    assert day.accepted


def test_a_case_that_asks_for_security_is_checked_as_it_would_be_solved(feeder_network: str) -> None:
    overrides = ["time.start=2025-02-12", "time.end=2025-02-13", f"network={feeder_network}", "solve.secure=n0"]
    _, check = network_of("pjm_ai_campus", overrides, lambda _: None)
    assert check.violations == ()


def test_security_costs_money_and_names_its_price(day: Secured) -> None:
    assert day.cost_of_network_usd > 0.0
    rows = np.abs(day.dispatch.duals["campus.network_cut"])
    bound = [cut.element for cut, price in zip(day.cuts, rows, strict=True) if price > 1e-6 and cut.quantity != "loss"]
    assert any(FEEDER in element for element in bound)


def test_losses_of_the_dispatch_are_those_of_the_power_flow(day: Secured) -> None:
    reckoned = day.dispatch.dataset["campus.loss_mw"].to_numpy()
    bought = day.dispatch.dataset["grid.import_mw"].to_numpy()
    given = sum(power for (part, _), power in day.dispatch.injections.items() if part != "grid")
    assert np.allclose(bought + given, reckoned, atol=1e-6)
    at_meter = -day.check.powerflow["p_to_mw"].sel(branch="line THEVENIN").to_numpy()
    assert np.abs(at_meter - bought).max() < 0.6
    assert np.abs(at_meter - bought).mean() < 0.05


def test_three_days_are_secured_against_single_outages() -> None:
    case = load_case("ercot_hybrid_campus", ["time.start=2025-01-01", "time.end=2025-01-04"])
    found = solve_secure(case, SolveSettings(gap=1e-3), "n1", lambda _: None)
    assert found.rounds[0].outage_violations > 0
    assert found.rounds[-1].outage_violations == 0
    assert found.outages is not None
    ledger = found.outages.ledger
    assert ledger["total"] == sum(count for name, count in ledger.items() if name != "total")
    assert ledger["total"] == found.outages.result.sizes["outage"] * 72


def test_a_case_that_cannot_be_cured_names_element_hours_and_mw() -> None:
    case = load_case(
        "pjm_ai_campus",
        ["time.start=2025-07-22", "time.end=2025-07-23", "assets.facility.power_mw.scale=0.6"],
    )
    with pytest.raises(Infeasible) as told:
        solved(case)
    worst = told.value.conflicts[0]
    assert "trafo T_FACILITY" in worst.limit
    assert worst.shortfall_mw > 0.0
    assert worst.hours > 0.0
    assert "2025-07-22" in worst.worst


def test_looser_network_never_costs_more(tmp_path: Path) -> None:
    costs = []
    for factor in (66.0, 69.0, 100.0):
        folder = tmp_path / str(factor)
        folder.mkdir()
        found = solved(pjm("2025-02-12", "2025-02-13", tightened(folder, FEEDER, factor)))
        costs.append(found.rounds[-1].objective_usd)
    slack = [2e-4 * abs(cost) for cost in costs]
    assert costs[0] >= costs[1] - slack[1]
    assert costs[1] >= costs[2] - slack[2]


def test_a_secured_result_verifies_from_its_files(tmp_path: Path) -> None:
    from microgrid.results.files import open_results
    from microgrid.study.solve import save, solve_case
    from microgrid.study.verify import verify_result

    case: Any = load_case("ercot_hybrid_campus", ["time.start=2025-01-01", "time.end=2025-01-02"])
    folder = save(solve_case(case, secure="n0"), tmp_path / "result")
    missed = [residual for residual in verify_result(open_results(folder)) if not residual.holds]
    assert not missed


def test_losses_cannot_burn_energy_of_negative_value(tmp_path: Path) -> None:
    """At -30 USD/MWh every MWh drawn earns; the meter may still not draw more than load and true losses."""
    path = tmp_path / "case.yaml"
    path.write_text(
        """
name: negative
time: {start: 2025-01-01, end: 2025-01-01T06:00, step_min: 60, zone: America/Chicago}
network: two_feeder_campus
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 120}
  load: {kind: facility_load, bus: MAIN_A, power_mw: 30}
  battery: {kind: battery, bus: BESS, power_mw: 20, energy_mwh: 40, wear_usd_per_mwh: 1}
tariffs:
  retail:
    poi: grid
    tariff: {id: negative, timezone: America/Chicago, charges: [{id: energy, kind: energy, price: -0.03}]}
""",
        encoding="utf-8",
    )
    found = solved(load_case(path))
    assert found.accepted
    reckoned = found.dispatch.dataset["campus.loss_mw"].to_numpy()
    true = found.check.campus_losses_mw(load_case(path), dict(found.dispatch.injections))
    assert np.abs(reckoned - true).max() < 0.15
    assert reckoned.max() < 2.0


def test_a_row_of_numbers_alone_does_not_shift_the_others(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(
        """
name: fixed_load
time: {start: 2025-01-01, end: 2025-01-01T04:00, step_min: 60, zone: America/Chicago}
network: two_feeder_campus
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 120}
  load: {kind: facility_load, bus: {MINE_1: 0.3, MINE_2: 0.3, MINE_3: 0.4}, power_mw: 34}
tariffs:
  retail:
    poi: grid
    tariff: {id: flat, timezone: America/Chicago, charges: [{id: energy, kind: energy, price: 0.05}]}
""",
        encoding="utf-8",
    )
    from microgrid.study.solve import solve_case

    page = solve_case(load_case(path), secure="n0").summary
    assert page["security"]["rounds"][-1]["violations"] == 0


def priced_by_hand(folder: Path, percent: float) -> Any:
    """20 MW behind a feeder that lets less through; an engine beside the load makes up for it at 80 USD/MWh."""
    net = load_network("two_feeder_campus")
    net.line.loc[net.line.name == "FEEDER_MINE_1", ["max_loading_percent"]] = percent
    pandapower.to_json(net, str(folder / "net.json"))
    path = folder / "case.yaml"
    path.write_text(
        f"""
name: priced
time: {{start: 2025-01-01, end: 2025-01-01T02:00, step_min: 60, zone: America/Chicago}}
network: {folder}/net.json
solve: {{gap: 1.0e-7}}
assets:
  grid: {{kind: poi, bus: POI, import_limit_mw: 120}}
  load: {{kind: facility_load, bus: MINE_1_HV, power_mw: 20, power_factor: 1}}
  engine: {{kind: engines, bus: MINE_1_HV, units: 1, unit_power_mw: 15, variable_om_usd_per_mwh: 80}}
tariffs:
  retail:
    poi: grid
    tariff: {{id: flat, timezone: America/Chicago, charges: [{{id: energy, kind: energy, price: 0.05}}]}}
""",
        encoding="utf-8",
    )
    from microgrid.study.solve import solve_case

    return solve_case(load_case(path), secure="n0")


def test_cost_and_shadow_price_of_a_feeder_by_hand(tmp_path: Path) -> None:
    for name in ("base", "wider"):
        (tmp_path / name).mkdir()
    base, wider = priced_by_hand(tmp_path / "base", 40.0), priced_by_hand(tmp_path / "wider", 40.4)
    page = base.summary["security"]
    engine = base.data["engine.power_mw"].to_numpy()
    # Each MWh of the engine costs 30 USD more than the grid's, and losses are bought at 50.
    by_hand = 30.0 * engine.sum() + 50.0 * base.data["campus.loss_mw"].to_numpy().sum()
    assert page["cost_of_network_usd"] == pytest.approx(by_hand, rel=1e-6)
    assert page["objective_usd"] - page["objective_without_network_usd"] == pytest.approx(page["cost_of_network_usd"])
    prices = [row for row in page["shadow_prices"] if row["element"] == "line FEEDER_MINE_1"]
    assert {row["at"][:16] for row in prices} == {"2025-01-01 00:00", "2025-01-01 01:00"}
    for row in prices:  # a percent of what the feeder may carry, 20 MW less the engine's; its losses cost little
        assert row["usd_per_percent"] == pytest.approx(0.01 * (20.0 - engine[0]) * 30.0, rel=0.04)
    saved = page["objective_usd"] - wider.summary["security"]["objective_usd"]
    assert sum(row["usd_per_percent"] for row in prices) == pytest.approx(saved, rel=0.02)


@pytest.mark.parametrize("island", [False, True], ids=["grid", "island"])
def test_what_the_network_itself_draws_is_paid_like_losses(island: bool, tmp_path: Path) -> None:
    net = load_network("two_feeder_campus")
    bus = int(net.bus.index[net.bus.name == "MAIN_A"][0])
    pandapower.create_load(net, bus, 3.0, 0.5, const_z_p_percent=50.0, name="station service")
    pandapower.to_json(net, str(tmp_path / "own.json"))
    source = (
        "engine: {kind: engines, bus: ENGINES, units: 2, unit_power_mw: 15, variable_om_usd_per_mwh: 80, "
        "voltage_target_pu: 1.0}"
        if island
        else "grid: {kind: poi, bus: POI, import_limit_mw: 120}"
    )
    tariff = "{id: flat, timezone: America/Chicago, charges: [{id: energy, kind: energy, price: 0.05}]}"
    bill = "" if island else f"tariffs:\n  retail: {{poi: grid, tariff: {tariff}}}"
    (tmp_path / "case.yaml").write_text(
        f"""
name: own
time: {{start: 2025-01-01, end: 2025-01-01T02:00, step_min: 60, zone: America/Chicago}}
network: own.json
assets:
  {source}
  load: {{kind: facility_load, bus: MINE_1, power_mw: 8}}
{bill}
""",
        encoding="utf-8",
    )
    found = solved(load_case(tmp_path / "case.yaml"))
    assert found.accepted
    vm_pu = found.check.powerflow["vm_pu"].sel(bus="MAIN_A").to_numpy()
    outside = found.check.poi_branches
    flow = found.check.powerflow.isel(branch=[row for row in range(len(found.check.grid.branches.label))
                                              if row not in outside])  # fmt: skip
    lines = (flow["p_from_mw"] + flow["p_to_mw"]).sum("branch").to_numpy()
    drawn = 3.0 * (0.5 + 0.5 * vm_pu**2)
    np.testing.assert_allclose(found.dispatch.dataset["campus.loss_mw"], lines + drawn, atol=2e-3)


def test_a_network_without_any_solution_is_published_as_violations(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(
        """
name: too_much
time: {start: 2025-01-01, end: 2025-01-01T02:00, step_min: 60, zone: America/Chicago}
network: single_bus
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 5000}
  load: {kind: facility_load, bus: CAMPUS, power_mw: 4000}
tariffs:
  retail:
    poi: grid
    tariff: {id: flat, timezone: America/Chicago, charges: [{id: energy, kind: energy, price: 0.05}]}
""",
        encoding="utf-8",
    )
    from microgrid.study.solve import solve_case

    made = solve_case(load_case(tmp_path / "case.yaml"), secure="n0")
    assert made.violated
    assert made.summary["network"]["divergent"] == 2
    assert [item["kind"] for item in made.summary["network"]["violation_list"]] == ["divergent"] * 2
    rows = {row["check"]: row for row in made.summary["certificates"]}
    assert rows["balance"]["holds"] is True
    for name in ("power flow", "pandapower"):  # nothing was proven, and nothing failed
        assert (rows[name]["residual"], rows[name]["holds"]) == (None, None)
    assert rows["pandapower"]["where"].startswith("nothing to compare")


def test_the_best_round_is_published_where_none_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that are worse than one before are told, but neither their dispatch nor their rows are published."""
    from microgrid.study import secure

    broken, seen, real = iter([5, 1, 3]), [], secure._round

    def worsening(*given: Any) -> Any:
        seen.append(given[1])
        return replace(real(*given), violations=next(broken), loss_miss_mw=0.0)

    monkeypatch.setattr(secure, "_round", worsening)
    monkeypatch.setattr(secure, "MOST_ROUNDS", 2)
    monkeypatch.setattr(secure, "LOSS_MISSED_MW", 0.0)  # fresh rows in every round
    made = priced_by_hand(tmp_path, 40.0)
    found = made.secured
    assert [entry.violations for entry in found.rounds] == [5, 1, 3]
    assert found.dispatch is seen[1]
    assert (found.best, found.accepted, found.published) == (1, False, found.rounds[1])
    assert len(found.cuts) == found.rounds[1].cuts < found.rounds[2].cuts
    assert made.summary["security"]["round"] == 1
