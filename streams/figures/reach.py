"""Reach of brands and merchants: how many people saw something of theirs.

A sketch for each of them and day only: minutes and hours of every merchant would be most of all sketches.
"""

from __future__ import annotations

from schemas.events import ProductImpression, ProductView
from streams.kpi import Distinct, Keeping, Kpi, Measure
from streams.scopes import SELLERS

_OF_SELLERS = frozenset(SELLERS)

REACHED = Measure(
    name="users.reach",
    help="Distinct users who were shown a product of theirs, or opened one (standard error 0.81 %).",
    kinds=_OF_SELLERS,
    keeping=Keeping.SKETCH,
)

DISTINCT = (Distinct("reach", frozenset({ProductImpression, ProductView}), REACHED, frozenset({"1d"})),)
KPIS = (
    Kpi(
        path="reach.users",
        formula=REACHED,
        unit="count",
        help=REACHED.help,
        source="Meta Ads: reach",
        kinds=_OF_SELLERS,
        over_users_range=True,
    ),
)
