"""Who gets what: shoppers, creators, sellers and the platform beside each other, and what must not suffer.

Figures of the last 24 hours, which are exported of the shop and its platforms; nobody is paged by these.
"""

from __future__ import annotations

from typing import get_args

from dashboards.grafana_panels import (
    AMOUNT,
    CONTRACT,
    COUNT,
    FIGURES,
    RATIO,
    Board,
    Kind,
    Panel,
    Query,
    Row,
    kpi_lines,
    title_of,
)
from dashboards.grafana_parts import CURRENCY, MARKS, SHOPS, TRUST
from dashboards.grafana_queries import each, figure, money
from dashboards.uids import STAKEHOLDERS
from schemas.fields import Entry
from streams.figures.refund_rate import AGES, LEAST_ORDERS, RATE_BY_AGE, age_of
from streams.scopes import SELLERS

_DAY = {"window": "24h"}
_SHOP = {"scope_kind": "all", **_DAY}
_PLATFORMS = {"scope_kind": "platform", **_DAY}
_OF_DAYS = "Of UTC days that are over: it moves once a day. The apps most used in these 30 days."
_OF_24_H = "A sum of 24 hours at each point, read once a minute."


def _by_platform(path: str, pitfall: str = _OF_24_H) -> Panel:
    return kpi_lines(path, "24 h, by platform", pitfall, "scope", **_PLATFORMS)


def _by_app(path: str) -> Panel:
    return kpi_lines(path, "by app", _OF_DAYS, "scope", scope_kind="app", **_DAY)


def _by_seller(path: str, kind: str) -> Panel:
    of = f"{_OF_24_H} The best-selling of the day, and all others as `other`."
    return kpi_lines(path, f"24 h, by {kind}", of, "scope", scope_kind=kind, **_DAY)


def _together(title: str, means: str, unit: str, *paths: str) -> Panel:
    """Figures of the whole shop as lines of one panel."""
    return Panel(
        kind=Kind.LINES,
        title=title,
        means=f"{means} {_OF_24_H}",
        more=FIGURES,
        unit=unit,
        queries=tuple(Query(figure(path, **_SHOP), title_of(path.replace(".*.", "."))) for path in paths),
        low=0,
    )


_CREATORS = Panel(
    kind=Kind.LINES,
    title="Creators who sell, who go live, who stopped, 7 days",
    means="Of the last seven whole UTC days against the seven before; who rests a week has stopped. "
    "/api/v1/creators names them, and tells of 30 days.",
    more=f"{CONTRACT}#creators",
    unit=COUNT,
    queries=tuple(
        Query(each(name, platform="all", days="7d"), called)
        for name, called in (
            ("creators_with_a_sale", "with a sale"),
            ("creators_with_a_live", "with a live"),
            ("creators_who_stopped_selling", "stopped selling"),
            ("creators_who_stopped_going_live", "stopped going live"),
        )
    ),
    low=0,
)
_EARNINGS = Panel(
    kind=Kind.LINES,
    title="A creator's earnings in the middle, 7 days",
    means="In $currency: the median commission of creators with a sale in seven whole UTC days, by platform. "
    "Half of them earn less. It falls with refunds until commission is final.",
    more=f"{CONTRACT}#creators",
    unit=AMOUNT,
    queries=(Query(money("creator_earnings_median_minor", "platform", days="7d"), "{{platform}}"),),
    low=0,
)
_SHORT = Panel(
    kind=Kind.LINES,
    title="Products that run short, and taps in vain",
    means="Of the products most tapped and best-selling in 30 minutes: how many are low, out, oversold, and "
    "how often somebody tapped one while nothing was left. /api/v1/stock names them.",
    more=f"{CONTRACT}#stock",
    unit=COUNT,
    queries=(
        Query(each("products_running_short", "state", window="30m"), "{{state}}"),
        Query(each("sold_out_tag_taps", window="30m"), "taps in vain"),
    ),
    low=0,
)

_REFUNDS_BY_AGE = Panel(
    kind=Kind.LINES,
    title="Refund rate by age of the purchases, $currency",
    means="What went back over GMV, of purchases of so many whole days ago in the whole shop, from "
    f"{LEAST_ORDERS} orders on. Of young ones more will come back: compare each age with itself.",
    more=f"{CONTRACT}#after-the-purchase",
    unit=RATIO,
    queries=(Query(each(RATE_BY_AGE, "age", scope_kind="all", currency="$currency"), "{{age}}"),),
    low=0,
)
_MATURE_REFUNDS = Panel(
    kind=Kind.LINES,
    title="Refund rate of mature purchases by platform, $currency",
    means="Of the thirty days of purchases that ended thirty days ago: what had the time to come back has.",
    more=f"{CONTRACT}#after-the-purchase",
    unit=RATIO,
    queries=(
        Query(
            each(
                RATE_BY_AGE,
                "scope",
                scope_kind="platform",
                age=age_of(*AGES[-1]),
                currency="$currency",
            ),
            "{{scope}}",
        ),
    ),
    low=0,
)

BOARD = Board(
    uid=STAKEHOLDERS,
    title="Shop Pulse: stakeholders",
    means="Does each get what they come for: shoppers, creators, sellers, the platform? And at what cost?",
    since="now-7d",
    variables=(*SHOPS, CURRENCY),
    rows=(
        Row("Can I trust this?", TRUST),
        Row(
            "Shoppers",
            (
                _by_platform("ratios.purchases_per_view_sessions", "Sessions of the last hours still go on."),
                _by_platform("ratios.repeat_buyers_per_buyers"),
                _by_platform("reviews.mean_rating"),
                _by_platform(
                    "ratios.on_time_per_delivered_orders", "Of today's purchases few are delivered."
                ),
            ),
        ),
        Row(
            "Creators",
            (
                _CREATORS,
                _EARNINGS,
                _by_platform("commission.*.estimated_minor"),
                _by_platform("in_stream.orders_per_order"),
            ),
        ),
        Row(
            "Brands and merchants",
            (
                *(_by_seller("reach.users", kind) for kind in SELLERS),
                *(_by_seller("events.tag_tap", kind) for kind in SELLERS),
                *(_by_seller("money.*.gmv_net_minor", kind) for kind in SELLERS),
                _together(
                    "Seen and tapped, 24 h",
                    "Product cards shown, products opened, tags tapped, in the whole shop.",
                    COUNT,
                    "events.product_impression",
                    "events_by_type.product_view",
                    "events.tag_tap",
                ),
                _by_platform("ratios.orders_per_tag_tap"),
                _by_platform("money.*.recommended_gmv_per_gmv_paid"),
            ),
        ),
        Row(
            "The platform",
            (
                _together(
                    "Take in $currency, 24 h",
                    "Fees, affiliate commission and advertising of the whole shop.",
                    AMOUNT,
                    "take.*.fees_minor",
                    "take.*.commission_minor",
                    "take.*.ads_minor",
                ),
                _by_platform("take.*.total_minor"),
                _by_app("active_users.day"),
                _by_app("active_users.month"),
            ),
        ),
        Row(
            "Mini-programs and sharing",
            (
                _together(
                    "Opens of mini-programs, 24 h",
                    "By what opened them.",
                    COUNT,
                    *(f"entries.{entry}" for entry in get_args(Entry)),
                ),
                _by_platform("virality.k_factor"),
                _by_platform("virality.new_users_per_sharer"),
                _by_platform("mini_program.actions_per_open"),
            ),
        ),
        Row(
            "What must not suffer",
            (
                _by_platform("ratios.cart_abandonment_per_add_to_cart_sessions"),
                _REFUNDS_BY_AGE,
                _MATURE_REFUNDS,
                _by_platform("payments.failure_rate", "By attempt; one order may have several."),
                _by_platform("ratios.cancelled_per_orders"),
                _SHORT,
            ),
        ),
    ),
    marks=MARKS,
)
