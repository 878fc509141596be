"""Payments: which gateway fails, whether others hold, and what issuers decline."""

from __future__ import annotations

from dashboards.grafana_panels import (
    BLUE,
    CONTRACT,
    COUNT,
    GREEN,
    RATIO,
    RED,
    RUNBOOK,
    YELLOW,
    Board,
    Choice,
    Kind,
    Look,
    Panel,
    Query,
    Row,
    kpi_lines,
)
from dashboards.grafana_parts import CURRENCY, MARKS, SHOPS, TRUST, conversion, windows_of
from dashboards.grafana_queries import each, figure, ruled, summed
from dashboards.promql import highest
from dashboards.recorded import FAILING, FAILURE_LOWER, FAILURE_RATIO, HOLDING, LOW_COUNT
from dashboards.recorded import RATIO as NOW_RATIO
from dashboards.uids import PAYMENTS
from streams.cohorts import ATTEMPT, RUNGS_AGREEING

PAIR = ("platform", "gateway")
NAMED = "{{gateway}} on {{platform}}"
OF_SHOP = {"scope_kind": "all", "window": "30m"}
OF_GATEWAYS = {"scope_kind": "gateway", "window": "30m"}
OF_PAIRS = {"scope_kind": "platform,gateway", "step": ATTEMPT.name}
# A window that is long enough for most gateways, and short enough for now.
NOW = {"window": "15m"}
_SETTLED = "Attempts begun in the 15 minutes that ended 2 minutes ago: later ones may still be pending."
SCOPE = Choice(
    "gateway_scope",
    "Gateway",
    'label_values(shop_pulse_cohort_state{env="$env", shop="$shop", scope_kind="platform,gateway"}, scope)',
)


def _number(title: str, means: str, unit: str, query: Query, *steps: tuple[float, str], base: str) -> Panel:
    return Panel(
        kind=Kind.STAT,
        title=title,
        means=means,
        more=f"{CONTRACT}#figures",
        unit=unit,
        queries=(query,),
        width=6,
        height=4,
        steps=(base, *steps),
    )


_NOW = (
    _number(
        "Attempts in 15 minutes",
        f"{_SETTLED} An order may take several.",
        COUNT,
        Query(summed("gateway_attempts", (), PAIR, **NOW), "attempts"),
        base=BLUE,
    ),
    _number(
        "Technical failures in 15 minutes",
        f"{_SETTLED} Errors, time-outs and what never got an outcome; what issuers decline is not in it.",
        RATIO,
        Query(
            summed("gateway_technical_failures", (), PAIR, **NOW)
            / summed("gateway_attempts", (), PAIR, **NOW),
            "failures",
        ),
        (0.05, YELLOW),
        (0.15, RED),
        base=GREEN,
    ),
    _number(
        "Success rate, 30 min",
        "Authorised attempts over all attempts of the last 30 minutes. One still pending is no success, "
        "so the "
        "latest minutes press it a little.",
        RATIO,
        Query(figure("payments.success_rate", **OF_SHOP), "success"),
        (0.6, YELLOW),
        (0.8, GREEN),
        base=RED,
    ),
    _number(
        "Success per order, 30 min",
        "Orders of which one attempt was authorised, over orders that somebody tried to pay for: what "
        "a second attempt mends is no failure here.",
        RATIO,
        Query(figure("payments.success_rate_per_order", **OF_SHOP), "success"),
        (0.7, YELLOW),
        (0.85, GREEN),
        base=RED,
    ),
    _number(
        "Pending, 30 min",
        "Attempts without an outcome yet. Past 2 minutes one counts as failed.",
        COUNT,
        Query(figure("payments.pending", **OF_SHOP), "pending"),
        base=BLUE,
    ),
    _number(
        "Pending past 2 minutes, 30 min",
        "Attempts that got no outcome within 2 minutes: they count as failed. Told a minute later than "
        "that, and not while figures are stale.",
        COUNT,
        Query(figure("payments.pending_past_120s", **OF_SHOP), "pending past 2 min"),
        (1, YELLOW),
        base=GREEN,
    ),
)

_FAIL_OVER = Panel(
    kind=Kind.TABLE,
    title="Gateways now",
    means=f"{_SETTLED} Whether one fails or holds is told by all windows from 2 minutes to 6 hours. Where "
    "one fails and another of its platform holds, fail over; where none is known to hold look at what they "
    "share: the order service, the network, the platform itself.",
    more=f"{RUNBOOK}#shoppulsegatewayfailing",
    unit=COUNT,
    queries=(
        Query(each("gateway_attempts", *PAIR, **NOW), "Attempts"),
        Query(each("gateway_technical_failures", *PAIR, **NOW), "Failures"),
        Query(highest(ruled(FAILURE_RATIO, **NOW), *PAIR), "Failing part", RATIO),
        Query(highest(ruled(FAILURE_LOWER, **NOW), *PAIR), "At least (Wilson bound)", RATIO),
        Query(each("gateway_baseline_ratio", *PAIR, **NOW), "Usual", RATIO),
        Query(highest(ruled(FAILING), *PAIR), "Fails", "bool_yes_no"),
        Query(highest(ruled(HOLDING), *PAIR), "Holds", "bool_yes_no"),
    ),
    columns={"platform": "Platform", "gateway": "Gateway"},
    width=24,
)
_FAILURES = Panel(
    kind=Kind.LINES,
    title="Technical failures",
    means="The part of attempts that ended in an error, a time-out or never, by gateway of a platform, in "
    "the chosen window (it ends 2 minutes ago). A page names the shortest window that shows it. With few "
    "attempts it jumps: a page asks for 10 in the window, and for what is surely more than usual.",
    more=f"{RUNBOOK}#shoppulsegatewayfailing",
    unit=RATIO,
    queries=(Query(highest(ruled(FAILURE_RATIO, window="$window"), *PAIR), NAMED),),
    low=0,
    high=1,
)
_USUAL = Panel(
    kind=Kind.LINES,
    title="Usual technical failures",
    means="The same part as it usually is, which the panel beside it is held against.",
    more=f"{RUNBOOK}#shoppulsegatewayfailing",
    unit=RATIO,
    queries=(Query(each("gateway_baseline_ratio", *PAIR, window="$window"), NAMED),),
    low=0,
    high=1,
)
_SUCCESS = Panel(
    kind=Kind.LINES,
    title="Success by gateway",
    means="Authorised attempts over attempts, declines included, in the chosen window (it ends 2 minutes "
    "ago). Issuers decline more at night and at the end of a month: compare with usual below.",
    more=f"{RUNBOOK}#shoppulsepaymentsuccessdrop",
    unit=RATIO,
    queries=(Query(highest(ruled(NOW_RATIO, window="$window", **OF_PAIRS), "scope"), "{{scope}}"),),
    low=0,
    high=1,
)
_LOW_WINDOWS = Panel(
    kind=Kind.LINES,
    title="Windows in which success is low",
    means=f"Windows whose upper bound lies below three quarters of usual; with {RUNGS_AGREEING} at once the "
    "alert fires. A count that climbs is a fall that lasts.",
    more=f"{RUNBOOK}#shoppulsepaymentsuccessdrop",
    unit=COUNT,
    queries=(Query(highest(ruled(LOW_COUNT, **OF_PAIRS), "scope"), "{{scope}}"),),
    steps=(GREEN, (RUNGS_AGREEING, RED)),
    low=0,
)
_DECLINED = Panel(
    kind=Kind.LINES,
    title="Declined by issuers, 30 min",
    means="Declines over attempts by gateway. A gateway can do nothing about most of them; a jump on one "
    "gateway alone is its fraud rules or its routing.",
    more=f"{RUNBOOK}#shoppulsepaymentsuccessdrop",
    unit=RATIO,
    queries=(
        Query(
            figure("payments.declined", "scope", **OF_GATEWAYS)
            / figure("payments.attempts", "scope", **OF_GATEWAYS).above(0),
            "{{scope}}",
        ),
    ),
    low=0,
    high=1,
)
_OUTCOMES = Panel(
    kind=Kind.LINES,
    title="Outcomes, 30 min",
    means="Attempts of the last 30 minutes by their latest outcome, the whole shop. Lines, not layers: "
    "attempts are the sum of the others, cancelled ones aside.",
    more=f"{CONTRACT}#figures",
    unit=COUNT,
    queries=tuple(
        Query(figure(f"payments.{name}", **OF_SHOP), name)
        for name in ("attempts", "authorised", "declined", "errors", "pending")
    ),
    looks={"authorised": Look(GREEN), "declined": Look(YELLOW), "errors": Look(RED)},
    low=0,
)
_REASONS = Panel(
    kind=Kind.LINES,
    title="Why attempts fail, 30 min",
    means="Attempts of the last 30 minutes that were declined or ended in an error or time-out, by the "
    "reason that their latest event names; the 20 most frequent, the rest as `other`. By gateway: "
    "`/api/v1/payments/reasons?scope=gateway:ID&window=30m`.",
    more=f"{CONTRACT}#payments",
    unit=COUNT,
    queries=(Query(each("payment_failures", "outcome", "reason", window="30m"), "{{outcome}}: {{reason}}"),),
    low=0,
)
_RETURNS = Panel(
    kind=Kind.LINES,
    title="Why money goes back, 30 min",
    means="Refunds of the last 30 minutes by kind and reason; the 20 most frequent, the rest as `other`.",
    more=f"{CONTRACT}#after-the-purchase",
    unit=COUNT,
    queries=(
        Query(
            each("refunds_by_reason", "refund_kind", "reason", window="30m"), "{{refund_kind}}: {{reason}}"
        ),
    ),
    low=0,
)

BOARD = Board(
    uid=PAYMENTS,
    title="Shop Pulse: payments",
    means="Which gateway fails, whether others hold, and what issuers decline.",
    since="now-3h",
    variables=(*SHOPS, CURRENCY, SCOPE, windows_of(ATTEMPT.name, "platform,gateway")),
    rows=(
        Row("Can I trust this?", TRUST),
        Row("Now", _NOW),
        Row("Gateways", (_FAIL_OVER, _FAILURES, _USUAL, _SUCCESS, _LOW_WINDOWS)),
        Row(
            "Outcomes",
            (
                _DECLINED,
                _OUTCOMES,
                _REASONS,
                _RETURNS,
                kpi_lines(
                    "payments.failure_rate",
                    "30 min, by gateway",
                    "What issuers decline is not in it.",
                    "scope",
                    **OF_GATEWAYS,
                ),
                kpi_lines(
                    "payments.success_rate_per_order",
                    "30 min, by gateway",
                    "An order counts with the gateway of its first attempt, also if another one saved it.",
                    "scope",
                    **OF_GATEWAYS,
                ),
                kpi_lines(
                    "payments.attempts",
                    "30 min, by gateway",
                    "A gateway without attempts is one that traffic was taken from, or one that can't be "
                    "reached.",
                    "scope",
                    **OF_GATEWAYS,
                ),
                kpi_lines(
                    "money.*.gmv_paid_minor",
                    "30 min, by gateway",
                    "Orders without a gateway's name are in none of them.",
                    "scope",
                    **OF_GATEWAYS,
                ),
                conversion(
                    "Success now and expected, $gateway_scope",
                    "Attempts of this gateway, each with 2 minutes to succeed.",
                    24,
                    **OF_PAIRS,
                    scope="$gateway_scope",
                    window="$window",
                ),
            ),
        ),
    ),
    marks=MARKS,
)
