"""Charges: what a tariff asks for; every file holds the biller's rule beside the optimiser's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from microgrid.tariffs.charges.adjustments import AnnualMinimum, MinimumBill, Percent
from microgrid.tariffs.charges.charge import Charge, Tag
from microgrid.tariffs.charges.demand import DemandCharge
from microgrid.tariffs.charges.energy import EnergyCharge
from microgrid.tariffs.charges.fixed import Fixed
from microgrid.tariffs.charges.net_metering import NetMeteredEnergy

AnyCharge = Annotated[
    Fixed | EnergyCharge | DemandCharge | Percent | MinimumBill | AnnualMinimum | NetMeteredEnergy,
    Field(discriminator="kind"),
]

__all__ = [
    "AnnualMinimum",
    "AnyCharge",
    "Charge",
    "DemandCharge",
    "EnergyCharge",
    "Fixed",
    "MinimumBill",
    "NetMeteredEnergy",
    "Percent",
    "Tag",
]
