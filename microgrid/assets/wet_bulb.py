"""Wet-bulb temperature of air: what evaporation can cool water down to."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

Values = np.ndarray


def wet_bulb_c(dry_bulb_c: ArrayLike, relative_humidity_percent: ArrayLike) -> Values:
    """Wet-bulb temperature in degC at sea-level pressure, same shape as the inputs.

    Fit of Stull (2011), J. Appl. Meteorol. Climatol. 50, 2267, https://doi.org/10.1175/JAMC-D-11-0143.1: within
    -1.0 and +0.65 K for 5 to 99 % humidity and -20 to 50 degC, worse where it is both cold and dry. Humidity is held to
    that range, and no result lies above the dry bulb.
    """
    dry = np.asarray(dry_bulb_c, dtype=np.float64)
    humid = np.clip(np.asarray(relative_humidity_percent, dtype=np.float64), 5.0, 99.0)
    wet = (
        dry * np.arctan(0.151977 * np.sqrt(humid + 8.313659))
        + np.arctan(dry + humid)
        - np.arctan(humid - 1.676331)
        + 0.00391838 * humid**1.5 * np.arctan(0.023101 * humid)
        - 4.686035
    )
    return np.asarray(np.minimum(wet, dry))


__all__ = ["wet_bulb_c"]
