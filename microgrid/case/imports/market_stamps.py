"""Days, hours and stamps as market operators write them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from microgrid.case.imports.table import line_of
from microgrid.errors import InvalidInput, Problem


def whole(text: pd.Series, name: str, file: str) -> np.ndarray:
    """Whole numbers of a column, such as hour-ending labels; an error names the row."""
    values = pd.to_numeric(text.str.strip(), errors="coerce")
    if values.isna().any():
        row = int(np.flatnonzero(values.isna().to_numpy())[0])
        raise InvalidInput(
            Problem(f"{name} is not a number", "check the row", name, str(text.iloc[row]), file, line_of(text, row))
        )
    return np.asarray(values.to_numpy(dtype=np.int64))


def dates(text: pd.Series, form: str, file: str) -> pd.DatetimeIndex:
    """Days in the operator's own form, or in ISO 8601 as its interface returns them."""
    parsed = pd.to_datetime(text.str.strip(), format=form, errors="coerce")
    if parsed.isna().any():
        parsed = parsed.fillna(pd.to_datetime(text.str.strip(), format="ISO8601", errors="coerce"))
    _refuse_unreadable(parsed, text, file)
    return pd.DatetimeIndex(parsed)


def pjm_times(text: pd.Series, file: str) -> pd.DatetimeIndex:
    """UTC stamps of Data Miner 2, ``1/31/2025 1:00:00 PM``."""
    return dates(text, "%m/%d/%Y %I:%M:%S %p", file).tz_localize("UTC")


def caiso_times(text: pd.Series, file: str) -> pd.DatetimeIndex:
    """GMT stamps of OASIS, ``2025-01-31T08:00:00-00:00``."""
    parsed = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    _refuse_unreadable(parsed, text, file)
    return pd.DatetimeIndex(parsed)


def _refuse_unreadable(parsed: pd.Series, text: pd.Series, file: str) -> None:
    wrong = np.flatnonzero(parsed.isna().to_numpy())
    if wrong.size:
        row = int(wrong[0])
        rule = f"{wrong.size} time stamps cannot be read"
        raise InvalidInput(
            Problem(rule, "check the format of the file", "time", str(text.iloc[row]), file, line_of(text, row))
        )


__all__ = ["caiso_times", "dates", "pjm_times", "whole"]
