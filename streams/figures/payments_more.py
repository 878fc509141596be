"""Payments beyond attempts: what became of orders, why attempts fail, what got no outcome in time.

`payments` counts all of it, beside the attempts themselves, which are declared in the catalogue.
"""

from __future__ import annotations

from streams.catalogue import ATTEMPTS, PAY_CANCELLED, PAY_ERRORS, PAY_PENDING
from streams.kpi import Aged, Kpi, Measure, Ratio, Sum
from streams.scopes import ON_ORDERS, PAYMENT_REASON, REFUND_REASON

_OURS = "CONTRACT: payment"
# CONTRACT: an attempt that is still started after so long counts as failed.
PENDING_PAST_MS = 120_000

PAY_ORDERS = Measure(
    name="paying.orders",
    help="Orders with a payment attempt, in the pane of their earliest payment event.",
    kinds=ON_ORDERS,
)
PAY_ORDERS_AUTHORISED = Measure(
    name="paying.authorised", help="Orders of these with an authorised attempt.", kinds=ON_ORDERS
)
PENDING_PAST = Aged(
    name="pay.pending_past_120s",
    help="Attempts that are still started 120 s after the 10 s of their earliest event.",
    kinds=ON_ORDERS,
    of=PAY_PENDING,
    age_ms=PENDING_PAST_MS,
    border_ms=10_000,
)


def _for_a_reason(name: str, kind: str, help_text: str) -> Measure:
    return Measure(name=f"reasons.{name}", help=help_text, kinds=frozenset({kind}))


DECLINED_FOR = _for_a_reason("declined", PAYMENT_REASON.name, "Declined attempts, by the reason they name.")
ERRORS_FOR = _for_a_reason("errors", PAYMENT_REASON.name, "Errors and time-outs, by the reason they name.")
REFUNDS_FOR = _for_a_reason("refunds", REFUND_REASON.name, "Refunds, by the reason they name.")

MEASURES = (PAY_ORDERS, PAY_ORDERS_AUTHORISED, PENDING_PAST, DECLINED_FOR, ERRORS_FOR, REFUNDS_FOR)


def _kpi(name: str, formula: Measure | Ratio, unit: str, help_text: str) -> Kpi:
    return Kpi(
        path=f"payments.{name}", formula=formula, unit=unit, help=help_text, source=_OURS, kinds=ON_ORDERS
    )


KPIS = (
    _kpi("cancelled", PAY_CANCELLED, "count", PAY_CANCELLED.help),
    _kpi("pending_past_120s", PENDING_PAST, "count", PENDING_PAST.help),
    _kpi(
        "failure_rate",
        Ratio(Sum((PAY_ERRORS, PENDING_PAST)), ATTEMPTS),
        "ratio",
        "Errors, time-outs and attempts that are pending past 120 s, over all attempts.",
    ),
    _kpi("orders", PAY_ORDERS, "count", PAY_ORDERS.help),
    _kpi("orders_authorised", PAY_ORDERS_AUTHORISED, "count", PAY_ORDERS_AUTHORISED.help),
    _kpi(
        "success_rate_per_order",
        Ratio(PAY_ORDERS_AUTHORISED, PAY_ORDERS),
        "ratio",
        "Orders with an authorised attempt over orders with any attempt.",
    ),
)
