"""The catalogue of what all stories share: every measure that is kept, declared once.

Redis fields, answers, gauges and the reference are derived from declarations; `kpis` says what people read
of these measures. What belongs to one story alone is declared in `figures`. Definitions and their sources:
docs/contract.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from schemas.codec import Reason
from schemas.events import (
    EVENT_TYPES,
    AddToCart,
    Event,
    LiveJoin,
    MiniProgramOpen,
    Payment,
    Purchase,
    SourceHeartbeat,
    TagTap,
    View,
    event_type,
)
from streams.kpi import Distinct, Keeping, Measure, Sum
from streams.scopes import (
    EVENT_SCOPES,
    EVERYWHERE,
    LIVE,
    ON_ORDERS,
    ON_PIPELINE,
    ON_SOME_EVENTS,
    ON_TRAFFIC,
    PLATFORM_CREATOR,
    PRODUCT_SKU,
    WITH_REPEAT_BUYERS,
    WITH_SESSIONS,
    WITH_UNKNOWN_ORDERS,
    WITH_USERS,
)


def _kinds_of(cls: type[Event]) -> frozenset[str]:
    """The kinds of scope that an event of the type can carry."""
    everywhere = EVERYWHERE if cls in (Payment, Purchase) else ON_TRAFFIC
    fields = set(cls.__struct_fields__)
    return everywhere | {kind.name for kind in EVENT_SCOPES if fields.issuperset(kind.fields)}


EVENT_COUNTS: Mapping[type[Event], Measure] = MappingProxyType(
    {
        cls: Measure(
            name=f"events.{event_type(cls)}",
            help=f"Accepted events of type {event_type(cls)}, by event time.",
            kinds=_kinds_of(cls),
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


_OF_CREATORS = EVERYWHERE | {PLATFORM_CREATOR.name}
ORDERS_IN_CURRENCY = _money("orders", "Distinct paid orders with a line in the scope.", _OF_CREATORS)
ITEMS = Measure(
    name="items", help="Quantity of the scope's paid lines.", kinds=EVERYWHERE | {PRODUCT_SKU.name}
)
GMV_PAID = _money(
    "gmv_paid", "Line values (quantity x unit price - seller discount) of paid orders.", _OF_CREATORS
)
BUYER_PAID = _money("buyer_paid", "What buyers paid: line values - platform discount + tax + shipping.")
REFUNDS = _money("refunds", "Refunded goods, at the time of the refund.")
REFUNDS_OF_PURCHASES = _money("refunds_of_purchases", "Refunded goods, at the time of their purchase.")
UNATTRIBUTED_REFUNDS = _money("unattributed_refunds", "Refunds whose order never came.", WITH_UNKNOWN_ORDERS)
COMMISSION = _money(
    "commission", "Affiliate commission on what is left of the lines, at purchase time.", _OF_CREATORS
)
LIVE_STARTS = Measure(
    name="live_starts", help="Lives that a creator began.", kinds=frozenset({PLATFORM_CREATOR.name})
)


def _payments(name: str, help_text: str) -> Measure:
    return Measure(name=f"pay.{name}", help=help_text, kinds=ON_ORDERS)


ATTEMPTS = _payments("attempts", "Payment attempts, in the pane of their earliest payment event.")
PAY_AUTHORISED = _payments("authorised", "Attempts whose latest outcome is authorised.")
PAY_DECLINED = _payments("declined", "Attempts whose latest outcome is declined.")
PAY_ERRORS = _payments("errors", "Attempts whose latest outcome is error or timeout.")
PAY_PENDING = _payments("pending", "Attempts that are still started.")
PAY_CANCELLED = _payments("cancelled", "Attempts that the user cancelled.")


def _steps(group: str, help_text: str, names: str) -> tuple[Measure, ...]:
    return tuple(
        Measure(name=f"{group}.{name}", help=f"{help_text} {name}.", kinds=WITH_SESSIONS)
        for name in names.split()
    )


SESSION_STEPS = _steps(
    "sessions",
    "Sessions, in the pane of their first view, that reached the step",
    "view tag_tap add_to_cart purchase",
)
# For alerts: the same horizon for every session, so that young ones don't look as if they had given up.
PROMPT_STEPS = _steps(
    "prompt",
    "Sessions, in the pane of their first view, that reached within the horizon of cohorts the step",
    "tag_tap add_to_cart purchase",
)
CHECKOUT_STEPS = _steps(
    "checkouts",
    "Sessions, in the pane of their first begin_checkout, that reached the step",
    "begin_checkout payment_started payment_authorised purchase",
)
# Seconds from a session's first view to its purchase: the upper ends of the buckets.
CONVERT_BUCKETS_S = (
    *(5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 450, 600, 900, 1_200, 1_800, 2_700, 3_600),
    *(5_400, 7_200, 10_800, 21_600, 43_200, 86_400),
)
TIME_TO_CONVERT: Mapping[int, Measure] = MappingProxyType(
    {
        upper_s: Measure(
            name=f"time_to_convert.{upper_s}",
            help=f"Sessions whose purchase came at most {upper_s} s after the view, in no lower bucket.",
            kinds=WITH_SESSIONS,
        )
        for upper_s in CONVERT_BUCKETS_S
    }
)


# Distinct users by what they did; `repeat_purchase`: bought, and had bought before.
USERS: Mapping[str, Measure] = MappingProxyType(
    {
        step: Measure(
            name=f"users.{step}",
            help=f"Distinct users with an event of the step {step}, estimated (standard error 0.81 %).",
            kinds=WITH_REPEAT_BUYERS if step == "repeat_purchase" else WITH_USERS,
            keeping=Keeping.SKETCH,
        )
        for step in ("view", "tag_tap", "add_to_cart", "purchase", "repeat_purchase")
    }
)


USER_STEPS = tuple(
    Distinct(step, frozenset(events_of_step), USERS[step])
    for step, events_of_step in (
        ("view", (View, LiveJoin, MiniProgramOpen)),
        ("tag_tap", (TagTap,)),
        ("add_to_cart", (AddToCart,)),
    )
)


def _viewers(name: str, help_text: str, keeping: Keeping = Keeping.SUM) -> Measure:
    return Measure(name=name, help=help_text, kinds=frozenset({LIVE.name}), keeping=keeping)


PEAK_VIEWERS = _viewers("max.viewers", "Most viewers that a heartbeat told.", Keeping.MAX)
WATCH_MS = _viewers("watch_ms", "Viewers x time to the next heartbeat, at most 60 s.")
COVERED_MS = _viewers("covered_ms", "Time that heartbeats cover, each to the next one, at most 60 s.")

# Kinds whose values come from clients without a closed list: their traffic cells have a cap.
CAPPED_KINDS = ON_SOME_EVENTS | ON_TRAFFIC - {"all", "platform", "surface", "platform,surface"}
CAPPED = Measure(
    name="capped",
    help="Events counted under `other` because a cap on values was met, by topic.",
    kinds=CAPPED_KINDS,
)


def _pipeline(name: str, help_text: str, per_currency: bool = False) -> Measure:
    return Measure(name=name, help=help_text, kinds=ON_PIPELINE, per_currency=per_currency)


ACCEPTED = _pipeline("accepted", "Records counted in figures.")
EXCLUDED = _pipeline("excluded", "Valid records of test, sample, replacement or bot traffic.")
DUPLICATES = _pipeline("duplicates", "Records whose identity was accepted before.")
LATE = _pipeline("late", "Records past the lateness limit, kept in the late topic.")
LATE_GMV = _pipeline("late_gmv", "Line values of late purchases.", per_currency=True)
MISPLACED = _pipeline("misplaced", "Records whose key belongs to another partition.")
SESSIONS_EXPIRED = _pipeline("sessions_expired", "Events of sessions that began more than a day before.")
DEAD_LETTERS: Mapping[Reason, Measure] = MappingProxyType(
    {
        reason: _pipeline(f"dead_letters.{reason}", f"Records in the dead-letter topic: {reason}.")
        for reason in Reason
        if reason is not Reason.LATE
    }
)

# Those of the stories stand in modules of their own: see `figures`.
BASE_MEASURES = (
    *EVENT_COUNTS.values(),
    *(ORDERS_IN_CURRENCY, ITEMS, GMV_PAID, BUYER_PAID, COMMISSION),
    *(REFUNDS, REFUNDS_OF_PURCHASES, UNATTRIBUTED_REFUNDS),
    *(ATTEMPTS, PAY_AUTHORISED, PAY_DECLINED, PAY_ERRORS, PAY_PENDING, PAY_CANCELLED),
    *(*SESSION_STEPS, *PROMPT_STEPS, *CHECKOUT_STEPS, *TIME_TO_CONVERT.values(), *USERS.values()),
    *(PEAK_VIEWERS, WATCH_MS, COVERED_MS, LIVE_STARTS, CAPPED),
    *(ACCEPTED, EXCLUDED, DUPLICATES, LATE, LATE_GMV, MISPLACED, SESSIONS_EXPIRED),
    *DEAD_LETTERS.values(),
)
