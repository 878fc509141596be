"""The on-call overview: can the figures be trusted, is the shop well, and where is it not."""

from __future__ import annotations

from dashboards.alerts_business import GMV_TO
from dashboards.grafana_panels import (
    AMOUNT,
    BLUE,
    COUNT,
    FIGURES,
    GREEN,
    NONE_NOW,
    RATIO,
    RED,
    RUNBOOK,
    SECONDS,
    Board,
    Kind,
    Look,
    Panel,
    Query,
    Row,
    kpi_column,
    kpi_lines,
)
from dashboards.grafana_parts import (
    ALERTS,
    CURRENCY,
    MARKS,
    PAGE,
    SHOPS,
    STEP,
    TRUST,
    USUAL,
    USUAL_LOOK,
    conversion,
    session_funnel,
    watch_states,
    windows_of,
)
from dashboards.grafana_queries import age, each, money
from dashboards.uids import OVERVIEW

ALL = {"scope_kind": "all"}
WINDOW = {"window": "30m"}
CHOSEN = {"step": "$step", "window": "$window"}

_DROPS = Panel(
    kind=Kind.TABLE,
    title="Drops that hold now",
    means="Where fewer sessions go on than usual, for sure: since when and what it has cost so far, as the "
    "read service reckons it (missing orders, times the usual order). Losses are estimates; money in "
    "$currency.",
    more=f"{RUNBOOK}#shoppulseconversiondrop",
    unit=COUNT,
    queries=(
        Query(age(each("drop_since_timestamp_seconds", "scope_kind", "scope", "step")), "For", SECONDS),
        Query(each("drop_lost_orders", "scope_kind", "scope", "step"), "Orders lost"),
        Query(each("drop_lost_orders_per_minute", "scope_kind", "scope", "step"), "Orders lost a minute"),
        Query(
            money("drop_lost_minor_per_minute", "scope_kind", "scope", "step"),
            "Money lost a minute",
            AMOUNT,
        ),
    ),
    columns={"scope_kind": "Kind", "scope": "Scope", "step": "Step"},
    width=8,
    empty=NONE_NOW,
)
_CAUSES = Panel(
    kind=Kind.TABLE,
    title="Where drops come from",
    means="Which gateway, platform, product, creator or app version explains a drop: its share of the loss "
    "beyond what it would lose if all fell alike. A hint where to look first, not a proof.",
    more=f"{RUNBOOK}#shoppulseconversiondrop",
    unit=RATIO,
    queries=(Query(each("drop_cause_share", "scope", "step", "rank", "cause"), "Share of the loss"),),
    columns={"scope": "Scope", "step": "Step", "rank": "Rank", "cause": "Cause"},
    width=8,
    empty=NONE_NOW,
)
_FUNNEL = session_funnel(
    "Session funnel, 30 min",
    "Sessions by their first view in the last 30 minutes, and how far they came. Later steps still "
    "grow: sessions that began a minute ago have not had their time. Compare with the panel beside it.",
    6,
    **ALL,
    **WINDOW,
)
_GMV = Panel(
    kind=Kind.LINES,
    title="GMV of the last hour and usual",
    means="In $currency: what was paid for goods in the 60 minutes before the age of the figures, against "
    "what is usual: the second lowest of the same hour in the four weeks before, at most the median of the "
    "seven days before; hours of incidents are left out. A holiday has no usual hour.",
    more=f"{RUNBOOK}#shoppulsegmvbelowbaseline",
    unit=AMOUNT,
    queries=(
        Query(money("gmv_last_hour_minor", **ALL), "last hour"),
        Query(money("gmv_baseline_minor", **ALL), USUAL),
        # A page is near below it: the alert asks for orders, too.
        Query(money("gmv_baseline_minor", **ALL) * GMV_TO, PAGE),
    ),
    looks={"last hour": Look(GREEN), USUAL: USUAL_LOOK, PAGE: Look(RED, dashed=True)},
    width=9,
    low=0,
)
_ORDERS = Panel(
    kind=Kind.LINES,
    title="Orders of the last hour and usual",
    means="Paid orders of the 60 minutes before the age of the figures, and how many are usual. Orders tell "
    "what GMV hides: one large order can make up for fifty that are missing.",
    more=f"{RUNBOOK}#shoppulsegmvbelowbaseline",
    unit=COUNT,
    queries=(
        Query(each("orders_last_hour", **ALL), "last hour"),
        Query(each("orders_baseline", **ALL), USUAL),
    ),
    looks={"last hour": Look(GREEN), USUAL: Look(BLUE, dashed=True)},
    low=0,
)
_REFUNDS = Panel(
    kind=Kind.LINES,
    title="Refunds over GMV",
    means="Refunds booked in 24 hours over the GMV of these 24 hours, and the median of the 28 days before. "
    "Refunds are of older orders: after a great day the ratio rises with no fault of today.",
    more=f"{RUNBOOK}#shoppulserefundratehigh",
    unit=RATIO,
    queries=(
        Query(each("refund_last_day_ratio", currency="$currency", **ALL), "last day"),
        Query(each("refund_baseline_ratio", currency="$currency", **ALL), USUAL),
    ),
    looks={"last day": Look(GREEN), USUAL: Look(BLUE, dashed=True)},
    low=0,
)


def _by(kind: str, name: str) -> tuple[Panel, ...]:
    labels = {"scope_kind": kind, **WINDOW}
    columns = (
        "events.view",
        "sessions.view",
        "orders",
        "money.*.gmv_paid_minor",
        "ratios.purchases_per_view_sessions",
        "ratios.cart_abandonment_per_add_to_cart_sessions",
    )
    return (
        Panel(
            kind=Kind.TABLE,
            title=f"By {name}, 30 min",
            means=f"The last 30 minutes by {name}. Orders count on the {name} of the order, views on that of "
            "the view; GMV in $currency. The youngest sessions have not had time to purchase: their part "
            "will rise.",
            more=FIGURES,
            unit=COUNT,
            queries=tuple(kpi_column(path, "scope", **labels) for path in columns),
            columns={"scope": name.capitalize()},
            width=24,
        ),
        kpi_lines("orders", f"30 min, by {name}", "A sum of 30 minutes at each point.", "scope", **labels),
        kpi_lines(
            "ratios.purchases_per_view_sessions",
            f"30 min, by {name}",
            "Not what pages: the youngest sessions have not had their time yet, so bursts of views press it.",
            "scope",
            **labels,
        ),
    )


BOARD = Board(
    uid=OVERVIEW,
    title="Shop Pulse: overview",
    means="Is the shop broken, or only what looks at it? From the top: trust, alerts, the shop, its parts.",
    since="now-6h",
    variables=(*SHOPS, CURRENCY, STEP, windows_of("$step", "all")),
    rows=(
        Row("Can I trust this?", TRUST),
        Row("What is wrong?", (ALERTS, _DROPS, _CAUSES)),
        Row(
            "The shop",
            (
                _FUNNEL,
                conversion("Conversion now and expected", "Of the whole shop.", 9, **ALL, **CHOSEN),
                _GMV,
                _ORDERS,
                _REFUNDS,
                watch_states("What can be watched", 24, scope_kind="~all|platform"),
            ),
        ),
        Row("By platform", _by("platform", "platform")),
        Row("By surface", _by("surface", "surface")),
    ),
    marks=MARKS,
)
