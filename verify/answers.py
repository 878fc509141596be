"""What an answer must say, figure by figure, from the recomputation; asked of the read service by `api`.

Flat names ("money.USD.gmv_paid_minor") and what they must be: a value, or what a value must be near to or
one of. Events and currencies that an answer has beyond the contract's are expected too: they must be right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from verify import stories
from verify.asked import ABSENT, Asked, Near, OneOf, ratio
from verify.compare import scope_text
from verify.model import Scope
from verify.pace import Pace
from verify.rules import DAY_MS, SECOND_MS
from verify.scopes import (
    EVENT_KINDS,
    LINE_KINDS,
    WITH_REPEAT_BUYERS,
    WITH_SESSIONS,
    WITH_USERS,
    WITHOUT_TRAFFIC,
)
from verify.sessions import BUCKETS_S, FUNNELS
from verify.totals import Range, Totals
from verify.users import STANDARD_ERROR

OF_ORDERS = ("ratios.", "money.")
ANSWER_EVENTS = ("view", "product_impression", "tag_tap", "add_to_cart", "begin_checkout", "purchase")
PAYMENTS = ("attempts", "authorised", "declined", "errors", "pending")
USERS = ("view", "tag_tap", "add_to_cart", "purchase", "repeat_purchase")
MONEY_WHERE_GIVEN = frozenset({"unattributed_refunds_minor"})
SESSIONS = tuple(name for name, _ in FUNNELS["sessions"])
CHECKOUTS = tuple(name for name, _ in FUNNELS["checkouts"])

HEARTBEAT_FRESH_MS = 60 * SECOND_MS
ROOM_KEPT_MS = 35 * DAY_MS
PINS_SHOWN = 20
LOW_MINUTES = 30
LOW_UNITS = 10


def expected_answer(
    totals: Totals, scope: Scope, span: Range, answer: Mapping[str, Any], now_ms: int
) -> dict[str, Any]:
    """All flat names; `now_ms` is the clock when the answer was given."""
    asked = Asked(totals, scope, span, answer, now_ms)
    expected: dict[str, Any] = {
        "scope": scope_text(*scope),
        "from_ms": span.from_ms,
        "to_ms": span.to_ms,
        "capped": asked.events_capped or asked.sessions_capped or asked.users_capped,
    }
    expected |= _sessions(asked) | _users(asked)
    if asked.kind in EVENT_KINDS:
        expected |= {"orders": None, "items": None, "events": None, "money": ABSENT, "ratios": ABSENT}
        expected |= _events_by_type(asked) | {f"users.{step}": None for step in USERS}
    else:
        expected["orders"] = sum(n for measure, n in asked.sums.items() if measure.startswith("orders:"))
        expected["items"] = asked.sums["items"]
        expected |= _events(asked) | _events_by_type(asked) | _money(asked) | _ratios(asked)
    if asked.kind not in LINE_KINDS + EVENT_KINDS and (asked.sums["pay.attempts"] or "payments" in answer):
        expected |= {f"payments.{state}": asked.sums[f"pay.{state}"] for state in PAYMENTS}
        attempts = asked.sums["pay.attempts"]
        expected["payments.success_rate"] = asked.sums["pay.authorised"] / attempts if attempts else None
    if asked.kind == "live":
        expected |= _viewers(asked) | _pinned(asked)
    if asked.kind == "product":
        expected |= _stock(asked)
    for answer_of in stories.ANSWERS:
        expected |= answer_of(asked)
    if asked.kind in EVENT_KINDS:
        # No story has a share there, or money: these groups are empty.
        expected = {name: figure for name, figure in expected.items() if not name.startswith(OF_ORDERS)}
    return expected | {f"quality.{name}": count for name, count in totals.quality(span).items()}


def _events(asked: Asked) -> dict[str, Any]:
    expected: dict[str, Any] = {}
    for name in {*ANSWER_EVENTS, *asked.part("events")}:
        expected[f"events.{name}"] = asked.views if name == "view" else asked.sums[f"events.{name}"]
    return expected


def _events_by_type(asked: Asked) -> dict[str, int]:
    return {f"events_by_type.{name}": asked.sums[f"events.{name}"] for name in asked.part("events_by_type")}


def _money(asked: Asked) -> dict[str, Any]:
    sums = asked.sums
    expected: dict[str, Any] = {}
    per_currency = {measure.partition(":") for measure, n in sums.items() if ":" in measure and n}
    for currency in {currency for _, _, currency in per_currency} | asked.part("money").keys():
        # Views by gateway do not exist, and with a cap not all are told: nothing can be said per view.
        views = 0 if asked.kind in WITHOUT_TRAFFIC or asked.events_capped else asked.views
        amounts = money(sums, currency, views)
        amounts |= _gmv_per_buyer(asked, currency)
        said = asked.part("money").get(currency, {})
        for name, amount in amounts.items():
            if name not in MONEY_WHERE_GIVEN or name in said:
                expected[f"money.{currency}.{name}"] = amount
    return expected


def money(sums: Counter[str], currency: str, views: int) -> dict[str, int | None]:
    """The amounts of one currency, in minor units."""
    gmv, orders = sums[f"gmv_paid:{currency}"], sums[f"orders:{currency}"]
    of_purchases = sums[f"refunds_of_purchases:{currency}"]
    return {
        "gmv_paid_minor": gmv,
        "buyer_paid_minor": sums[f"buyer_paid:{currency}"],
        "refunds_minor": sums[f"refunds:{currency}"],
        "refunds_of_purchases_minor": of_purchases,
        "gmv_net_minor": gmv - of_purchases,
        "commission_minor": sums[f"commission:{currency}"],
        "unattributed_refunds_minor": sums[f"unattributed_refunds:{currency}"],
        "aov_minor": half_even(gmv, orders),
        "gmv_per_1000_view_events_minor": half_even(gmv * 1000, views),
    }


def half_even(amount: int, count: int) -> int | None:
    """amount / count as a whole number, halves to the even one; None for a count of 0."""
    if count == 0:
        return None
    whole, rest = divmod(amount, count)
    return whole + (2 * rest > count or (2 * rest == count and whole % 2 == 1))


def _gmv_per_buyer(asked: Asked, currency: str) -> dict[str, int | None]:
    """By the answer's own estimate of buyers, which is held to the truth by itself; of one currency alone.

    Of lives and creators those lines alone that name them: only these have buyers.
    """
    name, measure = "gmv_per_buyer_minor", "gmv_paid"
    if asked.kind in ("live", "creator"):
        name, measure = "gmv_own_per_buyer_minor", "attribution.gmv_own"
    buyers = asked.part("users").get("purchase")
    if asked.users_capped or asked.users_range is None or not isinstance(buyers, int):
        return {name: None}
    same = asked.users_range[:2] == asked.span[:2]
    sums = asked.sums if same else asked.totals.of(asked.scope, asked.users_range)
    paid_in = {each for each, n in sums.items() if each.startswith("orders:") and n}
    told = paid_in == {f"orders:{currency}"}
    return {name: half_even(sums[f"{measure}:{currency}"], buyers) if told else None}


def _sessions(asked: Asked) -> dict[str, Any]:
    if asked.kind not in WITH_SESSIONS:
        nothing = dict.fromkeys((f"sessions.{name}" for name in SESSIONS), None)
        absent = dict.fromkeys((f"checkouts.{name}" for name in CHECKOUTS), ABSENT)
        return nothing | absent | {f"time_to_convert.p{percent}_seconds": ABSENT for percent in (50, 90)}
    expected: dict[str, Any] = {}
    for funnel, names in (("sessions", SESSIONS), ("checkouts", CHECKOUTS)):
        expected |= {f"{funnel}.{name}": asked.sums[f"{funnel}.{name}"] for name in names}
    for percent in (50, 90):
        seconds = None if asked.sessions_capped else quantile_s(asked.sums, percent)
        expected[f"time_to_convert.p{percent}_seconds"] = seconds
    return expected


def quantile_s(sums: Mapping[str, int], percent: int) -> float | None:
    """Seconds to convert that so many per cent of the sessions stayed below; linear within a bucket."""
    counts = [sums.get(f"time_to_convert.{upper}", 0) for upper in BUCKETS_S]
    rank = sum(counts) * percent / 100
    for number, count in enumerate(counts):
        below = sum(counts[:number])
        if count and below + count >= rank:
            lower = BUCKETS_S[number - 1] if number else 0
            return lower + (BUCKETS_S[number] - lower) * (rank - below) / count
    return None


def _users(asked: Asked) -> dict[str, Any]:
    span = asked.users_range
    counts: dict[str, Any] = {
        f"users.{step}": None
        if span is None or asked.kind not in WITH_USERS
        else Near(asked.totals.user_count(asked.scope, step, span))
        for step in USERS
    }
    if asked.kind in WITH_USERS - WITH_REPEAT_BUYERS:
        counts["users.repeat_purchase"] = ABSENT
    return counts | {
        "users_standard_error": None if span is None else STANDARD_ERROR,
        "users_from_ms": OneOf({each and each.from_ms for each in asked.users_ranges}),
        "users_to_ms": OneOf({each and each.to_ms for each in asked.users_ranges}),
    }


def _ratios(asked: Asked) -> dict[str, float | None]:
    sums, kind = asked.sums, asked.kind
    views, taps, orders = asked.views, sums["events.tag_tap"], sums["events.purchase"]
    view, tap, cart, bought = (sums[f"sessions.{name}"] for name in SESSIONS)
    begun, paid = sums["checkouts.begin_checkout"], sums["checkouts.purchase"]
    users = asked.part("users")
    of_events = {
        "tag_taps_per_view_events": ratio(taps, views),
        "orders_per_tag_tap": ratio(orders, taps),
    }
    of_sessions = {
        "purchases_per_view_sessions": ratio(bought, view),
        "tag_taps_per_view_sessions": ratio(tap, view),
        "add_to_carts_per_tag_tap_sessions": ratio(cart, tap),
        "purchases_per_add_to_cart_sessions": ratio(bought, cart),
        "cart_abandonment_per_add_to_cart_sessions": ratio(cart - bought, cart),
        "checkout_abandonment_per_begin_checkout_sessions": ratio(begun - paid, begun),
    }
    of_users = {"repeat_buyers_per_buyers": ratio(users.get("repeat_purchase"), users.get("purchase"))}
    expected: dict[str, float | None] = {}
    for figures, is_told in (
        (of_events, kind not in WITHOUT_TRAFFIC and not asked.events_capped),
        (of_sessions, kind in WITH_SESSIONS and not asked.sessions_capped),
        (of_users, kind in WITH_REPEAT_BUYERS and not asked.users_capped),
    ):
        expected |= {f"ratios.{name}": figure if is_told else None for name, figure in figures.items()}
    return expected


def _viewers(asked: Asked) -> dict[str, Any]:
    sums = asked.sums
    room = asked.totals.rooms.get(asked.value)
    now: set[int | None] = {None}
    if room is not None and room.heartbeat is not None:
        heartbeat_ms, viewers = room.heartbeat
        now = {viewers if at - heartbeat_ms <= HEARTBEAT_FRESH_MS else None for at in asked.clock_ms}
    peak = sums["max.viewers"]
    return {
        "viewers.now": OneOf(now),
        # Whether a heartbeat told of nobody, or none came, the sums do not tell.
        "viewers.peak": peak or OneOf({None, 0}),
        "viewers.average": ratio(sums["watch_ms"], sums["covered_ms"]),
        "viewers.watch_seconds": sums["watch_ms"] // SECOND_MS if sums["covered_ms"] else OneOf({None, 0}),
    }


def _pinned(asked: Asked) -> dict[str, Any]:
    """Which products are pinned, and since which border; what they sold since is not recomputed."""
    room = asked.totals.rooms.get(asked.value)
    if room is not None and asked.totals.has_forgotten(room.began_ms, ROOM_KEPT_MS):
        return {}
    pinned = {} if room is None else room.pinned
    said = asked.answer.get("pinned")
    shown = (
        [each.get("product_id") for each in said if isinstance(each, dict)] if isinstance(said, list) else []
    )
    wanted = list(pinned)
    if len(pinned) > PINS_SHOWN:
        # Which of those that were pinned first among them are left out is not said.
        first_ms = sorted(pinned.values())[-PINS_SHOWN]
        wanted = [of for of, at_ms in pinned.items() if at_ms > first_ms or of in shown]
    borders = {of: asked.totals.border_before(pinned[of]) for of in wanted}
    expected: dict[str, Any] = {f"pinned.{of}.since_ms": ABSENT for of in shown if of not in pinned}
    for of, border in borders.items():
        expected[f"pinned.{of}.since_ms"] = border and border[0]
        expected |= _listed(asked, of, f"pinned.{of}.")
    return expected


def _listed(asked: Asked, product_id: str, head: str = "") -> dict[str, Any]:
    """What a product is called and costs, as it was listed last; null while it was not."""
    listed = asked.totals.shelves.titles.get(product_id)
    return {
        f"{head}title": listed and listed.title,
        f"{head}unit_price_minor": listed and listed.unit_price_minor,
        f"{head}currency": listed and listed.currency,
    }


def _stock(asked: Asked) -> dict[str, Any]:
    totals, product_id = asked.totals, asked.value
    expected: dict[str, Any] = {}
    if product_id in totals.shelves.titles:
        expected |= _listed(asked, product_id)
    known = units_left(totals, product_id)
    left = [units for units, _ in known.values()]
    if not left:
        return expected | {"stock": None}
    units = sum(left)
    lasts = {Pace(totals, at).minutes_left(product_id, units) for at in asked.clock_ms}
    return expected | {
        "stock.minutes_left": OneOf(lasts),
        "stock.units": units,
        "stock.oversold_units": sum(max(0, -each) for each in left),
        "stock.since_ms": min(since_ms for _, since_ms in known.values()),
        "stock.state": stock_state(left, asked.part("stock").get("minutes_left")),
    }


def units_left(totals: Totals, product_id: str) -> dict[str, tuple[int, int]]:
    """By SKU (or empty) the units left and since when sales count; nothing if of one that is not known."""
    found: dict[str, tuple[int, int]] = {}
    for sku_id, stock in totals.shelves.of(product_id):
        border = totals.border_before(stock.time_ms)
        if border is None:
            # So long ago that nothing can be said of what was sold since.
            return {}
        found[sku_id] = stock.units - totals.units_sold(product_id, sku_id, *border), border[0]
    return found


def stock_state(left: list[int], minutes_left: float | None) -> str:
    """By the answer's own rate: how fast a product sells depends on the reader's clock."""
    if min(left) < 0:
        return "oversold"
    if sum(left) == 0:
        return "out"
    low = sum(left) <= LOW_UNITS if minutes_left is None else minutes_left <= LOW_MINUTES
    return "low" if low else "in_stock"
