"""What stands behind the meter of a campus: load, generation and reactive power, told from what the parts inject.

A part's reactive power follows its own power factor, as in the AC power flow (`network.attach`). What lines and
transformers take or give, and what a voltage regulator orders, is known only to the power flow and is not in it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from microgrid.formulation.algebra import Linear, total
from microgrid.formulation.block import Block, Campus
from microgrid.formulation.connection import Behaviour, Connection

LOAD: tuple[Behaviour, ...] = ("load", "storage")
GENERATION: tuple[Behaviour, ...] = ("generator", "inverter")


def injected_mw(block: Block, behaviours: Collection[Behaviour]) -> Sequence[Linear]:
    """Injection of all parts of these behaviours by step, MW, shape (steps,)."""
    chosen = [
        terms
        for (name, _), terms in block.campus.injections.items()
        if any(link.behaviour in behaviours for link in block.campus.connections.get(name, ()))
    ]
    return block.terms(lambda t: total(terms[t] for terms in chosen))


def drawn_mvar(block: Block) -> Sequence[Linear]:
    r"""Reactive power that the parts draw by step, Mvar, lagging positive: ``-\sum_i \tan\varphi_i p_{i,t}``."""
    campus = block.campus
    ratios = [(_mvar_per_mw(campus, name, bus), terms) for (name, bus), terms in campus.injections.items()]
    drawing = [(-ratio, terms) for ratio, terms in ratios if ratio]
    return block.terms(lambda t: total(ratio * terms[t] for ratio, terms in drawing))


def may_lead(campus: Campus) -> bool:
    """Whether the reactive power drawn can be negative: some part other than a lagging load gives or takes some."""
    return any(
        link.behaviour != "load" or link.leading
        for link in _links(campus)
        if link.power_factor < 1.0 and link.vm_pu is None
    )


def meters(campus: Campus) -> list[str]:
    """Points of interconnection that have written their page."""
    return sorted({link.part for link in _links(campus) if link.behaviour == "grid"})


def _links(campus: Campus) -> list[Connection]:
    return [link for links in campus.connections.values() for link in links]


def _mvar_per_mw(campus: Campus, name: str, bus: str) -> float:
    """Reactive over active injection of a part at one bus, or (empty bus) at all its buses in their shares."""
    links = [link for link in campus.connections.get(name, ()) if link.behaviour != "grid" and link.vm_pu is None]
    if bus:
        return sum(link.mvar_per_mw for link in links if link.bus == bus)
    return sum(link.share * link.mvar_per_mw for link in links)


__all__ = ["GENERATION", "LOAD", "drawn_mvar", "injected_mw", "may_lead", "meters"]
