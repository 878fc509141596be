"""The refund rate of a cohort of purchases, with how mature the cohort is.

Refunds come for weeks: the rate of last week's purchases says little until it is old enough, and that of few
orders says nothing.
"""

from __future__ import annotations

from schemas.events import Purchase
from streams.catalogue import EVENT_COUNTS, GMV_PAID, ORDERS_IN_CURRENCY, REFUNDS_OF_PURCHASES
from streams.kpi import Aged, Kpi, Ratio
from streams.scopes import EVERYWHERE

_TAOBAO = "Taobao: refund rate of 30 days; Joom: unknown under a minimum of orders"
# Taobao and TikTok Shop judge refunds over 30 days. Fewer than 50 orders: one return more is two points more.
MATURE_DAYS = 30
LEAST_ORDERS = 50
# Gauges tell the rate by age: days back from and to the last UTC midnight; the oldest purchases are mature.
RATE_BY_AGE = "refunds_of_purchases_per_gmv_paid_by_age"
AGES = ((0, 7), (7, MATURE_DAYS), (MATURE_DAYS, 2 * MATURE_DAYS))

MATURE = Aged(
    name=f"orders_past_{MATURE_DAYS}_days",
    help=f"Paid orders that are more than {MATURE_DAYS} days old.",
    kinds=EVERYWHERE,
    of=EVENT_COUNTS[Purchase],
    age_ms=MATURE_DAYS * 86_400_000,
    border_ms=3_600_000,
)

MEASURES = (MATURE,)
RATE = Kpi(
    path="money.*.refunds_of_purchases_per_gmv_paid",
    formula=Ratio(REFUNDS_OF_PURCHASES, GMV_PAID, least=(ORDERS_IN_CURRENCY, LEAST_ORDERS)),
    unit="ratio",
    help=f"Refund rate: what went back of these purchases over their GMV; of {LEAST_ORDERS} orders on.",
    source=_TAOBAO,
    kinds=EVERYWHERE,
)
KPIS = (
    RATE,
    Kpi(
        path=f"ratios.orders_past_{MATURE_DAYS}_days_per_orders",
        formula=Ratio(MATURE, EVENT_COUNTS[Purchase]),
        unit="ratio",
        help=f"Maturity of the refund rate: share of these orders that are over {MATURE_DAYS} days old.",
        source=_TAOBAO,
        kinds=EVERYWHERE,
        takes_days=True,
    ),
)


def age_of(near: int, far: int) -> str:
    """How an age is written, from its days."""
    return f"{near}d-{far}d"
