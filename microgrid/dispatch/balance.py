"""Power balance of the campus, and the rows the network asks for: the only mathematics that belongs to no part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block
from microgrid.formulation.connection import NetworkCut
from microgrid.schema.quantity import Declared

CAMPUS = "campus"
"""Name under which the balance and the losses stand; no part may bear it."""


def formulate_balance(
    block: Block, parts: Mapping[str, Declared], groups: Mapping[str, str], cuts: Sequence[NetworkCut]
) -> None:
    """Close the pages of the parts, then write the power balance of every bus group, and the network's cuts if any."""
    block.campus.close()
    steps = block.horizon.steps
    loss = _losses(block, cuts) if cuts else None
    by_group = group_injections(block, parts, groups)
    for group, injections in by_group.items():
        first = group == next(iter(by_group))

        @block.constraint(steps, of=group if len(by_group) > 1 else "")
        def balance(t: int, injections: list[Sequence[Linear]] = injections, first: bool = first) -> Relation:  # noqa: FBT001
            r"""\sum_i p_{i,t} = p^{loss}_t"""
            return total(terms[t] for terms in injections) == (loss[t] if loss is not None and first else 0.0)

    if loss is not None:
        _write_cuts(block, parts, cuts, loss)


def _losses(block: Block, cuts: Sequence[NetworkCut]) -> Sequence[Linear]:
    """Declare the losses: zero at steps whose losses no row states, or they could burn energy of negative value."""
    stated = {cut.step for cut in cuts if cut.quantity == "loss"}
    upper = [float("inf") if t in stated else 0.0 for t in block.horizon.steps]
    return block.variable("loss_mw", block.horizon.steps, "MW", "network losses", upper=upper)


def group_injections(
    block: Block, parts: Mapping[str, Declared], groups: Mapping[str, str]
) -> dict[str, list[Sequence[Linear]]]:
    """Injections by balance group; a part spread over groups enters each with its shares."""
    found: dict[str, list[Sequence[Linear]]] = {}
    for (name, bus), terms in block.campus.injections.items():
        shares = {bus: 1.0} if bus else bus_shares(parts[name])
        by_group: dict[str, float] = {}
        for place, share in shares.items():
            group = groups.get(place, "")
            by_group[group] = by_group.get(group, 0.0) + share
        for group, share in by_group.items():
            found.setdefault(group, []).append(_share_of(block, terms, share))
    return found


def _share_of(block: Block, terms: Sequence[Linear], share: float) -> Sequence[Linear]:
    return terms if abs(share - 1.0) < 1e-12 else block.terms(lambda t: share * terms[t])


def bus_shares(part: object) -> dict[str, float]:
    """Share of a part's injection at every bus it names."""
    return cast("dict[str, float]", getattr(part, "shares", {"": 1.0}))


def _write_cuts(
    block: Block, parts: Mapping[str, Declared], cuts: Sequence[NetworkCut], loss: Sequence[Linear]
) -> None:
    """Add the network's affine rows, one position a cut."""
    injections = block.campus.injections

    @block.constraint(range(len(cuts)))
    def network_cut(place: int) -> Relation:
        r"""\sum_i a_i p_{i,t} + a_{loss} p^{loss}_t \le b"""
        cut = cuts[place]
        terms: list[Linear | float] = [cut.loss_coefficient * loss[cut.step]] if cut.loss_coefficient else []
        for (name, bus), coefficient in cut.coefficients:
            share, key = (
                (1.0, (name, bus)) if (name, bus) in injections else (bus_shares(parts[name]).get(bus, 0.0), (name, ""))
            )
            terms.append(coefficient * share * injections[key][cut.step])
        return total(terms) <= cut.bound


__all__ = ["CAMPUS", "bus_shares", "formulate_balance", "group_injections"]
