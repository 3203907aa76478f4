"""From a pandapower net to a `Grid`: pandapower models, nothing is solved here.

The per-unit matrices are those of pandapower's own `runpp` (`_pd2ppc`, `makeYbus`), so that every transformer model,
switch and shunt means exactly what it means there.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from pandapower.auxiliary import _add_auxiliary_elements, _init_runpp_options
from pandapower.pd2ppc import _pd2ppc
from pandapower.pypower.bustypes import bustypes
from pandapower.pypower.idx_brch import F_BUS, T_BUS
from pandapower.pypower.idx_bus import BASE_KV, PD, QD, VA
from pandapower.pypower.idx_gen import GEN_BUS, PG, QMAX, QMIN, VG
from pandapower.pypower.makeBdc import makeBdc
from pandapower.pypower.makeYbus import branch_vectors, makeYbus
from pandapower.results import init_results

from microgrid.errors import InvalidInput, Problem
from microgrid.powerflow.grid import Branches, ElementTable, Grid, LoadShares, Sources
from microgrid.powerflow.supported import MODELLED, check_supported, model_options

NO_LIMIT_MVAR = 1e8
SIGN = {"load": -1.0, "sgen": 1.0, "storage": -1.0, "gen": 1.0}


@dataclass(frozen=True)
class PerUnit:
    """A private copy of the net after conversion, with pandapower's per-unit tables (ppc: all, ppci: in service)."""

    net: Any
    ppc: dict[str, Any]
    ppci: dict[str, Any]

    def bus_row(self, buses: np.ndarray) -> np.ndarray:
        """Row of each pandapower bus, -1 where it is dead."""
        row = self.net._pd2ppc_lookups["bus"][np.asarray(buses, np.int64)]  # noqa: SLF001 -- pandapower's only lookup
        return np.where((row >= 0) & (row < len(self.ppci["bus"])), row, -1)

    def in_service(self, table: str) -> np.ndarray:
        """True for elements of `table` that are in service on a live bus, as pandapower decided."""
        return np.asarray(self.net._is_elements[table], bool)  # noqa: SLF001


def to_per_unit(net: Any) -> PerUnit:
    """Convert a copy of `net` with pandapower; raises InvalidInput when it cannot be a power-flow case."""
    check_supported(net)
    net = _private_copy(net)
    options: dict[str, Any] = {"trafo_model": "t", "consider_line_temperature": False} | model_options(net)
    _init_runpp_options(
        net,
        algorithm="nr",
        calculate_voltage_angles=True,
        init="dc",
        max_iteration=10,
        tolerance_mva=1e-8,
        trafo_loading="current",
        enforce_p_lims=False,
        enforce_q_lims=False,
        check_connectivity=True,
        voltage_depend_loads=False,
        numba=False,
        lightsim2grid=False,
        **options,
    )
    _add_auxiliary_elements(net)
    init_results(net)
    empty = np.array([], dtype=np.int64)
    lookups = dict.fromkeys(("bus", "bus_dc", "ext_grid", "gen", "branch", "branch_dc"), empty)
    net._pd2ppc_lookups = lookups  # noqa: SLF001 -- what pandapower's own runpp does
    try:
        ppc, ppci = _pd2ppc(net)
    except UserWarning as refusal:
        raise InvalidInput(Problem(rule=str(refusal), field="network")) from refusal
    return PerUnit(net, ppc, ppci)


def _private_copy(net: Any) -> Any:
    """A copy that conversion may write into; empty tables of nothing that is modelled, and standard types, are shared.

    Conversion adds rows to tables of modelled elements even where they are empty: a DC line becomes two generators.
    """
    empty = [net[name] for name in net if name not in MODELLED and isinstance(net[name], pd.DataFrame)]
    shared = [net.std_types, *(table for table in empty if not len(table))]
    return copy.deepcopy(net, {id(item): item for item in shared})


def extract(net: Any) -> Grid:
    """Turn a pandapower net into a `Grid`; the net is not changed.

    Raises InvalidInput when an element is not modelled, or no source holds the voltage.
    """
    unit = to_per_unit(net)
    base = float(unit.ppci["baseMVA"])
    bus, gen, branch = unit.ppci["bus"], unit.ppci["gen"], unit.ppci["branch"]
    y_bus = makeYbus(base, bus, branch)[0].tocsr()
    y_bus.sum_duplicates()
    reference, controlled, _ = (np.asarray(rows, np.int64) for rows in bustypes(bus, gen))
    set_point = np.ones(len(bus))
    set_point[gen[:, GEN_BUS].astype(int)] = gen[:, VG]
    tables = {name: _table(unit, net, name) for name in SIGN}
    start = _dc_start(unit, reference, set_point)
    return Grid(
        base_mva=base,
        frequency_hz=float(net.f_hz),
        y_bus=y_bus,
        reference=reference,
        reference_voltage=start[reference],
        controlled=controlled,
        controlled_vm_pu=set_point[controlled],
        controlled_q_mvar=_reactive_limits(gen, controlled),
        start=start,
        constant_power=_constant_power(unit, tables, base),
        tables=tables,
        load_shares=_load_shares(unit),
        bus_names=unique_names(net, "bus"),
        bus_index=net.bus.index.to_numpy(np.int64),
        bus_row=unit.bus_row(net.bus.index.to_numpy()),
        bus_kv=net.bus.vn_kv.to_numpy(float),
        row_kv=bus[:, BASE_KV].real.copy(),
        branches=_branches(unit, net, base),
        sources=_sources(unit, net),
    )


def unique_names(net: Any, table: str) -> tuple[str, ...]:
    """Names of a table's rows; where a name is missing or taken, the pandapower index is added."""
    seen: set[str] = set()
    out = []
    for index, name in zip(net[table].index, net[table].get("name", net[table].index), strict=True):
        text = str(index) if name is None or name != name or str(name) == "" else str(name)  # noqa: PLR0124 -- NaN test
        text = f"{text} ({index})" if text in seen else text
        seen.add(text)
        out.append(text)
    return tuple(out)


def _table(unit: PerUnit, net: Any, name: str) -> ElementTable:
    table = net[name]
    live = unit.in_service(name)[: len(table)] if len(table) else np.zeros(0, bool)
    scaling = table["scaling"].to_numpy(float) if "scaling" in table.columns else np.ones(len(table))
    bus = unit.bus_row(table["bus"].to_numpy())
    live &= bus >= 0
    return ElementTable(
        names=unique_names(net, name),
        index=table.index.to_numpy(np.int64),
        bus=np.where(live, bus, -1),
        factor=np.where(live, SIGN[name] * scaling, 0.0),
        p_mw=table["p_mw"].to_numpy(float),
        q_mvar=table["q_mvar"].to_numpy(float) if "q_mvar" in table.columns else np.zeros(len(table)),
        q_min_mvar=_limit(table, "min_q_mvar", -np.inf),
        q_max_mvar=_limit(table, "max_q_mvar", np.inf),
    )


def _limit(table: Any, column: str, missing: float) -> np.ndarray:
    values = table[column].to_numpy(float) if column in table.columns else np.full(len(table), np.nan)
    return np.where(np.isnan(values) | (np.abs(values) >= NO_LIMIT_MVAR), missing, values)


def _constant_power(unit: PerUnit, tables: dict[str, ElementTable], base: float) -> np.ndarray:
    """Injections that no profile describes (motors, wards, DC lines …), per unit: the total less the known tables."""
    bus, gen = unit.ppci["bus"], unit.ppci["gen"]
    total = -(bus[:, PD].real + 1j * bus[:, QD].real)
    ext_grids = int(unit.in_service("ext_grid").sum())
    np.add.at(total, gen[ext_grids:, GEN_BUS].astype(int), gen[ext_grids:, PG].real)
    for table in tables.values():
        total = total - table.incidence(len(bus)) @ (table.p_mw + 1j * table.q_mvar)
    return np.where(np.abs(total) < 1e-9 * base, 0.0, total) / base


def _reactive_limits(gen: np.ndarray, controlled: np.ndarray) -> np.ndarray:
    """Summed lower and upper limits (2, controlled) in Mvar; pandapower writes 1e9 where there is none."""
    limits = np.where(np.abs(gen[:, [QMIN, QMAX]].real) >= NO_LIMIT_MVAR, np.inf, gen[:, [QMIN, QMAX]].real).T
    limits[0] = np.where(np.isinf(limits[0]), -np.inf, limits[0])
    at = gen[:, GEN_BUS].real.astype(int)
    return np.array([[limits[side, at == row].sum() for row in controlled] for side in (0, 1)]).reshape(2, -1)


def _load_shares(unit: PerUnit) -> LoadShares:
    load = unit.net.load
    columns = ("const_i_p_percent", "const_z_p_percent", "const_i_q_percent", "const_z_q_percent")
    shares = [load[name].to_numpy(float) / 100.0 if name in load.columns else np.zeros(len(load)) for name in columns]
    return LoadShares(*(np.nan_to_num(share) for share in shares))


def _dc_start(unit: PerUnit, reference: np.ndarray, set_point: np.ndarray) -> np.ndarray:
    """Voltages from a DC power flow of the net's own values: angles right, magnitudes 1 or the set point."""
    base, bus, gen, branch = (unit.ppci[name] for name in ("baseMVA", "bus", "gen", "branch"))
    b_bus, _, shift, *_ = makeBdc(bus, branch)
    power = -bus[:, PD].real.copy()
    np.add.at(power, gen[:, GEN_BUS].astype(int), gen[:, PG].real)
    angle = np.deg2rad(bus[:, VA].real)
    others = np.setdiff1d(np.arange(len(bus)), reference)
    right = power / base - shift.real - (b_bus[:, reference] @ angle[reference]).real
    if len(others):
        matrix = sp.csc_matrix(b_bus.real)[others][:, others]
        angle[others] = spla.splu(matrix.tocsc()).solve(np.ascontiguousarray(right[others]))
    start: np.ndarray = set_point * np.exp(1j * angle)
    return start


def _sources(unit: PerUnit, net: Any) -> Sources:
    labels: list[str] = []
    buses: list[int] = []
    generators: list[int] = []
    elements: list[int] = []
    slack = net.gen["slack"].to_numpy(bool) if len(net.gen) else np.zeros(0, bool)
    for table, chosen in (("ext_grid", np.ones(len(net.ext_grid), bool)), ("gen", slack)):
        live = unit.in_service(table)[: len(chosen)] & chosen if len(chosen) else chosen
        rows = unit.bus_row(net[table]["bus"].to_numpy()) if len(chosen) else chosen
        names = unique_names(net, table)
        labels += [f"{table} {names[place]}" for place in np.flatnonzero(live)]
        buses += [int(rows[place]) for place in np.flatnonzero(live)]
        elements += [int(net[table].index[place]) for place in np.flatnonzero(live)]
        generators += [int(place) if table == "gen" else -1 for place in np.flatnonzero(live)]
    bus = np.array(buses, np.int64)
    count = np.array([np.sum(bus == row) for row in bus], float)
    share = 1.0 / count if len(count) else count
    return Sources(tuple(labels), bus, share, np.array(generators, np.int64), np.array(elements, np.int64))


def _branches(unit: PerUnit, net: Any, base: float) -> Branches:
    branch = unit.ppci["branch"]
    y_tt, y_ff, y_ft, y_tf = branch_vectors(branch, len(branch))
    from_bus, to_bus = (branch[:, column].real.astype(np.int64) for column in (F_BUS, T_BUS))
    kv = unit.ppci["bus"][:, BASE_KV].real
    keep = np.flatnonzero(unit.ppci["internal"]["branch_is"])
    table, element, part, label = _branch_owners(unit, net)
    rating_from, rating_to = _ratings(net, table, element, part)
    return Branches(
        label=tuple(label[row] for row in keep),
        table=tuple(table[row] for row in keep),
        element=np.array([element[row] for row in keep], np.int64),
        part=tuple(part[row] for row in keep),
        from_bus=from_bus,
        to_bus=to_bus,
        y_ff=y_ff,
        y_ft=y_ft,
        y_tf=y_tf,
        y_tt=y_tt,
        ampere_base_from=base / (np.sqrt(3.0) * kv[from_bus]),
        ampere_base_to=base / (np.sqrt(3.0) * kv[to_bus]),
        rating_from_ka=rating_from[keep],
        rating_to_ka=rating_to[keep],
    )


def _branch_owners(unit: PerUnit, net: Any) -> tuple[list[str], list[int], list[str], list[str]]:
    """Table, pandapower index, winding and label of every row of pandapower's full branch table."""
    size = len(unit.ppc["branch"])
    table, element, part, label = [""] * size, [-1] * size, [""] * size, [""] * size
    for name, (begin, end) in unit.net._pd2ppc_lookups["branch"].items():  # noqa: SLF001
        windings = ("hv", "mv", "lv") if name == "trafo3w" else ("",)
        count = (end - begin) // len(windings)
        indices = net[name].index.to_numpy() if name != "switch" else _impedance_switches(net)
        names = unique_names(net, name) if name != "switch" else tuple(map(str, indices))
        for place in range(end - begin):
            winding, row = windings[place // count], place % count
            table[begin + place], element[begin + place], part[begin + place] = name, int(indices[row]), winding
            label[begin + place] = " ".join(filter(None, (name, names[row], winding)))
    return table, element, part, label


def _impedance_switches(net: Any) -> np.ndarray:
    closed = net.switch[(net.switch.et == "b") & net.switch.closed.astype(bool) & (net.switch.z_ohm > 0)]
    return np.asarray(closed.index)


def _ratings(net: Any, table: list[str], element: list[int], part: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Rated current in kA at the from and to end of every branch row; NaN where the net gives none."""
    rating_from, rating_to = np.full(len(table), np.nan), np.full(len(table), np.nan)
    for row, name in enumerate(table):
        if name == "line":
            line = net.line.loc[element[row]]
            rating_from[row] = rating_to[row] = line.max_i_ka * line.df * line.parallel
        elif name == "trafo":
            trafo = net.trafo.loc[element[row]]
            power = trafo.sn_mva * trafo.parallel * trafo.df / np.sqrt(3.0)
            rating_from[row], rating_to[row] = power / trafo.vn_hv_kv, power / trafo.vn_lv_kv
        elif name == "trafo3w":
            trafo = net.trafo3w.loc[element[row]]
            rated = trafo[f"sn_{part[row]}_mva"] / (np.sqrt(3.0) * trafo[f"vn_{part[row]}_kv"])
            side = rating_from if part[row] == "hv" else rating_to  # the other end is the star point
            side[row] = rated
    return rating_from, rating_to


def pandapower_options(net: Any) -> dict[str, Any]:
    """Arguments of `pandapower.runpp` that solve the same equations as `extract` describes."""
    return {"calculate_voltage_angles": True, "numba": False, "lightsim2grid": False} | model_options(net)


__all__ = ["PerUnit", "extract", "pandapower_options", "to_per_unit", "unique_names"]
