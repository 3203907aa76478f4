"""Powers that the meter of a tariff sees in the optimiser: published by the POI, else told from the parts behind it."""

from __future__ import annotations

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Relation
from microgrid.formulation.behind_meter import GENERATION, LOAD, drawn_mvar, injected_mw, may_lead, meters
from microgrid.formulation.block import Block
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.page import Terms

SIGNALS = {"gross_load": "gross_load_mw", "gross_generation": "gross_generation_mw", "reactive": "reactive_mvar"}


def metered_powers(block: Block, tariff: Tariff, poi: str, power_factor: float | None) -> dict[str, Terms]:
    """Power by metering channel and step, MW (`reactive`: Mvar, lagging positive).

    `import` and `export` are the POI's own. `reactive` is there where the tariff bills on it and no power factor is
    stated; load and generation apart where the tariff meters them. Under buy-all-sell-all they are the import and the
    export.
    """
    power: dict[str, Terms] = {
        "import": block.signal(f"{poi}.import_mw"),
        "export": block.signal(f"{poi}.export_mw"),
    }
    for channel, name in SIGNALS.items():
        if f"{poi}.{name}" in block.campus.signals:
            power[channel] = block.signal(f"{poi}.{name}")
    if "reactive" not in power and power_factor is None and bills_reactive(tariff):
        _one_meter(block, "bills apparent or reactive power", "state `power_factor` beside the tariff")
        power["reactive"] = _reactive(block)
    if meters_load(tariff) and "gross_load" not in power:
        _one_meter(block, "meters load and generation apart", f"let {poi} publish gross_load_mw")
        power |= _apart(block)
    if sells_all(tariff):
        power["import"], power["export"] = power["gross_load"], power["gross_generation"]
    return power


def bills_reactive(tariff: Tariff) -> bool:
    """Whether some determinant counts apparent or reactive power."""
    return bills_apparent(tariff) or any(node.kind == "kvar" for node in tariff.determinants.values())


def bills_apparent(tariff: Tariff) -> bool:
    """Whether some determinant counts apparent power."""
    nodes = tariff.determinants.values()
    return any(getattr(node, "quantity", "") == "kva" or node.kind == "ratio_pf" for node in nodes)


def sells_all(tariff: Tariff) -> bool:
    """Whether all load is bought and all generation sold."""
    return tariff.export is not None and tariff.export.scheme == "buy_all_sell_all"


def meters_load(tariff: Tariff) -> bool:
    """Whether load and generation are metered apart."""
    parts = (*tariff.determinants.values(), *tariff.charges)
    return sells_all(tariff) or any(getattr(part, "channel", "") == "gross_load" for part in parts)


def leads(block: Block, poi: str) -> bool:
    """Whether the import may lead; True where the POI publishes reactive power of its own."""
    return f"{poi}.{SIGNALS['reactive']}" in block.campus.signals or may_lead(block.campus)


def _reactive(block: Block) -> Terms:
    """Reactive power that all parts draw, as one variable a step, so that facets stay short rows."""
    steps = block.horizon.steps
    drawn = drawn_mvar(block)
    lower = None if may_lead(block.campus) else 0.0
    reactive = block.variable("reactive_mvar", steps, "Mvar", "reactive power drawn at the meter", lower=lower)

    @block.constraint(steps)
    def reactive_balance(t: int) -> Relation:
        r"""q_t = -\sum_i \tan\varphi_i p_{i,t}"""
        return reactive[t] == drawn[t]

    return reactive


def _apart(block: Block) -> dict[str, Terms]:
    """Load (with storage) and generation, apart; the load meter does not run backwards."""
    steps = block.horizon.steps
    injected = injected_mw(block, LOAD)
    load = block.terms(lambda t: -1.0 * injected[t])
    generation = injected_mw(block, GENERATION)

    @block.constraint(steps)
    def load_meter(t: int) -> Relation:
        r"""d_t - (p^{dis}_t - p^{ch}_t) \ge 0: storage serves the load and sells nothing"""
        return load[t] >= 0.0

    block.report("gross_load_mw", lambda t: load[t], "MW", "load behind the meter, storage included")
    block.report("gross_generation_mw", lambda t: generation[t], "MW", "generation behind the meter")
    return {"gross_load": load, "gross_generation": generation}


def _one_meter(block: Block, why: str, remedy: str) -> None:
    """Refuse where several points of interconnection share the parts."""
    found = meters(block.campus)
    if len(found) > 1:
        raise InvalidInput(
            Problem(
                f"the tariff {why}, and the parts stand behind {len(found)} points of interconnection "
                f"({', '.join(found)})",
                remedy,
                block.name,
            )
        )


__all__ = ["bills_apparent", "bills_reactive", "leads", "metered_powers", "meters_load", "sells_all"]
