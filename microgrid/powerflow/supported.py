"""What of a pandapower net the batched power flow takes over; what it does not model is refused by its name."""

from __future__ import annotations

from typing import Any

from microgrid.errors import InvalidInput
from microgrid.network.modelled import MODELLED, element_problems


def check_supported(net: Any) -> None:
    """Raise InvalidInput that names every element in service which the power flow would have to ignore."""
    problems = list(element_problems(net))
    if problems:
        raise InvalidInput(problems)


def model_options(net: Any) -> dict[str, Any]:
    """Modelling options of the user's `user_pf_options` that change the equations; the rest only changes the solver."""
    options = getattr(net, "user_pf_options", {}) or {}
    wanted = (
        "trafo_model",
        "trafo3w_losses",
        "switch_rx_ratio",
        "neglect_open_switch_branches",
        "consider_line_temperature",
    )
    return {name: options[name] for name in wanted if name in options}


__all__ = ["MODELLED", "check_supported", "model_options"]
