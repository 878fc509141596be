"""Attribution: how much of what was sold a live or a creator brought, and by whose word.

Which of the three a line is, `streams.attribution` decides; `order_entries` books it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from streams.catalogue import USERS
from streams.kpi import FigureSet, Kpi, Measure, Ratio
from streams.scopes import BOUGHT_FROM, WITH_ATTRIBUTION


class Attribution(StrEnum):
    """Who says to which live or creator a line of an order belongs."""

    OWN = "own"
    DIRECT = "direct"
    UNATTRIBUTED = "unattributed"


_SAYS = {
    Attribution.OWN: "that name a live or creator themselves",
    Attribution.DIRECT: "that the buyer's last tap on the product within 24 h gives to a live or creator",
    Attribution.UNATTRIBUTED: "that belong to no live and no creator",
}
_SOURCE = "TikTok Shop: Direct GMV, by the last click on content"
ORDERS: Mapping[Attribution, Measure] = MappingProxyType(
    {
        each: Measure(
            name=f"attribution.orders_{each}", help=f"Orders with lines {says}.", kinds=WITH_ATTRIBUTION
        )
        for each, says in _SAYS.items()
    }
)
GMV: Mapping[Attribution, Measure] = MappingProxyType(
    {
        each: Measure(
            name=f"attribution.gmv_{each}",
            help=f"GMV paid of lines {says}.",
            kinds=WITH_ATTRIBUTION,
            per_currency=True,
        )
        for each, says in _SAYS.items()
    }
)


def keeps_attribution(figures: FigureSet) -> bool:
    """Whether the figure set attributes lines; else they are booked by what they name themselves."""
    return any(measure.name in figures.measures for measure in MEASURES)


MEASURES = (*ORDERS.values(), *GMV.values())
KPIS = (
    *(
        Kpi(
            path=f"attribution.{each}_orders",
            formula=measure,
            unit="count",
            help=measure.help,
            source=_SOURCE,
            kinds=WITH_ATTRIBUTION,
        )
        for each, measure in ORDERS.items()
    ),
    *(
        Kpi(
            path=f"money.*.gmv_{each}_minor",
            formula=measure,
            unit="minor",
            help=measure.help,
            source=_SOURCE,
            kinds=WITH_ATTRIBUTION,
        )
        for each, measure in GMV.items()
    ),
    # A sketch cannot take back a buyer whom a tap gives to another: only lines that name them have buyers.
    Kpi(
        path="money.*.gmv_own_per_buyer_minor",
        formula=Ratio(GMV[Attribution.OWN], USERS["purchase"], whole_units=True),
        unit="minor",
        help="GMV paid over distinct buyers, of lines that name the live or creator themselves.",
        source="Shopify: amount spent per customer",
        kinds=BOUGHT_FROM,
        over_users_range=True,
    ),
)
