"""Alerts about the shop: it sells less than it should. Each is guarded by trust in the figures.

They stand beside the alerts about the pipeline. Windows, bounds and thresholds are those of
`streams.cohorts` and `dashboards.recorded`; what they catch and miss was measured: docs/alerting.md.
"""

from __future__ import annotations

from dashboards.alert import About, Alert, Fact, Severity
from dashboards.promql import TIME, Binary, Call, Expr, Metric, highest
from dashboards.recorded import (
    AS_OF_AGE,
    FAILING,
    FAILURE_RATIO,
    FELL_COUNT,
    FIRST_FAILING,
    FIRST_LOW,
    GATEWAY,
    GATEWAY_WINDOW,
    GMV_NOW,
    GMV_RATIO,
    GMV_USUAL,
    HOLDING,
    LOST_MONEY,
    LOW_COUNT,
    MONEY,
    PLATFORM,
    RATIO,
    SCOPE,
    SCOPE_STEP,
    SHOP,
    USUAL_FAILURES,
    USUAL_RATIO,
    WINDOWED,
    gauge,
)
from dashboards.uids import LIVES, OVERVIEW, PAYMENTS
from streams.cohorts import ATTEMPT, RUNGS_AGREEING

_CAUSES_SHOWN = 3
# GMV of an hour below this part of what is usual (`streams.usual_sales`).
GMV_TO = 0.5
_ORDERS_USUAL_MIN = 100
_ORDERS_BELOW = 0.6
_REFUNDS_TIMES = 2
_REFUNDS_ABOVE = 0.05
HEARTBEAT_S = 60
# As-of is 10 s behind, and what is counted a little more, when nothing is wrong.
_LAGGING_S = 50


def _of_first_low(expr: Expr) -> Expr:
    """A figure by window, of the shortest window that is low."""
    return expr.where(FIRST_LOW.series, *WINDOWED)


_LOSS = (
    Fact(
        expr=_of_first_low(RATIO.series),
        sentence="Now {percent} in the window of {.window},",
        by=SCOPE_STEP,
    ),
    Fact(
        expr=_of_first_low(USUAL_RATIO.series),
        sentence="expected {percent},",
        by=SCOPE_STEP,
    ),
    Fact(expr=FIRST_LOW.series, sentence="n = {count}.", by=SCOPE_STEP),
    Fact(
        expr=highest(gauge("drop_since_timestamp_seconds"), *SCOPE_STEP),
        sentence="Since {time}.",
        by=SCOPE_STEP,
    ),
    Fact(
        expr=highest(gauge("drop_begun_unseen"), *SCOPE_STEP),
        sentence="Perhaps it began earlier.",
        by=SCOPE_STEP,
    ),
    Fact(
        expr=highest(gauge("drop_lost_orders"), *SCOPE_STEP),
        sentence="Orders lost so far: {count}.",
        by=SCOPE_STEP,
    ),
    Fact(
        expr=highest(gauge("drop_lost_orders_per_minute"), *SCOPE_STEP),
        sentence="Orders lost a minute: {number}.",
        by=SCOPE_STEP,
    ),
    Fact(
        expr=LOST_MONEY.series,
        sentence="Money lost a minute: {amount} {.currency}.",
        by=SCOPE_STEP,
        many=True,
    ),
)
_CAUSES = tuple(
    Fact(
        expr=highest(gauge("drop_cause_share", rank=str(rank)), *SCOPE_STEP, "rank", "cause"),
        sentence=f"Cause {rank}: {{.cause}}, {{percent}} of the loss.",
        by=SCOPE_STEP,
    )
    for rank in range(1, _CAUSES_SHOWN + 1)
)


def _agreeing(series: Metric, kinds: str) -> Expr:
    return Metric(series.name, {"scope_kind": kinds}).at_least(RUNGS_AGREEING)


_SESSION_RATIOS = (
    "ratios.tag_taps_per_view_sessions",
    "ratios.add_to_carts_per_tag_tap_sessions",
    "ratios.purchases_per_add_to_cart_sessions",
    "ratios.purchases_per_view_sessions",
)

_CONVERSION = (
    Alert(
        name="ShopPulseConversionDrop",
        severity=Severity.CRITICAL,
        about=About.BUSINESS,
        labels=SCOPE_STEP,
        expr=_agreeing(FELL_COUNT.series, "~all|platform"),
        hold="1m",
        keep="5m",
        summary="Conversion fell: {step} of {the_scope}",
        text="Fewer sessions than usual reach the next step, beyond chance.",
        facts=(
            *_LOSS,
            *_CAUSES,
        ),
        dashboard=OVERVIEW,
        panel="Conversion now and expected",
        watches=_SESSION_RATIOS,
    ),
    Alert(
        name="ShopPulseLiveConversionDrop",
        severity=Severity.CRITICAL,
        about=About.BUSINESS,
        labels=SCOPE_STEP,
        expr=_agreeing(FELL_COUNT.series, "live"),
        hold="1m",
        keep="5m",
        summary="Conversion fell in live {scope}: {step}",
        text="Fewer sessions of this live than before reach the next step.",
        facts=(
            *_LOSS,
            *_CAUSES,
        ),
        dashboard=LIVES,
        panel="Conversion",
        watches=_SESSION_RATIOS,
        live="scope",
    ),
    Alert(
        name="ShopPulseConversionDiluted",
        severity=Severity.WARNING,
        about=About.BUSINESS,
        labels=SCOPE_STEP,
        expr=_agreeing(LOW_COUNT.series, "~all|platform").unless(
            _agreeing(FELL_COUNT.series, "~all|platform"), *SCOPE_STEP
        ),
        hold="10m",
        summary="Conversion diluted: {step} of {the_scope}",
        text=(
            "The rate is low, but as many sessions as usual reach the step: there are more views than usual,"
            " from bots or from an audience that does not buy."
        ),
        facts=(
            *_LOSS[:3],
            *_CAUSES,
        ),
        dashboard=OVERVIEW,
        panel="Conversion now and expected",
        watches=("sessions.view",),
    ),
)


def _of_first_failing(expr: Expr) -> Expr:
    """A figure by window, of the shortest window that fails."""
    return expr.where(FIRST_FAILING.series, *GATEWAY_WINDOW)


_ANY_HOLDS = highest(HOLDING.series, *PLATFORM).equal(1)
_FAILURES = ("payments.errors", "payments.pending")

_PAYMENTS = (
    Alert(
        name="ShopPulseGatewayFailing",
        severity=Severity.CRITICAL,
        about=About.BUSINESS,
        labels=GATEWAY,
        expr=FAILING.series.equal(1).where(_ANY_HOLDS, *PLATFORM),
        hold="1m",
        keep="5m",
        summary="Gateway {gateway} fails on {platform}, others hold: fail over",
        text="Attempts end in an error, a time-out or never; declines by issuers don't count.",
        facts=(
            Fact(
                expr=_of_first_failing(FAILURE_RATIO.series),
                sentence="Now {percent} fail in the window of {.window},",
                by=GATEWAY,
            ),
            Fact(
                expr=_of_first_failing(USUAL_FAILURES.series),
                sentence="usually {percent},",
                by=GATEWAY,
            ),
            Fact(expr=FIRST_FAILING.series, sentence="of {count} attempts.", by=GATEWAY),
            Fact(expr=HOLDING.series.equal(1), sentence="{.gateway} holds.", by=PLATFORM, many=True),
        ),
        dashboard=PAYMENTS,
        panel="Technical failures",
        watches=_FAILURES,
    ),
    Alert(
        name="ShopPulsePaymentsFailing",
        severity=Severity.CRITICAL,
        about=About.BUSINESS,
        labels=PLATFORM,
        expr=highest(FAILING.series, *PLATFORM).equal(1).unless(_ANY_HOLDS, *PLATFORM),
        hold="1m",
        keep="5m",
        summary="Payments fail on {platform}, no other gateway is known to hold",
        text=(
            "Attempts end in an error, a time-out or never; the platform's other gateways fail, too, or have"
            " too few attempts to know, or there are none."
        ),
        facts=(
            Fact(
                expr=Call("sort_desc", (_of_first_failing(FAILURE_RATIO.series),)),
                sentence="{.gateway}: {percent} fail in the window of {.window}.",
                by=PLATFORM,
                many=True,
            ),
        ),
        dashboard=PAYMENTS,
        panel="Technical failures",
        watches=_FAILURES,
    ),
    Alert(
        name="ShopPulsePaymentSuccessDrop",
        severity=Severity.WARNING,
        about=About.BUSINESS,
        labels=SCOPE_STEP,
        expr=Metric(LOW_COUNT.name, {"step": ATTEMPT.name}).at_least(RUNGS_AGREEING),
        hold="5m",
        summary="Fewer payments succeed: {the_scope}",
        text="Authorised attempts fell; declines by issuers are in it.",
        facts=(
            *_LOSS,
            *_CAUSES,
        ),
        dashboard=PAYMENTS,
        panel="Success by gateway",
        watches=("payments.success_rate", "payments.declined"),
    ),
)

_ORDERS_FELL = Binary(
    highest(gauge("orders_last_hour"), *SCOPE),
    "<",
    highest(gauge("orders_baseline"), *SCOPE).at_least(_ORDERS_USUAL_MIN) * _ORDERS_BELOW,
)
_PINNED = (*SHOP, "live", "product")
_OVERSOLD = highest(gauge("oversold_units"), *SHOP, "product")
_REFUND_RATIO = highest(gauge("refund_last_day_ratio"), *MONEY)
_USUAL_REFUNDS = highest(gauge("refund_baseline_ratio"), *MONEY)
_HEARTBEAT_AGE = TIME - highest(gauge("live_heartbeat_timestamp_seconds"), *SHOP, "live")

_GOODS = (
    Alert(
        name="ShopPulseGmvBelowBaseline",
        severity=Severity.CRITICAL,
        about=About.BUSINESS,
        labels=MONEY,
        expr=(1 - GMV_RATIO.series).above(1 - GMV_TO).where(_ORDERS_FELL, *SCOPE),
        hold="10m",
        summary="GMV in {currency} is below half of usual: {the_scope}",
        text="Sales and orders of the last hour are far below those of this hour in the weeks before.",
        facts=(
            Fact(expr=GMV_NOW.series, sentence="GMV {amount},", by=MONEY),
            Fact(expr=GMV_USUAL.series, sentence="usually {amount};", by=MONEY),
            Fact(expr=highest(gauge("orders_last_hour"), *SCOPE), sentence="{count} orders,", by=SCOPE),
            Fact(expr=highest(gauge("orders_baseline"), *SCOPE), sentence="usually {count}.", by=SCOPE),
        ),
        dashboard=OVERVIEW,
        panel="GMV of the last hour and usual",
        watches=("money.*.gmv_paid_minor", "orders"),
    ),
    Alert(
        name="ShopPulseOversold",
        severity=Severity.CRITICAL,
        about=About.BUSINESS,
        labels=(*SHOP, "product"),
        expr=_OVERSOLD.above(0),
        hold="1m",
        summary="Product {product} is oversold",
        text="More units were sold than there were.",
        facts=(Fact(expr=_OVERSOLD, sentence="{count} units too many.", by=(*SHOP, "product")),),
        dashboard=LIVES,
        panel="Oversold units",
    ),
    Alert(
        name="ShopPulsePinnedProductOut",
        severity=Severity.WARNING,
        about=About.BUSINESS,
        labels=_PINNED,
        expr=highest(gauge("pinned_stock_units"), *_PINNED).is_at_most(0).equal(1),
        hold="1m",
        summary="Live {live} shows a product without stock: {product}",
        text="The pinned product has no units left: its viewers can't buy it.",
        dashboard=LIVES,
        panel="Stock of pinned products",
        live="live",
    ),
    Alert(
        name="ShopPulseRefundRateHigh",
        severity=Severity.WARNING,
        about=About.BUSINESS,
        labels=MONEY,
        expr=_REFUND_RATIO.above(_REFUNDS_ABOVE).where(
            _REFUND_RATIO.above(_USUAL_REFUNDS * _REFUNDS_TIMES), *MONEY
        ),
        hold="30m",
        summary="Refunds in {currency} are more than twice usual: {the_scope}",
        text="Refunded goods over GMV of the last 24 hours.",
        facts=(
            Fact(expr=_REFUND_RATIO, sentence="Now {percent},", by=MONEY),
            Fact(expr=_USUAL_REFUNDS, sentence="median of 28 days {percent}.", by=MONEY),
        ),
        dashboard=OVERVIEW,
        panel="Refunds over GMV",
        watches=("money.*.refunds_minor",),
    ),
    Alert(
        name="ShopPulseLiveHeartbeatLost",
        severity=Severity.WARNING,
        about=About.BUSINESS,
        labels=(*SHOP, "live"),
        # A pipeline that lags makes every heartbeat look old: that is its own trouble.
        expr=_HEARTBEAT_AGE.above(HEARTBEAT_S).unless(AS_OF_AGE.series.above(_LAGGING_S), *SHOP),
        hold="1m",
        summary="Live {live} has lost its heartbeat",
        text="The room has not ended, yet it tells nothing of its viewers.",
        facts=(Fact(expr=_HEARTBEAT_AGE, sentence="Last heard {duration} ago.", by=(*SHOP, "live")),),
        dashboard=LIVES,
        panel="Last heartbeat",
        watches=("viewers.peak", "viewers.average", "viewers.watch_seconds"),
        live="live",
    ),
)

BUSINESS = (*_CONVERSION, *_PAYMENTS, *_GOODS)
