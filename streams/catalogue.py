"""The catalogue: every scope, measure and KPI, declared once.

Redis fields, answers, gauges and the reference are derived from this file; to add a figure, add it here
(and, if it is neither a count of events nor an amount that `fold` books already, book it there).
Definitions and their sources: docs/contract.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from schemas.codec import Reason
from schemas.events import EVENT_TYPES, Event, Payment, Purchase, SourceHeartbeat, event_type
from streams.kpi import FigureSet, Kpi, Level, Measure, Ratio, ScopeKind, Sum, measures_of

ALL = ScopeKind("all", None, Level.ORDER)
PLATFORM = ScopeKind("platform", "platform", Level.ORDER)
SURFACE = ScopeKind("surface", "surface", Level.ORDER)
GATEWAY = ScopeKind("gateway", "gateway", Level.ORDER)
ORDER_SCOPES = (
    ALL,
    PLATFORM,
    SURFACE,
    GATEWAY,
    ScopeKind("mini_program", "mini_program_id", Level.ORDER),
    ScopeKind("country", "country", Level.ORDER),
    ScopeKind("client_os", "client_os", Level.ORDER),
    ScopeKind("app_version", "app_version", Level.ORDER),
)
LINE_SCOPES = (
    ScopeKind("product", "product_id", Level.LINE),
    ScopeKind("creator", "creator_id", Level.LINE),
    ScopeKind("live", "live_id", Level.LINE),
    ScopeKind("brand", "brand_id", Level.LINE),
    ScopeKind("merchant", "merchant_id", Level.LINE),
    ScopeKind("affiliate", "affiliate_id", Level.LINE),
)
# The pipeline's own counts: by topic and ingest time, never a scope that a reader can name.
PIPELINE = ScopeKind("pipeline", None, Level.INTERNAL)
SCOPES = MappingProxyType({kind.name: kind for kind in (*ORDER_SCOPES, *LINE_SCOPES)})

EVERYWHERE = frozenset(SCOPES)
ON_ORDERS = frozenset(kind.name for kind in ORDER_SCOPES)
ON_PIPELINE = frozenset({PIPELINE.name})
# No shopper event but a payment and a purchase names a gateway.
ON_TRAFFIC = EVERYWHERE - {GATEWAY.name}
WITH_UNKNOWN_ORDERS = frozenset({ALL.name, PLATFORM.name})

EVENT_COUNTS: Mapping[type[Event], Measure] = MappingProxyType(
    {
        cls: Measure(
            name=f"events.{event_type(cls)}",
            help=f"Accepted events of type {event_type(cls)}, by event time.",
            kinds=EVERYWHERE if cls in (Payment, Purchase) else ON_TRAFFIC,
        )
        for cls in EVENT_TYPES
        if cls is not SourceHeartbeat
    }
)


def events(*names: str) -> Sum:
    """The sum of the event counts of these types. Raises KeyError for a type that does not exist."""
    by_name = {measure.name: measure for measure in EVENT_COUNTS.values()}
    return Sum(tuple(by_name[f"events.{name}"] for name in names))


def _money(name: str, help_text: str, kinds: frozenset[str] = EVERYWHERE) -> Measure:
    return Measure(name=name, help=help_text, kinds=kinds, per_currency=True)


ORDERS_IN_CURRENCY = _money("orders", "Distinct paid orders with a line in the scope.")
ITEMS = Measure(name="items", help="Quantity of the scope's paid lines.", kinds=EVERYWHERE)
GMV_PAID = _money("gmv_paid", "Line values (quantity x unit price - seller discount) of paid orders.")
BUYER_PAID = _money("buyer_paid", "What buyers paid: line values - platform discount + tax + shipping.")
REFUNDS = _money("refunds", "Refunded goods, at the time of the refund.")
REFUNDS_OF_PURCHASES = _money("refunds_of_purchases", "Refunded goods, at the time of their purchase.")
UNATTRIBUTED_REFUNDS = _money("unattributed_refunds", "Refunds whose order never came.", WITH_UNKNOWN_ORDERS)
COMMISSION = _money("commission", "Affiliate commission on what is left of the lines, at purchase time.")


def _payments(name: str, help_text: str) -> Measure:
    return Measure(name=f"pay.{name}", help=help_text, kinds=ON_ORDERS)


ATTEMPTS = _payments("attempts", "Payment attempts, in the pane of their earliest payment event.")
PAY_AUTHORISED = _payments("authorised", "Attempts whose latest outcome is authorised.")
PAY_DECLINED = _payments("declined", "Attempts whose latest outcome is declined.")
PAY_ERRORS = _payments("errors", "Attempts whose latest outcome is error or timeout.")
PAY_PENDING = _payments("pending", "Attempts that are still started.")
PAY_CANCELLED = _payments("cancelled", "Attempts that the user cancelled.")


def _pipeline(name: str, help_text: str, per_currency: bool = False) -> Measure:
    return Measure(name=name, help=help_text, kinds=ON_PIPELINE, per_currency=per_currency)


ACCEPTED = _pipeline("accepted", "Records counted in figures.")
EXCLUDED = _pipeline("excluded", "Valid records of test, sample, replacement or bot traffic.")
DUPLICATES = _pipeline("duplicates", "Records whose identity was accepted before.")
LATE = _pipeline("late", "Records past the lateness limit, kept in the late topic.")
LATE_GMV = _pipeline("late_gmv", "Line values of late purchases.", per_currency=True)
MISPLACED = _pipeline("misplaced", "Records whose key belongs to another partition.")
DEAD_LETTERS: Mapping[Reason, Measure] = MappingProxyType(
    {
        reason: _pipeline(f"dead_letters.{reason}", f"Records in the dead-letter topic: {reason}.")
        for reason in Reason
        if reason is not Reason.LATE
    }
)

MEASURES = (
    *EVENT_COUNTS.values(),
    *(ORDERS_IN_CURRENCY, ITEMS, GMV_PAID, BUYER_PAID, COMMISSION),
    *(REFUNDS, REFUNDS_OF_PURCHASES, UNATTRIBUTED_REFUNDS),
    *(ATTEMPTS, PAY_AUTHORISED, PAY_DECLINED, PAY_ERRORS, PAY_PENDING, PAY_CANCELLED),
    *(ACCEPTED, EXCLUDED, DUPLICATES, LATE, LATE_GMV, MISPLACED, *DEAD_LETTERS.values()),
)

_ORDERS = EVENT_COUNTS[Purchase]
_VIEWS = events("view", "live_join", "mini_program_open")
_OURS = "CONTRACT: events"
_GA4 = "GA4 ecommerce events"
_TIKTOK = "TikTok Shop: GMV by payment time"


def _kpi(  # noqa: PLR0917 - a declaration names each part, in one order
    path: str,
    formula: Measure | Sum | Ratio,
    unit: str,
    help_text: str,
    source: str,
    kinds: frozenset[str] = EVERYWHERE,
) -> Kpi:
    return Kpi(path=path, formula=formula, unit=unit, help=help_text, source=source, kinds=kinds)


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
        _kpi(f"events_by_type.{measure.name.removeprefix('events.')}", measure, "count", measure.help, _OURS)
        for measure in EVENT_COUNTS.values()
    ),
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
    _kpi("quality.misplaced", MISPLACED, "count", MISPLACED.help, _OURS, ON_PIPELINE),
)

_ALL_SIZES = frozenset({"10s", "1m", "1h", "1d"})
FIGURE_SETS = MappingProxyType(
    {
        "all": FigureSet(
            name="all",
            kinds=(*ORDER_SCOPES, *LINE_SCOPES, PIPELINE),
            sizes=_ALL_SIZES,
            measures=frozenset(measure.name for measure in MEASURES),
        ),
        # What the benchmark compares with other engines: counts by (live, type, minute), GMV by (live,
        # minute).
        "funnel-gmv": FigureSet(
            name="funnel-gmv",
            kinds=(SCOPES["live"], PIPELINE),
            sizes=frozenset({"1m"}),
            measures=frozenset(
                measure.name for measure in (*EVENT_COUNTS.values(), GMV_PAID) if "live" in measure.kinds
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
        if kpi.per_currency is not kpi.path.startswith("money.*."):
            raise ValueError(f"{kpi.path}: figures per currency stand under money.*")


check()
