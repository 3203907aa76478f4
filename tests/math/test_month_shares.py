"""Parts of local months, with the hour that a change of clocks takes or gives."""

from __future__ import annotations

import pandas as pd
import pytest

from microgrid.formulation.horizon import Horizon
from microgrid.formulation.months import month_shares


@pytest.mark.parametrize(("month", "hours"), [("2025-03", 743), ("2025-11", 721), ("2025-06", 720)])
def test_a_whole_month_is_one(month: str, hours: int) -> None:
    start = pd.Timestamp(f"{month}-01", tz="America/Chicago").tz_convert("UTC")
    assert month_shares(Horizon(start, 60, hours, "America/Chicago")) == [1.0]
    assert month_shares(Horizon(start, 60, hours - 24, "America/Chicago")) == pytest.approx([1.0 - 24 / hours])
