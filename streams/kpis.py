"""Every KPI and every set of figures, declared once over the measures of the catalogue.

What all stories share is declared here; what belongs to one, in `figures`.
"""

from __future__ import annotations

from types import MappingProxyType

from schemas.events import Purchase
from streams.catalogue import (
    ACCEPTED,
    ATTEMPTS,
    BUYER_PAID,
    CHECKOUT_STEPS,
    COMMISSION,
    COVERED_MS,
    DEAD_LETTERS,
    DUPLICATES,
    EVENT_COUNTS,
    EXCLUDED,
    GMV_PAID,
    ITEMS,
    LATE,
    MISPLACED,
    ORDERS_IN_CURRENCY,
    PAY_AUTHORISED,
    PAY_DECLINED,
    PAY_ERRORS,
    PAY_PENDING,
    PEAK_VIEWERS,
    REFUNDS,
    REFUNDS_OF_PURCHASES,
    SESSION_STEPS,
    SESSIONS_EXPIRED,
    TIME_TO_CONVERT,
    UNATTRIBUTED_REFUNDS,
    USERS,
    WATCH_MS,
    events,
)
from streams.figures import MEASURES, STORY_KPIS
from streams.kpi import FigureSet, Formula, Kpi, Measure, Quantile, Ratio, Sum, Whole, measures_of
from streams.scopes import (
    BOUGHT_FROM,
    DUE,
    EVENT_SCOPES,
    EVERYWHERE,
    LINE_SCOPES,
    LIVE,
    ON_ORDERS,
    ON_PIPELINE,
    ORDER_SCOPES,
    PAYMENT_REASON,
    PIPELINE,
    PLATFORM_CREATOR,
    PRODUCT_SKU,
    REFUND_REASON,
    ROOM,
    RULE_ARM,
    WITH_SESSIONS,
    WITH_UNKNOWN_ORDERS,
)

_ORDERS = EVENT_COUNTS[Purchase]
_VIEWS = events("view", "live_join", "mini_program_open")
_OURS = "CONTRACT: events"
_GA4 = "GA4 ecommerce events"
_TIKTOK = "TikTok Shop: GMV by payment time"


def _kpi(  # noqa: PLR0917 - a declaration names each part, in one order
    path: str,
    formula: Formula,
    unit: str,
    help_text: str,
    source: str,
    kinds: frozenset[str] = EVERYWHERE,
    over_users_range: bool = False,
) -> Kpi:
    return Kpi(
        path=path,
        formula=formula,
        unit=unit,
        help=help_text,
        source=source,
        kinds=kinds,
        over_users_range=over_users_range,
    )


def _reached(step: int, whole: int) -> Ratio:
    return Ratio(SESSION_STEPS[step], SESSION_STEPS[whole])


def _abandoned(reached: Measure, bought: Measure) -> Ratio:
    return Ratio(Sum((reached,), (bought,)), reached)


_FUNNEL = "PostHog, GA4: ordered funnel within a window"
_ABANDONMENT = "Baymard: cart abandonment"
_ON_LIVE = frozenset({LIVE.name})


KPIS = (
    _kpi("events.view", _VIEWS, "count", "Views, live joins and mini-program opens.", _OURS),
    _kpi("events.product_impression", events("product_impression"), "count", "Product cards shown.", _GA4),
    _kpi("events.tag_tap", events("tag_tap"), "count", "Taps on product tags.", "GA4 select_item"),
    _kpi("events.add_to_cart", events("add_to_cart"), "count", "Products put into carts.", _GA4),
    _kpi("events.begin_checkout", events("begin_checkout"), "count", "Checkouts begun.", _GA4),
    _kpi("events.purchase", _ORDERS, "count", "Paid orders.", _GA4),
    _kpi("orders", _ORDERS, "count", "Distinct paid orders with a line in the scope.", _OURS),
    _kpi("items", ITEMS, "count", "Quantity of the scope's paid lines.", _OURS),
    _kpi("money.*.gmv_paid_minor", GMV_PAID, "minor", GMV_PAID.help, _TIKTOK),
    _kpi("money.*.buyer_paid_minor", BUYER_PAID, "minor", BUYER_PAID.help, _OURS),
    _kpi("money.*.refunds_minor", REFUNDS, "minor", REFUNDS.help, _OURS),
    _kpi(
        "money.*.refunds_of_purchases_minor",
        REFUNDS_OF_PURCHASES,
        "minor",
        REFUNDS_OF_PURCHASES.help,
        "WeChat pure_pay_gmv",
    ),
    _kpi(
        "money.*.gmv_net_minor",
        Sum((GMV_PAID,), (REFUNDS_OF_PURCHASES,)),
        "minor",
        "GMV paid less the refunds of these purchases.",
        "WeChat pure_pay_gmv",
    ),
    _kpi("money.*.commission_minor", COMMISSION, "minor", COMMISSION.help, "TikTok affiliate commission"),
    _kpi(
        "money.*.unattributed_refunds_minor",
        UNATTRIBUTED_REFUNDS,
        "minor",
        UNATTRIBUTED_REFUNDS.help,
        _OURS,
        WITH_UNKNOWN_ORDERS,
    ),
    _kpi(
        "money.*.aov_minor",
        Ratio(GMV_PAID, ORDERS_IN_CURRENCY, whole_units=True),
        "minor",
        "Average order value: the scope's GMV paid over the scope's orders.",
        "GA4 average purchase revenue",
    ),
    _kpi(
        "money.*.gmv_per_1000_view_events_minor",
        Ratio(GMV_PAID, _VIEWS, scale=1000, whole_units=True),
        "minor",
        "GMV paid per 1 000 view events (GPM).",
        "TikTok Watch GPM",
    ),
    _kpi(
        "ratios.tag_taps_per_view_events",
        Ratio(events("tag_tap"), _VIEWS),
        "ratio",
        "Tag taps over view events.",
        "TikTok LIVE CTR",
    ),
    _kpi(
        "ratios.orders_per_tag_tap",
        Ratio(_ORDERS, events("tag_tap")),
        "ratio",
        "Orders over tag taps (CTOR).",
        "TikTok CTOR",
    ),
    _kpi(
        "ratios.purchases_per_view_sessions",
        _reached(3, 0),
        "ratio",
        "Sessions that purchased over sessions that viewed (conversion).",
        _FUNNEL,
    ),
    _kpi(
        "ratios.tag_taps_per_view_sessions",
        _reached(1, 0),
        "ratio",
        "Sessions that tapped a tag over sessions that viewed.",
        _FUNNEL,
    ),
    _kpi(
        "ratios.add_to_carts_per_tag_tap_sessions",
        _reached(2, 1),
        "ratio",
        "Sessions that went on to a cart or checkout over sessions that tapped a tag.",
        _FUNNEL,
    ),
    _kpi(
        "ratios.purchases_per_add_to_cart_sessions",
        _reached(3, 2),
        "ratio",
        "Sessions that purchased over sessions that reached a cart or checkout.",
        _FUNNEL,
    ),
    _kpi(
        "ratios.cart_abandonment_per_add_to_cart_sessions",
        _abandoned(SESSION_STEPS[2], SESSION_STEPS[3]),
        "ratio",
        "Share of the sessions with a cart or checkout that did not purchase.",
        _ABANDONMENT,
    ),
    _kpi(
        "ratios.checkout_abandonment_per_begin_checkout_sessions",
        _abandoned(CHECKOUT_STEPS[0], CHECKOUT_STEPS[3]),
        "ratio",
        "Share of the sessions that began a checkout and did not purchase.",
        _ABANDONMENT,
    ),
    _kpi(
        "ratios.repeat_buyers_per_buyers",
        Ratio(USERS["repeat_purchase"], USERS["purchase"]),
        "ratio",
        "Share of the buyers who had bought before.",
        "Shopify: returning customer rate",
        over_users_range=True,
    ),
    *(
        _kpi(measure.name, measure, "count", measure.help, _FUNNEL, WITH_SESSIONS)
        for measure in (*SESSION_STEPS, *CHECKOUT_STEPS)
    ),
    *(
        _kpi(
            f"time_to_convert.p{percent}_seconds",
            Quantile(tuple(TIME_TO_CONVERT.items()), percent / 100),
            "seconds",
            f"Time from a session's first view to its purchase: {percent} % were faster.",
            _FUNNEL,
            WITH_SESSIONS,
        )
        for percent in (50, 90)
    ),
    *(
        _kpi(measure.name, measure, "count", measure.help, _OURS, measure.kinds, over_users_range=True)
        for measure in USERS.values()
    ),
    _kpi(
        "money.*.gmv_per_buyer_minor",
        Ratio(GMV_PAID, USERS["purchase"], whole_units=True),
        "minor",
        "GMV paid over distinct buyers (of any currency), both over the range of `users`.",
        "Shopify: amount spent per customer",
        EVERYWHERE - BOUGHT_FROM,
        over_users_range=True,
    ),
    _kpi("viewers.peak", PEAK_VIEWERS, "count", PEAK_VIEWERS.help, "TikTok PCU", _ON_LIVE),
    _kpi(
        "viewers.average",
        Ratio(WATCH_MS, COVERED_MS),
        "count",
        "Viewers on average over the time that heartbeats cover.",
        "Bitmovin ACU",
        _ON_LIVE,
    ),
    _kpi(
        "viewers.watch_seconds",
        Whole(WATCH_MS, 1_000),
        "seconds",
        WATCH_MS.help,
        "Volcengine: watch time",
        _ON_LIVE,
    ),
    _kpi("payments.attempts", ATTEMPTS, "count", ATTEMPTS.help, _OURS, ON_ORDERS),
    _kpi("payments.authorised", PAY_AUTHORISED, "count", PAY_AUTHORISED.help, _OURS, ON_ORDERS),
    _kpi("payments.declined", PAY_DECLINED, "count", PAY_DECLINED.help, _OURS, ON_ORDERS),
    _kpi("payments.errors", PAY_ERRORS, "count", PAY_ERRORS.help, _OURS, ON_ORDERS),
    _kpi("payments.pending", PAY_PENDING, "count", PAY_PENDING.help, _OURS, ON_ORDERS),
    _kpi(
        "payments.success_rate",
        Ratio(PAY_AUTHORISED, ATTEMPTS),
        "ratio",
        "Authorised attempts over all attempts; one still pending is not a success.",
        _OURS,
        ON_ORDERS,
    ),
    *(
        _kpi(
            f"events_by_type.{measure.name.removeprefix('events.')}",
            measure,
            "count",
            measure.help,
            _OURS,
            EVERYWHERE | measure.kinds,
        )
        for measure in EVENT_COUNTS.values()
    ),
    *STORY_KPIS,
)

# How far the figures can be trusted: pipeline-wide, over the window's ingest time.
QUALITY = (
    _kpi("quality.accepted", ACCEPTED, "count", ACCEPTED.help, _OURS, ON_PIPELINE),
    _kpi("quality.duplicates", DUPLICATES, "count", DUPLICATES.help, _OURS, ON_PIPELINE),
    _kpi("quality.late", LATE, "count", LATE.help, _OURS, ON_PIPELINE),
    _kpi(
        "quality.dead_letters",
        Sum(tuple(DEAD_LETTERS.values())),
        "count",
        "Records in the dead-letter topic.",
        _OURS,
        ON_PIPELINE,
    ),
    _kpi("quality.excluded", EXCLUDED, "count", EXCLUDED.help, _OURS, ON_PIPELINE),
    _kpi("quality.sessions_expired", SESSIONS_EXPIRED, "count", SESSIONS_EXPIRED.help, _OURS, ON_PIPELINE),
    _kpi("quality.misplaced", MISPLACED, "count", MISPLACED.help, _OURS, ON_PIPELINE),
)

_REASONS = (PAYMENT_REASON, REFUND_REASON)
_ALL_SIZES = frozenset({"10s", "1m", "1h", "1d"})
FIGURE_SETS = MappingProxyType(
    {
        "all": FigureSet(
            name="all",
            kinds=(
                *(*ORDER_SCOPES, *LINE_SCOPES, *EVENT_SCOPES),
                *(PRODUCT_SKU, PLATFORM_CREATOR, *_REASONS, ROOM, DUE, RULE_ARM, PIPELINE),
            ),
            sizes=_ALL_SIZES,
            measures=frozenset(measure.name for measure in MEASURES),
        ),
        # What the benchmark compares with other engines: counts by (live, type, minute), GMV by (live,
        # minute).
        "funnel-gmv": FigureSet(
            name="funnel-gmv",
            kinds=(LIVE, PIPELINE),
            sizes=frozenset({"1m"}),
            measures=frozenset(
                measure.name for measure in (*EVENT_COUNTS.values(), GMV_PAID) if LIVE.name in measure.kinds
            )
            | frozenset(measure.name for measure in MEASURES if PIPELINE.name in measure.kinds),
        ),
    }
)


def check() -> None:
    """Raises ValueError if the declarations contradict each other; run on import, so a typo fails early."""
    names = [measure.name for measure in MEASURES]
    paths = [kpi.path for kpi in (*KPIS, *QUALITY)]
    doubles = {name for name in names if names.count(name) > 1} | {p for p in paths if paths.count(p) > 1}
    if doubles:
        raise ValueError(f"declared twice: {sorted(doubles)}")
    for kpi in (*KPIS, *QUALITY):
        unknown = {measure.name for measure in measures_of(kpi.formula)} - set(names)
        if unknown:
            raise ValueError(f"{kpi.path} reads measures that are not listed: {sorted(unknown)}")
        if kpi.per_currency is not (".*." in kpi.path):
            raise ValueError(f"{kpi.path}: figures per currency stand under money.* or another group.*")


check()
