"""The page on which one part writes its mathematics.

A *part* (asset, point of interconnection, tariff, program) receives a `Block` and writes variables, named rules,
costs and injections on it. The same page serves three readers: `dispatch` builds a Pyomo block from it, the audit
evaluates it on a finished result, and `describe` prints it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Protocol, cast, runtime_checkable

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.by_position import N
from microgrid.formulation.connection import Connection
from microgrid.formulation.headroom import Claim, Headroom, Way, hold_claims
from microgrid.formulation.horizon import Horizon, Index
from microgrid.schema.quantity import Declared, Series

ABSENT = -1
"""Place of a member that a shorter group does not have."""
Number = float | int | np.floating
Bound = Number | Sequence[float] | np.ndarray | Linear | None
Rule = Callable[[int], Linear | float]
RowRule = Callable[[int], Relation | None]


class Part(Protocol):
    """Anything that writes on a block; `model_fields` of the declared record hold its quantities."""

    def formulate(self, block: Block) -> None:
        """Write variables, rules, costs and injections."""


@runtime_checkable
class Connected(Protocol):
    """A part that stands at buses of the network."""

    def connections(self, name: str) -> Sequence[Connection]:
        """Where the part of this name connects, one record a bus."""


@dataclass(frozen=True)
class Signal:
    """A quantity that one part publishes for others, one linear term a step."""

    name: str
    terms: Sequence[Linear]
    unit: str
    meaning: str


@dataclass
class Campus:
    """What the parts of one model share: signals by name, injections, connections and reserve headroom by part.

    `injections` holds, per part and bus, one linear term a step in MW, positive into the bus; `connections` where the
    parts that inject connect. `closing` holds what is written once all parts have written (see `Block.after_all`).
    """

    signals: dict[str, Signal] = field(default_factory=dict)
    injections: dict[tuple[str, str], Sequence[Linear]] = field(default_factory=dict)
    headrooms: dict[str, Headroom] = field(default_factory=dict)
    connections: dict[str, Sequence[Connection]] = field(default_factory=dict)
    closing: list[Callable[[], None]] = field(default_factory=list)

    def close(self) -> None:
        """Write what waited for all parts, in the order of the parts; once."""
        waiting, self.closing = self.closing, []
        for write in waiting:
            write()


class Block(ABC):
    """Page of one part; subclasses decide what becomes of what is written."""

    def __init__(
        self,
        name: str,
        part: Declared,
        horizon: Horizon,
        inputs: Mapping[str, np.ndarray],
        campus: Campus,
        carried: Mapping[str, float] | None = None,
    ) -> None:
        """Open a page for `part`; `inputs` holds aligned series under ``part.field`` names."""
        self.name = name
        self.part = part
        self.horizon = horizon
        self.inputs = inputs
        self.campus = campus
        self._carried = carried or {}

    # -- data ------------------------------------------------------------------------------------------------

    def profile(self, path: str) -> list[float]:
        """Value of a `Profile` field at every step; `path` may be nested, e.g. ``tiers.0.availability``."""
        key = f"{self.name}.{path}"
        if key in self.inputs:
            return cast("list[float]", np.asarray(self.inputs[key], dtype=float).tolist())
        value = field_at(self.part, path)
        if isinstance(value, Series):
            message = f"series of {key} was not aligned to the horizon"
            raise TypeError(message)
        return [float(cast("float", value))] * self.horizon.count

    def capacity(self, path: str) -> float:
        """Size of the part; a number today, a decision variable once sizing asks for it."""
        return float(cast("float", field_at(self.part, path)))

    def carried(self, name: str, default: float) -> float:
        """State handed over by the window before this one, else `default`."""
        return self._carried.get(f"{self.name}.{name}", default)

    # -- mathematics -----------------------------------------------------------------------------------------

    @abstractmethod
    def variable(
        self,
        name: str,
        index: Index,
        unit: str,
        meaning: str,
        *,
        lower: Bound = 0.0,
        upper: Bound = None,
        integer: bool = False,
        of: str = "",
    ) -> Sequence[Linear]:
        """Declare one variable an index position; bounds may be a number or one value a position."""

    def least_of(
        self,
        name: str,
        index: Index,
        unit: str,
        meaning: str,
        limits: Sequence[Sequence[Linear]],
        *,
        energies_mwh: Sequence[Sequence[Linear]] = (),
        of: str = "",
    ) -> Sequence[Linear]:
        """Declare a decision that stands for the least of `limits`, where nobody knows which is the least.

        Rows of the caller keep it below each. A result may hold any smaller value where no program needed more, so who
        reads how far a part can move takes the least itself, and what `energies_mwh` sustain (`study.room`).
        """
        del limits, energies_mwh
        return self.variable(name, index, unit, meaning, of=of)

    @abstractmethod
    def constraint(self, index: Iterable[int], *, of: str = "") -> Callable[[RowRule], RowRule]:
        """Declare the decorated rule for every position; its docstring is its equation, None skips."""

    @abstractmethod
    def cost(self, index: Index, *, of: str = "") -> Callable[[Rule], Rule]:
        """Declare the decorated rule as money paid, USD a position."""

    @abstractmethod
    def revenue(self, index: Index, *, of: str = "") -> Callable[[Rule], Rule]:
        """Declare the decorated rule as money received, USD a position."""

    @abstractmethod
    def report(
        self, name: str, rule: Rule, unit: str, meaning: str, *, index: Index | None = None, of: str = ""
    ) -> None:
        """Add a derived quantity to the result; it takes no part in the optimisation."""

    @abstractmethod
    def exclusive(self, first: Sequence[Linear], second: Sequence[Linear], first_max: Bound, second_max: Bound) -> None:
        """Forbid both at once; a binary is added only at steps where a solved relaxation shows both.

        The binary multiplies the bounds of the two, so they must be finite; InvalidInput names the part otherwise.
        """

    def numbers(self, values: Iterable[N]) -> list[N]:
        """Numbers by position that rules read; a list of the rule's own is as right, but slower to build with."""
        return list(values)

    def terms(self, rule: Rule, index: Index | None = None) -> Sequence[Linear]:
        """Linear terms by position of `index` (the steps when absent), for other rules to use."""
        return [cast("Linear", rule(place)) for place in (self.horizon.steps if index is None else index)]

    def total(self, index: Iterable[int], rule: Rule) -> Linear:
        """Sum of `rule` over `index`."""
        return total(rule(place) for place in index)

    def sums(self, terms: Sequence[Linear], groups: Sequence[Iterable[int]]) -> Sequence[Linear]:
        """Sum of `terms` over the positions of every group, such as the steps of a demand window."""
        members = [self.numbers(place) for place in zip_longest(*groups, fillvalue=ABSENT)]
        index = Index(f"{self.name}.group", len(groups))
        return self.terms(lambda k: total(terms[place[k]] for place in members if place[k] != ABSENT), index)

    def counted(self, running: Sequence[Linear], started: Sequence[Linear], stopped: Sequence[Linear]) -> None:
        """Declare that three variables are one commitment, so that a solver may round them together."""

    def alternatives(self, chosen: Sequence[Linear], copies: Sequence[Sequence[Linear]]) -> None:
        """Declare binaries of which exactly one is chosen, and quantities split over them (zero where not chosen).

        A solver may then bound every copy by what the whole quantity can reach.
        """

    # -- ties to the other parts -----------------------------------------------------------------------------

    def injects(self, rule: Rule, bus: str = "") -> None:
        """Inject `rule(t)` MW into `bus` (the part's own bus when empty); repeated calls add up."""
        terms = self._terms(rule)
        key = (self.name, bus)
        if self.name not in self.campus.connections and isinstance(self.part, Connected):
            self.campus.connections[self.name] = self.part.connections(self.name)
        before = self.campus.injections.get(key)
        self.campus.injections[key] = terms if before is None else self._terms(lambda t: before[t] + terms[t])

    def publish(self, name: str, rule: Rule, unit: str, meaning: str) -> None:
        """Offer `rule(t)` to other parts under ``part.name``."""
        key = f"{self.name}.{name}"
        self.campus.signals[key] = Signal(key, self._terms(rule), unit, meaning)

    def signal(self, name: str) -> Sequence[Linear]:
        """Terms published by another part under ``part.name``; InvalidInput names the field and what there is."""
        if name not in self.campus.signals:
            raise InvalidInput(self._no_signal(name))
        return self.campus.signals[name].terms

    def _no_signal(self, name: str) -> Problem:
        """Tell which field names a part that does not publish what is read."""
        other, _, what = name.partition(".")
        able = sorted(entry.partition(".")[0] for entry in self.campus.signals if entry.partition(".")[2] == what)
        remedy = f"parts that do: {', '.join(able) or 'none'}; a part must be listed before those that read it"
        found = [path for path in self.part.__class__.model_fields if _mentions(getattr(self.part, path), other)]
        return Problem(f"publishes no {what}", remedy, ".".join([self.name, *found[:1]]), other)

    def after_all(self, write: Callable[[], None]) -> None:
        """Write on this page once all parts have written: what depends on what others did with this part."""
        self.campus.closing.append(write)

    def headroom(self, headroom: Headroom, of: str = "") -> None:
        """Offer room to move for reserves, under the part's own name or `of`.

        What all programs sell of it together is held to it on this page, once all parts have written.
        """
        key = of or self.name
        self.campus.headrooms[key] = headroom
        self.after_all(lambda: hold_claims(self, key, of))

    def claims(self, way: Way) -> tuple[Claim, ...]:
        """What was sold of this part; to be asked once all parts have written."""
        room = self.campus.headrooms.get(self.name)
        return () if room is None else room.side(way).claims

    def full(self, name: str, of: str = "") -> str:
        """Name of a quantity in results: ``part.name``, or ``part.of.name`` for one of several alike."""
        return ".".join(entry for entry in (self.name, of, name) if entry)

    def _terms(self, rule: Rule) -> Sequence[Linear]:
        """Terms of `rule` at every step."""
        return [self._linear(rule(t)) for t in self.horizon.steps]

    @abstractmethod
    def _linear(self, term: Linear | float) -> Linear:
        """Return a term of the block's own kind, also for a plain number."""


def _mentions(value: object, name: str) -> bool:
    """Whether a field names a part: by itself, in a list, as the key of a mapping, or in a record below it."""
    if isinstance(value, Declared):
        return any(_mentions(getattr(value, field), name) for field in value.__class__.model_fields)
    if isinstance(value, Mapping):
        return name in value or any(_mentions(entry, name) for entry in value.values())
    return value == name or (isinstance(value, (list, tuple)) and name in value)


def field_at(record: object, path: str) -> object:
    """Follow a dotted path of field names, mapping keys and list positions."""
    value = record
    for name in path.split("."):
        if isinstance(value, Mapping):
            value = value[name]
        elif isinstance(value, (list, tuple)):
            value = value[int(name)]
        else:
            value = getattr(value, name)
    return value


__all__ = ["Block", "Bound", "Campus", "Claim", "Headroom", "Part", "Rule", "Signal", "field_at"]
