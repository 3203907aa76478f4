"""Ancillary services: reserve capacity sold hour by hour from loads, batteries and engines, deliverable as sold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from microgrid.assets.programs.program import Program
from microgrid.assets.programs.sales import (
    Rights,
    Sale,
    open_meter,
    report_sale,
    room_of,
    sellers,
    site,
    take,
    take_from_meter,
)
from microgrid.assets.shipped import shipped_table
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block, Headroom
from microgrid.schema.quantity import Declared, Profile, quantity


class Product(Declared):
    """What a reserve must be able to do."""

    up: bool = Field(description="true: more injection or less load; false: the reverse")
    duration_h: float = quantity("h", "time for which a call must be sustained", symbol="D_s", gt=0)
    response_min: float = quantity("min", "time in which the sold MW must be reached", symbol=r"\theta_s", gt=0)
    deployed_share: float = quantity(
        "1", "expected share of the sold MW called as energy", symbol=r"\delta_s", ge=0, le=1
    )


class Service(Declared):
    """A product that the campus offers, with its price."""

    product: str | Product = Field(
        description="shipped product (market.product, e.g. ercot_rtcb.contingency) or own fields"
    )
    price_usd_per_mwh: Profile = quantity("$/MWh", "price of a MW held for an hour", symbol=r"\pi_{s,t}", ge=0)
    max_mw: Profile | None = quantity(
        "MW", "most that all providers together can sell; unlimited when absent", default=None, ge=0
    )

    @model_validator(mode="after")
    def _product_is_known(self) -> Self:
        if isinstance(self.product, str) and self.product not in reserve_products():
            raise ValueError(
                f"no product {self.product!r}; choose one of {', '.join(reserve_products())} or give its fields"
            )
        return self

    def terms(self) -> Product:
        """The product itself."""
        return reserve_products()[self.product] if isinstance(self.product, str) else self.product


class Provider(Declared):
    """An asset that sells, what it may sell, and what its energy is worth when it is called."""

    services: tuple[str, ...] = Field((), description="services it may sell; all when empty")
    worth_usd_per_mwh: Profile | None = quantity(
        "$/MWh",
        "what a MWh not consumed (or generated) costs the provider when called up, beside what its own page reckons "
        "(see its description; often 0); required where such calls are expected",
        symbol="v", default=None,
    )  # fmt: skip
    worth_down_usd_per_mwh: Profile = quantity(
        "$/MWh",
        "what a MWh consumed more (or not generated) brings the provider when called down, beside what its own page "
        "reckons; a number of its own, because what stopping costs is seldom what drawing more brings",
        symbol="v^{down}", default=0.0,
    )  # fmt: skip


class AncillaryServices(Program):
    r"""Reserves sold from the headroom that assets offer.

    Every provider must hold the MW (headroom), the energy for the duration of the product, and the speed for its
    response time. At the meter ``import - export - \sum up \ge -export right`` and the reverse for down services, so
    that a call never breaks the interconnection agreement; what other programs sold within the same right or a narrower
    one counts too. Unless the agreement exempts calls, what is sold within a response time also stays within the ramp
    and variation limits of the meter.

    Expected calls, ``\delta_s r``, are energy: they leave the store of a battery or UPS, the work of training jobs, the
    hash of miners and the requests of inference, and burn fuel in engines. Calls down fill the store, do work and hash,
    and save fuel. Both settle at `energy_price_usd_per_mwh`. Charges and peaks are reckoned on the scheduled import.
    """

    example: ClassVar[Mapping[str, object]] = {
        "kind": "ancillary_services", "poi": "poi",
        "services": {
            "spinning": {
                "product": {"up": True, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.0},
                "price_usd_per_mwh": 5.0,
            },
        },
    }  # fmt: skip

    kind: Literal["ancillary_services"] = "ancillary_services"
    services: dict[str, Service] = Field(description="services by name", min_length=1)
    providers: dict[str, Provider] = Field(
        default_factory=dict, description="assets that sell; every asset with headroom when empty"
    )
    export_right_mw: Profile | None = quantity(
        "MW", "export allowed while a service is called; that of the meter when absent", default=None, ge=0
    )
    import_right_mw: Profile | None = quantity(
        "MW", "import allowed while a service is called; that of the meter when absent", default=None, ge=0
    )
    energy_price_usd_per_mwh: Profile = quantity("$/MWh", "price at which called energy settles", default=0.0)
    calls_exempt_from_ramp: bool = Field(
        default=False,
        description="the interconnection agreement exempts calls of the system operator from the meter's ramp and "
        "MW-variation limits",
    )

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for name, provider in self.providers.items():
            unknown = [entry for entry in provider.services if entry not in self.services]
            if unknown:
                raise ValueError(f"provider {name} sells {', '.join(unknown)}, which are not among services")
        bad = [name for name in self.services if "." in name or not name.strip()]
        if bad:
            raise ValueError(f"service names must not be empty or hold a dot: {', '.join(map(repr, bad))}")
        return self

    @model_validator(mode="after")
    def _calls_have_a_cost(self) -> Self:
        terms = {name: service.terms() for name, service in self.services.items()}
        called = [name for name, product in terms.items() if product.up and product.deployed_share > 0]
        if called and not self.providers:
            raise ValueError(
                f"calls of {', '.join(called)} are expected; name the providers and give each worth_usd_per_mwh"
            )
        silent = [
            name
            for name, provider in self.providers.items()
            if provider.worth_usd_per_mwh is None and any(name in (provider.services or called) for name in called)
        ]
        if silent:
            raise ValueError(
                f"providers without worth_usd_per_mwh: {', '.join(silent)}; state what a MWh costs them when "
                f"{', '.join(called)} is called (0 where it costs nothing)"
            )
        return self

    def formulate(self, block: Block) -> None:
        """Write sales by provider and service with the rows that make them deliverable."""
        import_right = None if self.import_right_mw is None else block.profile("import_right_mw")
        export_right = None if self.export_right_mw is None else block.profile("export_right_mw")
        rights = open_meter(block, self.poi, import_right, export_right)
        sold: list[Sale] = []
        for provider in list(self.providers) or sellers(block):
            sales = self._sell(block, provider, room_of(block, provider), rights)
            take(block, provider, sales)
            sold.extend(sales)
        for name, service in self.services.items():
            if service.max_mw is not None:
                _limit_market(block, name, [sale.mw for sale in sold if sale.service == name])
        take_from_meter(block, rights, sold, exempt_from_ramp=self.calls_exempt_from_ramp)
        for sale in sold:
            report_sale(block, sale, [sale.provider, site(self.poi)])

    def _sell(self, block: Block, provider: str, room: Headroom, rights: Rights) -> list[Sale]:
        allowed = self.providers.get(provider, Provider()).services or tuple(self.services)
        sales = []
        for name in allowed:
            product = self.services[name].terms()
            if (room.up if product.up else room.down) is None or (not product.up and rights.down_mw is None):
                continue
            sales.append(self._sale(block, name, provider, room))
            self._pay(block, sales[-1])
        return sales

    def _sale(self, block: Block, name: str, provider: str, room: Headroom) -> Sale:
        service, product = self.services[name], self.services[name].terms()
        most = (
            [float("inf")] * block.horizon.count if service.max_mw is None else block.profile(f"services.{name}.max_mw")
        )
        reach = room.ramp_mw_per_min * product.response_min
        upper = [min(entry, reach) for entry in most]
        mw = block.variable(
            "sold_mw", block.horizon.steps, "MW", "reserve sold", of=f"{name}.{provider}",
            upper=None if min(upper) == float("inf") else upper,
        )  # fmt: skip
        price = block.profile(f"services.{name}.price_usd_per_mwh")
        return Sale(
            name, provider, mw, product.duration_h, price, product.up, product.response_min, product.deployed_share
        )

    def _pay(self, block: Block, sale: Sale) -> None:
        steps, hours, of = block.horizon.steps, block.horizon.hours, f"{sale.service}.{sale.provider}"

        @block.revenue(steps, of=of)
        def capacity_payment(t: int) -> Linear:
            r"""\pi_{s,t} \Delta_t r_{s,i,t}"""
            return (sale.price_usd_per_mwh[t] * hours[t]) * sale.mw[t]

        if sale.deployed_share == 0:
            return
        worth, energy = self._worth(block, sale), block.profile("energy_price_usd_per_mwh")
        sign = 1.0 if sale.up else -1.0

        @block.cost(steps, of=of)
        def deployment(t: int) -> Linear:
            r"""\pm \delta_s \Delta_t (v_i - \lambda_t) r_{s,i,t} , with v^{down}_i downward"""
            return (sign * sale.deployed_share * hours[t] * (worth[t] - energy[t])) * sale.mw[t]

    def _worth(self, block: Block, sale: Sale) -> Sequence[float]:
        """What a called MWh is worth to the provider in the direction of the sale, $/MWh; 0 where it does not say."""
        field = "worth_usd_per_mwh" if sale.up else "worth_down_usd_per_mwh"
        stated = sale.provider in self.providers and getattr(self.providers[sale.provider], field) is not None
        return block.profile(f"providers.{sale.provider}.{field}") if stated else [0.0] * block.horizon.count


def _limit_market(block: Block, name: str, sold: Sequence[Sequence[Linear]]) -> None:
    """Keep what providers sell together to the most that the market takes; one alone is bounded already."""
    most = block.profile(f"services.{name}.max_mw")
    if len(sold) < 2:
        return

    @block.constraint(block.horizon.steps, of=name)
    def market(t: int) -> Relation:
        r"""\sum_i r_{s,i,t} \le \bar r_{s,t}"""
        return total(mw[t] for mw in sold) <= most[t]


@cache
def reserve_products() -> dict[str, Product]:
    """Shipped products as ``market.product``, from `data/reserve_products.toml` (sources and date stand there)."""
    return {
        f"{market}.{name}": Product(**fields)
        for market, products in shipped_table("reserve_products.toml").items()
        for name, fields in products.items()
    }


__all__ = ["AncillaryServices", "Product", "Provider", "Service", "reserve_products"]
