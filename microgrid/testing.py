"""Conformance tests for what users add: their assets and networks must keep the rules that the built-ins keep.

Use them in a plugin's own tests::

    from microgrid.testing import check_asset, check_network

    def test_my_asset():
        check_asset(MyAsset)
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from microgrid.case.align import references
from microgrid.case.describe import SAMPLE, company_of, sample_reading
from microgrid.case.kinds import is_asset, kind_of
from microgrid.dispatch.build import build
from microgrid.dispatch.compile import compile_program
from microgrid.formulation.horizon import Horizon
from microgrid.network.contract import check_contract
from microgrid.schema.quantity import Declared

ROUNDING = 1e-9


def check_asset(candidate: type[Declared], **company: Declared) -> None:
    """Check that an asset or program class keeps the rules of the built-ins.

    Its example must validate and survive a round trip; every numeric field must declare a unit and every variable a
    meaning; every rule must carry its equation as docstring; the page must compile to a linear program, on hourly and
    quarter-hourly steps, the same whether its rules are read on many steps at once or one by one; an asset must inject.
    `company` gives other parts that the page needs, by name.

    Raises:
        AssertionError: the first rule that is broken, told in words.
    """
    example = candidate.example  # type: ignore[attr-defined]
    part = candidate.model_validate(example)
    again = candidate.model_validate(part.model_dump(mode="json"))
    assert again == part, f"{kind_of(candidate)}: the example changes when it is written and read again"
    _check_fields(candidate)
    reading = sample_reading(candidate)
    for declared in (*reading.variables.values(), *reading.reports.values()):
        assert declared.unit, f"{declared.name}: a variable needs a unit (1 for pure numbers)"
        assert declared.meaning, f"{declared.name}: a variable needs a meaning"
    for row in reading.rows:
        assert row.equation, f"{row.name}: the docstring of a rule is its equation"
    for name, equation in reading.cost_equations.items():
        assert equation, f"{name}: the docstring of a cost is its equation"
    for step_min in (60, 15):
        _check_compiles(candidate, part, step_min, company)


def _check_fields(candidate: type[Declared]) -> None:
    for name, field in candidate.model_fields.items():
        assert field.description or name == "kind", f"{name}: a field needs a meaning"
        if field.annotation in {float, int}:
            extra = field.json_schema_extra
            assert isinstance(extra, dict), f"{name}: declare the field with quantity(...)"
            assert "unit" in extra, f"{name}: a number needs a unit (1 for pure numbers)"

    assert "kind" in candidate.model_fields, "a part needs a kind"


def _check_compiles(candidate: type[Declared], part: Declared, step_min: int, company: dict[str, Declared]) -> None:
    horizon = Horizon(SAMPLE.start, step_min, 24 * 60 // step_min, SAMPLE.zone)
    inputs = {f"it.{'.'.join(reference.path)}": np.ones(horizon.count) for reference in references(part)}
    parts = {**company_of(candidate), **company, "it": part}
    model = build(parts, horizon, inputs, fewest=2)
    if is_asset(candidate):
        injects = any(name == "it" for name, _ in model.campus.injections)
        assert injects, f"{kind_of(candidate)}: an asset must call block.injects"
    at_once, one_by_one = compile_program(model), compile_program(build(parts, horizon, inputs, fewest=inf))
    same = at_once.rows == one_by_one.rows and abs(at_once.matrix - one_by_one.matrix).max() <= ROUNDING
    assert same, f"{kind_of(candidate)}: a rule must depend on its position alone"


def check_network(net: Any) -> None:
    """Check a pandapower network against the contract of design.md.

    Raises:
        AssertionError: every broken rule, one a line.
    """
    problems = check_contract(net)
    assert not problems, "\n".join(str(problem) for problem in problems)


__all__ = ["check_asset", "check_network"]
