"""One case for each alert about the shop: figures, and the page that has to follow from them word for word.

The numbers are worked by hand: 40 of 4 000 sessions where 3 % are usual have a Wilson bound of 1.8 %, which
is below three quarters of 3 %; 0 of 100 have one of 12 %.
"""

from __future__ import annotations

from dashboards.alert_case import Case, Series, Value, moving, series

_STEP = {"scope_kind": "platform", "scope": "tiktok", "step": "purchase_per_view"}
_LIVE_STEP = {"scope_kind": "live", "scope": "L 1", "step": "purchase_per_view"}
_PAY_STEP = {
    "scope_kind": "platform,gateway",
    "scope": "tiktok,gateway:adyen",
    "step": "authorised_per_attempt",
}


def _cohort(
    step: dict[str, str], window: str, n: int, reached: tuple[int, int], usual: float
) -> list[Series]:
    """A window's gauges: `n` took part; `reached` while all is well and while it is not."""
    labels = {**step, "window": window}
    return [
        series("cohort_size", n, n, **labels),
        series("cohort_reached", reached[0], reached[1], **labels),
        series("cohort_baseline_ratio", usual, usual, **labels),
    ]


def _fell(step: dict[str, str]) -> tuple[Series, ...]:
    """From 3 % to 1 % in two windows, with everything that the service tells of a drop."""
    return (
        *_cohort(step, "5m", 4_000, (120, 40), 0.03),
        *_cohort(step, "8m", 6_400, (192, 64), 0.03),
        series("drop_since_timestamp_seconds", None, 600, **step),
        series("drop_lost_orders", None, 412.4, **step),
        series("drop_lost_orders_per_minute", None, 16, **step),
        series("drop_lost_minor_per_minute", None, 49_950, **step, currency="USD"),
        series("drop_cause_share", None, 0.82, **step, rank="1", cause="gateway adyen on tiktok"),
        series("drop_cause_share", None, 0.1, **step, rank="2", cause="app_version 3.2"),
    )


_LOSS = (
    " Now 1% in the window of 5m, expected 3%, n = 4000. Since 1970-01-01 00:10:00 +0000 UTC."
    " Orders lost so far: 412. Orders lost a minute: 16.0. Money lost a minute: 499.50 USD."
)
_LOSS_UNSEEN = _LOSS.replace(" UTC.", " UTC. Perhaps it began earlier.")
_CAUSES = " Cause 1: gateway adyen on tiktok, 82% of the loss. Cause 2: app_version 3.2, 10% of the loss."


def _one_window(step: dict[str, str]) -> tuple[Series, ...]:
    return (series("cohort_reached", 192, 192, **step, window="8m"),)


def _few(step: dict[str, str]) -> tuple[Series, ...]:
    """Nobody reached the step, but of a hundred that is no wonder."""
    few = [*_cohort(step, "5m", 100, (3, 0), 0.03), *_cohort(step, "8m", 160, (5, 0), 0.03)]
    return tuple(each.changed(100) if each.name.endswith("size") else each for each in few)


def _usual_number(step: dict[str, str]) -> tuple[Series, ...]:
    """As many as usual reached it: it is the views that are too many."""
    return tuple(
        series("cohort_usual_reached", usual, usual, **step, window=window)
        for window, usual in (("5m", 50), ("8m", 80))
    )


_CONVERSION = (
    Case(
        alert="ShopPulseConversionDrop",
        series=_fell(_STEP),
        labels=_STEP,
        summary="Conversion fell: purchase_per_view of platform:tiktok",
        description=f"Fewer sessions than usual reach the next step, beyond chance.{_LOSS}{_CAUSES}",
        quiet={
            "in one window only": _one_window(_STEP),
            "too little traffic": _few(_STEP),
            "as many as usual reach the step": _usual_number(_STEP),
        },
    ),
    Case(
        alert="ShopPulseLiveConversionDrop",
        series=(*_fell(_LIVE_STEP), series("drop_begun_unseen", None, 1, **_LIVE_STEP)),
        labels=_LIVE_STEP,
        summary="Conversion fell in live L 1: purchase_per_view",
        description=f"Fewer sessions of this live than before reach the next step.{_LOSS_UNSEEN}{_CAUSES}",
        quiet={"in one window only": _one_window(_LIVE_STEP), "too little traffic": _few(_LIVE_STEP)},
    ),
    Case(
        alert="ShopPulseConversionDiluted",
        series=(*_fell(_STEP)[:6], *_usual_number(_STEP)),
        labels=_STEP,
        summary="Conversion diluted: purchase_per_view of platform:tiktok",
        description=(
            "The rate is low, but as many sessions as usual reach the step: there are more views than usual,"
            " from bots or from an audience that does not buy."
            " Now 1% in the window of 5m, expected 3%, n = 4000."
        ),
        quiet={
            "fewer than usual reach the step, so it is a drop": tuple(
                each.changed(1_000) for each in _usual_number(_STEP)
            ),
            "too little traffic": _few(_STEP),
        },
    ),
    Case(
        alert="ShopPulsePaymentSuccessDrop",
        series=(
            *_cohort(_PAY_STEP, "5m", 200, (180, 100), 0.9),
            *_cohort(_PAY_STEP, "8m", 320, (288, 160), 0.9),
        ),
        labels=_PAY_STEP,
        summary="Fewer payments succeed: platform:tiktok,gateway:adyen",
        description=(
            "Authorised attempts fell; declines by issuers are in it."
            " Now 50% in the window of 5m, expected 90%, n = 200."
        ),
        quiet={"in one window only": (series("cohort_reached", 288, 288, **_PAY_STEP, window="8m"),)},
    ),
)

_ADYEN = {"platform": "tiktok", "gateway": "adyen"}
_STRIPE = {"platform": "tiktok", "gateway": "stripe"}


def _gateway(
    labels: dict[str, str], attempts: Value, failures: Value, window: str = "8m", usual: Value = 0.02
) -> tuple[Series, ...]:
    """A window's gauges: `failures` of `attempts` fail while it is not well, two while it is."""
    of_window = {**labels, "window": window}
    return (
        series("gateway_attempts", attempts, attempts, **of_window),
        series("gateway_technical_failures", 2, failures, **of_window),
        series("gateway_baseline_ratio", usual, usual, **of_window),
    )


_FAILS = "Attempts end in an error, a time-out or never"
_DECLINES = "; declines by issuers don't count."
_OTHERS = "; the platform's other gateways fail, too, or have too few attempts to know, or there are none."
_FAIL_OVER = "Gateway adyen fails on tiktok, others hold: fail over"
_NO_OTHER = "Payments fail on tiktok, no other gateway is known to hold"

_PAYMENTS = (
    Case(
        alert="ShopPulseGatewayFailing",
        # The shortest window that fails is told of, not the longer ones.
        series=(*_gateway(_ADYEN, 100, 60), *_gateway(_ADYEN, 150, 60, "11m"), *_gateway(_STRIPE, 100, 3)),
        labels=_ADYEN,
        summary=_FAIL_OVER,
        description=(
            f"{_FAILS}{_DECLINES} Now 60% fail in the window of 8m, usually 2%, of 100 attempts."
            " stripe holds."
        ),
        quiet={
            "the other one fails, too": _gateway(_STRIPE, 100, 60),
            "the other one has too few attempts": _gateway(_STRIPE, 9, 0),
            "the newest attempts of the other one fail": _gateway(_STRIPE, 10, 3, "2m"),
            "it recovers, longer windows still fail": _gateway(_ADYEN, 10, 0, "2m"),
            "more than usual, but few": (*_gateway(_ADYEN, 100, 15), *_gateway(_ADYEN, 150, 20, "11m")),
        },
    ),
    Case(
        # A small gateway: nine of its ten attempts of six hours failed.
        alert="ShopPulseGatewayFailing",
        series=(*_gateway(_ADYEN, 10, 9, "360m"), *_gateway(_STRIPE, 100, 3)),
        labels=_ADYEN,
        summary=_FAIL_OVER,
        description=(
            f"{_FAILS}{_DECLINES} Now 90% fail in the window of 360m, usually 2%, of 10 attempts."
            " stripe holds."
        ),
        quiet={
            "too few attempts": _gateway(_ADYEN, 9, 9, "360m"),
            "one shopper who tries again": _gateway(_ADYEN, 10, 5, "360m"),
        },
    ),
    Case(
        alert="ShopPulseGatewayFailing",
        series=(*_gateway(_ADYEN, 100, 70)[:2], *_gateway(_STRIPE, 100, 3)[:2]),
        labels=_ADYEN,
        summary=_FAIL_OVER,
        description=f"{_FAILS}{_DECLINES} Now 70% fail in the window of 8m, of 100 attempts. stripe holds.",
        quiet={"new, and perhaps always so": _gateway(_ADYEN, 100, 50)[:2]},
    ),
    Case(
        alert="ShopPulsePaymentsFailing",
        series=(*_gateway(_ADYEN, 100, 60), *_gateway(_STRIPE, 100, 70)),
        labels={"platform": "tiktok"},
        summary=_NO_OTHER,
        description=(
            f"{_FAILS}{_OTHERS} stripe: 70% fail in the window of 8m. adyen: 60% fail in the window of 8m."
        ),
        quiet={"the other one holds": _gateway(_STRIPE, 100, 3)},
    ),
    Case(
        # A platform with one gateway.
        alert="ShopPulsePaymentsFailing",
        series=_gateway(_ADYEN, 40, 30, "27m"),
        labels={"platform": "tiktok"},
        summary=_NO_OTHER,
        description=f"{_FAILS}{_OTHERS} adyen: 75% fail in the window of 27m.",
        quiet={"another one holds": _gateway(_STRIPE, 10, 0, "36m")},
    ),
)

_USD = {"scope_kind": "all", "scope": "", "currency": "USD"}
_ALL = {"scope_kind": "all", "scope": ""}
_PINNED = {"live": "L1", "product": "p1"}

_GOODS = (
    Case(
        alert="ShopPulseGmvBelowBaseline",
        series=(
            series("gmv_last_hour_minor", 900_000, 0, **_USD),
            series("gmv_baseline_minor", 1_000_000, 1_000_000, **_USD),
            series("orders_last_hour", 180, 0, **_ALL),
            series("orders_baseline", 200, 200, **_ALL),
        ),
        labels=_USD,
        summary="GMV in USD is below half of usual: all",
        description=(
            "Sales and orders of the last hour are far below those of this hour in the weeks before."
            " GMV 0.00, usually 10000.00; 0 orders, usually 200."
        ),
        quiet={
            "as many orders, only cheaper": (series("orders_last_hour", 180, 150, **_ALL),),
            "a small shop": (series("orders_baseline", 99, 99, **_ALL),),
        },
    ),
    Case(
        alert="ShopPulseOversold",
        # Ids are strings of clients: quoted in queries, and no markup in the page.
        series=(series("oversold_units", None, 3, product='<b>"p1"\\'),),
        labels={"product": '<b>"p1"\\'},
        summary="Product ?b??p1?? is oversold",
        description="More units were sold than there were. 3 units too many.",
    ),
    Case(
        alert="ShopPulsePinnedProductOut",
        series=(series("pinned_stock_units", 12, -1, **_PINNED),),
        labels=_PINNED,
        summary="Live L1 shows a product without stock: p1",
        description="The pinned product has no units left: its viewers can't buy it.",
        quiet={"one is left": (series("pinned_stock_units", 12, 1, **_PINNED),)},
    ),
    Case(
        alert="ShopPulseRefundRateHigh",
        series=(
            series("refund_last_day_ratio", 0.04, 0.12, **_USD),
            series("refund_baseline_ratio", 0.05, 0.05, **_USD),
        ),
        labels=_USD,
        summary="Refunds in USD are more than twice usual: all",
        description="Refunded goods over GMV of the last 24 hours. Now 12%, median of 28 days 5%.",
        quiet={
            "twice a little": (
                series("refund_last_day_ratio", 0.01, 0.04, **_USD),
                series("refund_baseline_ratio", 0.01, 0.01, **_USD),
            )
        },
    ),
    Case(
        alert="ShopPulseLiveHeartbeatLost",
        series=(moving("live_heartbeat_timestamp_seconds", 540, live="L1"),),
        labels={"live": "L1"},
        summary="Live L1 has lost its heartbeat",
        description="The room has not ended, yet it tells nothing of its viewers. Last heard 36m 0s ago.",
        quiet={"the live has ended": (moving("live_heartbeat_timestamp_seconds", None, live="L1"),)},
    ),
)

BUSINESS_CASES = (*_CONVERSION, *_PAYMENTS, *_GOODS)
