"""Billing determinants: one number a billing cycle each; every file holds the biller's rule beside the optimiser's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from microgrid.tariffs.determinants.billing_demand import Constant, Excess, MaxOf, MinOf, SumOf
from microgrid.tariffs.determinants.coincident import Coincident
from microgrid.tariffs.determinants.demand import Demand
from microgrid.tariffs.determinants.energy import Energy
from microgrid.tariffs.determinants.reactive import PowerFactorDemand, ReactiveDemand

Determinant = Annotated[
    Energy | Demand | MaxOf | MinOf | SumOf | Excess | Constant | PowerFactorDemand | ReactiveDemand | Coincident,
    Field(discriminator="kind"),
]

__all__ = [
    "Coincident",
    "Constant",
    "Demand",
    "Determinant",
    "Energy",
    "Excess",
    "MaxOf",
    "MinOf",
    "PowerFactorDemand",
    "ReactiveDemand",
    "SumOf",
]
