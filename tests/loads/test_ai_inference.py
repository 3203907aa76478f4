"""AI inference, solved by hand: requests to replicas to power, shedding, brownout, deferral, idle replicas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from microgrid.assets.ai_inference import AiInference
from microgrid.assets.inference_class import Brownout, InferenceClass, Replica
from microgrid.assets.service_level import ServiceLevel, service_levels
from microgrid.errors import InvalidInput

Bench = Callable[..., Any]

REPLICA = {"count": 1000, "tokens_per_s": 1000.0, "power_kw": 10.0}
BROWNOUT = {"throughput_gain": 2.0, "power_gain": 1.0}
"""One MWh serves 360 Mtok: a dollar a Mtok is 360 $/MWh."""


def hall(classes: dict[str, object], requests_per_s: float = 1000.0, **fields: object) -> AiInference:
    """1000 requests/s of 500 tokens need 500 replicas: 5 MW."""
    given = {"replica": REPLICA, "tokens_per_request": 500.0, "room": {"pue": 1.0}, **fields}
    return AiInference(bus="HALL", requests_per_s=requests_per_s, classes=classes, **given)


def test_requests_set_active_replicas_and_replicas_set_power(campus: Bench) -> None:
    infer = hall({"all": {}}, room={"pue": 1.2})
    outcome = campus({"infer": infer}, [10.0, 10.0], series={"infer.requests_per_s": [1000.0, 400.0]})
    assert outcome["infer.active_replicas"] == pytest.approx([500.0, 200.0])
    assert outcome["poi.import_mw"] == pytest.approx([6.0, 2.4])


def test_a_service_level_leaves_replicas_partly_loaded(campus: Bench) -> None:
    outcome = campus({"infer": hall({"all": {"utilisation": 0.5}})}, [10.0])
    assert outcome["infer.active_replicas"] == pytest.approx([1000.0])


def test_parked_replicas_draw_their_idle_power(campus: Bench) -> None:
    outcome = campus({"infer": hall({"all": {}}, replica={**REPLICA, "idle_power_kw": 2.0})}, [10.0])
    assert outcome["infer.it_power_mw"] == pytest.approx([5.0 + 500 * 0.002])


def test_requests_are_shed_when_energy_costs_more_than_income_and_penalty(campus: Bench) -> None:
    classes = {
        "chat": {"share": 0.6, "value_usd_per_million_tokens": 5.0},
        "bulk": {
            "share": 0.4, "sheddable_share": 0.5, "value_usd_per_million_tokens": 0.5,
            "shed_cost_usd_per_million_tokens": 0.25,
        },
    }  # fmt: skip
    outcome = campus({"infer": hall(classes)}, [269.0, 271.0])  # 0.75 $/Mtok * 360 Mtok/MWh = 270
    assert outcome["infer.bulk.shed_mw"] == pytest.approx([0.0, 1.0])
    assert outcome["poi.import_mw"] == pytest.approx([5.0, 4.0])
    assert outcome.money["infer.bulk.shedding"] == pytest.approx(0.25 * 360.0)
    assert outcome.money["infer.chat.inference_income"] == pytest.approx(-5.0 * 360.0 * 3.0 * 2)
    assert outcome.money["infer.bulk.inference_income"] == pytest.approx(-0.5 * 360.0 * (2.0 + 1.0))


def test_brownout_serves_the_same_with_fewer_replicas_when_energy_is_dear(campus: Bench) -> None:
    classes = {"all": {"brownout": {**BROWNOUT, "cost_usd_per_million_tokens": 0.1}}}
    outcome = campus(
        {"infer": hall(classes)}, [71.0, 73.0]
    )  # saves half a MWh a MWh: 36 $ of latency against price / 2
    assert outcome["poi.import_mw"] == pytest.approx([5.0, 2.5])
    assert outcome["infer.active_replicas"] == pytest.approx([500.0, 250.0])


def test_brownout_and_shedding_together_never_serve_less_than_nothing(campus: Bench) -> None:
    classes = {"all": {"sheddable_share": 1.0, "brownout": BROWNOUT}}
    outcome = campus({"infer": hall(classes)}, [10.0])
    assert outcome["infer.all.load_mw"] == pytest.approx([0.0])
    assert outcome["poi.import_mw"] == pytest.approx([0.0])


def test_batch_work_waits_for_cheap_hours_but_never_longer_than_its_delay(campus: Bench) -> None:
    infer = hall({"batch": {"defer_h": 2.0}})
    outcome = campus(
        {"infer": infer}, [50.0, 40.0, 30.0, 20.0, 60.0], series={"infer.requests_per_s": [1000.0, 0, 0, 0, 0]}
    )
    assert outcome["infer.batch.served_mw"] == pytest.approx([0.0, 0.0, 5.0, 0.0, 0.0])  # hour 3 is too late


def test_batch_work_is_done_at_the_end_of_a_window_and_wraps_in_a_cycle(campus: Bench) -> None:
    infer = hall({"batch": {"defer_h": 24.0}})
    fixed = campus({"infer": infer}, [10.0, 20.0, 30.0])
    assert fixed["infer.batch.served_mw"] == pytest.approx([5.0, 5.0, 5.0])  # nothing may be served before it arrives
    cycle = campus({"infer": infer}, [10.0, 20.0, 30.0], wraps=True)
    assert cycle["infer.batch.served_mw"] == pytest.approx([10.0, 5.0, 0.0])


def test_shed_batch_work_does_not_lengthen_the_queue_of_the_rest(campus: Bench) -> None:
    infer = hall({"batch": {"defer_h": 1.0, "sheddable_share": 0.5, "shed_cost_usd_per_million_tokens": 1.0}})
    outcome = campus({"infer": infer}, [900.0, 500.0, 500.0])
    assert outcome["infer.batch.shed_mw"] == pytest.approx([2.5, 2.5, 2.5])
    assert outcome["infer.batch.backlog_mwh"].max() <= 2.5 + 1e-6


def test_replicas_and_redundant_supply_bound_deferred_work(campus: Bench) -> None:
    infer = hall({"batch": {"defer_h": 3.0}}, replica={**REPLICA, "count": 600})
    outcome = campus({"infer": infer}, [30.0, 10.0, 20.0], series={"infer.requests_per_s": [2000.0, 0.0, 0.0]})
    assert outcome["infer.batch.served_mw"] == pytest.approx([0.0, 6.0, 4.0])
    limited = hall({"batch": {"defer_h": 3.0}}, room={"pue": 1.0, "supply": {"modules": 2, "module_mw": 4.0}})
    outcome = campus({"infer": limited}, [30.0, 10.0, 20.0], series={"infer.requests_per_s": [2000.0, 0.0, 0.0]})
    assert outcome["infer.it_power_mw"] == pytest.approx([2.0, 4.0, 4.0])


def test_demand_beyond_all_replicas_is_refused_with_the_hour(campus: Bench) -> None:
    with pytest.raises(InvalidInput, match=r"2025-07-01 01:00 need 1500 replicas, 1000 are available"):
        campus({"infer": hall({"all": {}})}, [10.0, 10.0], series={"infer.requests_per_s": [1000.0, 3000.0]})
    campus({"infer": hall({"all": {"brownout": BROWNOUT}})}, [10.0], series={"infer.requests_per_s": [3000.0]})


def test_a_class_without_freedom_adds_no_variable(page: Bench, axis: Bench) -> None:
    outcome = page({"infer": hall({"all": {"value_usd_per_million_tokens": 1.0}})}, axis(2), {}, {})
    assert outcome.rows == {}
    assert outcome.money["infer.all.inference_income"] == pytest.approx(-2 * 5.0 * 360.0)
    assert np.allclose(outcome["infer.facility_power_mw"], 5.0)


LADDER = [
    {"availability": 0.95, "credit_share": 0.1}, {"availability": 0.9, "credit_share": 0.25},
    {"availability": 0.5, "credit_share": 1.0},
]  # fmt: skip
"""A day of July holds 120 MWh of requests and 400 $ of a fee of 12,400: credits of 40, 100 and 400 $."""


@pytest.mark.parametrize(("price", "refused"), [(1.0, 6.0), (4.9, 60.0), (9.0, 120.0)])
def test_requests_are_refused_up_to_the_step_whose_credit_they_are_worth(
    campus: Bench, price: float, refused: float
) -> None:
    level = {"fee_usd_per_month": 12400.0, "credits": LADDER}
    infer = hall({"all": {"sheddable_share": 1.0, "service_level": level}})
    outcome = campus({"infer": infer}, [price] * 24, gap=1e-7)
    assert outcome["infer.all.shed_mw"].sum() == pytest.approx(refused)
    assert outcome["infer.all.availability"] == pytest.approx([1.0 - refused / 120.0])
    owed = {6.0: 0.0, 60.0: 100.0, 120.0: 400.0}[refused]
    assert outcome.money["infer.all.service_credit"] == pytest.approx(owed, abs=1e-3)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.floats(0.5, 12.0), st.floats(0.02, 1.0), st.lists(st.floats(0.02, 0.98), min_size=3, max_size=3, unique=True))
def test_credits_are_those_of_the_best_step_of_each_month(
    campus: Bench, price: float, most: float, bounds: list[float]
) -> None:
    shares = [0.1, 0.4, 1.0]
    ladder = [
        {"availability": 1.0 - bound, "credit_share": share}
        for bound, share in zip(sorted(bounds), shares, strict=True)
    ]
    level = {"fee_usd_per_month": 12400.0, "credits": ladder}
    infer = hall({"all": {"sheddable_share": most, "service_level": level}})
    outcome = campus({"infer": infer}, [price] * 48, start="2025-07-31T05:00Z", gap=1e-7)  # a day in each of two months

    def credit(lost: float) -> float:
        return max([0.0, *(share for bound, share in zip(sorted(bounds), shares, strict=True) if lost > bound + 1e-12)])

    best = max(120.0 * price * lost - 400.0 * credit(lost) for lost in [*(b for b in bounds if b < most), most])
    assert outcome.earned + 240.0 * price == pytest.approx(2.0 * best, abs=0.01)


def test_steps_out_of_reach_need_no_binary_and_ladders_must_deepen(page: Bench, axis: Bench) -> None:
    level = {"fee_usd_per_month": 1000.0}
    some = hall({"all": {"sheddable_share": 0.02, "service_level": level}})  # 99.9 and 99 % can be missed, 95 % cannot
    assert page({"infer": some}, axis(24), {}, {}).rows["infer.all.steps_in_order"].rows == 1
    none = hall({"all": {"sheddable_share": 0.0005, "service_level": level}})
    assert "infer.all.refusals" not in page({"infer": none}, axis(24), {}, {}).rows
    assert set(service_levels()) == {"cloud_typical", "colocation_typical"}
    with pytest.raises(ValidationError, match="each step deeper"):
        ServiceLevel(fee_usd_per_month=1.0, credits=[LADDER[1], LADDER[0]])
    with pytest.raises(ValidationError, match="choose one of cloud_typical"):
        ServiceLevel(fee_usd_per_month=1.0, credits="gold")


def test_contradictory_halls_are_refused() -> None:
    with pytest.raises(ValidationError, match="sum to 1"):
        hall({"a": {"share": 0.5}, "b": {"share": 0.4}})
    with pytest.raises(ValidationError, match="must lie below power_kw"):
        Replica(count=1, tokens_per_s=1, power_kw=1.0, idle_power_kw=1.0)
    with pytest.raises(ValidationError, match="save energy"):
        Brownout(throughput_gain=1.2, power_gain=1.3)
    assert InferenceClass(sheddable_share=0.25).least_share == pytest.approx(0.75)
