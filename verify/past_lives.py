"""A live against its creator's lives before it: what `/api/v1/lives/LIVE` must say of that.

From what each live sold minute by minute. How many minutes are over is for the reader's clock to say while a
live goes on; the answer names them, and they must fit the clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from verify.answers import half_even
from verify.api import TOP, Service, check_flat, compare_until_agreed, is_path_part
from verify.asked import CLOCK_SLACK_MS, OneOf
from verify.compare import Report
from verify.model import Room
from verify.panes import pane_start
from verify.rules import DAY_MS, MINUTE_MS
from verify.totals import Totals

COMPARED = 5
PERCENTILE_FROM = 3
MINUTES_MOST = DAY_MS // MINUTE_MS
ROOM_KEPT_MS = 35 * DAY_MS
NOTHING: Mapping[str, Any] = {"at_minute": None, "past_median": None, "past_percentile": None}
"""What is said of a live that is compared with none."""

Sold = Mapping[str, int]
"""By currency GMV paid, and under the empty name orders."""


def compare_lives(report: Report, totals: Totals, service: Service, all_lives: bool) -> None:
    """The lives with most events, or all of them, that their rooms told of."""
    asked = [of for kind, of in totals.scopes(None if all_lives else TOP) if kind == "live"]

    def compare(single: Report, live_id: str) -> None:
        answer = service.ask(f"/api/v1/lives/{quote(live_id, safe='')}", {})
        compare_live(single, totals, live_id, answer, now_ms=service.clock_ms())

    lives = [of for of in asked if of in totals.rooms and is_path_part(of) and is_told(totals, of)]
    compare_until_agreed(report, lives, compare, service.pause)


def is_told(totals: Totals, live_id: str) -> bool:
    """Whether all of the live's own events are still remembered: it may have begun again under its id."""
    return not totals.has_forgotten(totals.rooms[live_id].began_ms, ROOM_KEPT_MS)


def compare_live(report: Report, totals: Totals, live_id: str, answer: Any, *, now_ms: int) -> None:
    """What one answer says of the live itself and of those before it."""
    where = f"api live {live_id}"
    if not isinstance(answer, dict):
        report.check("answer", where, "a room", answer)
        return
    room = totals.rooms[live_id]
    clocks = range(now_ms - CLOCK_SLACK_MS, now_ms + CLOCK_SLACK_MS + 1, CLOCK_SLACK_MS)
    expected: dict[str, Any] = {
        "creator_id": room.creator_id,
        "started_ms": room.started_ms,
        "ended_ms": room.ended_ms,
        "minute": OneOf({_minute(room, at) for at in clocks}),
    }
    over = {_minutes_over(totals, room, at) for at in clocks}
    expected["compared_minutes"] = OneOf(over)
    said = answer.get("compared_minutes")
    minutes = said if said in over else min(over, key=str)
    past: list[Any] = []
    if minutes is None or room.started_ms is None:
        expected |= NOTHING
    else:
        currencies = currencies_of(answer)
        own = sold_by(totals, live_id, room.started_ms, minutes)
        before = lives_before(totals, live_id, room)
        sold = [sold_by(totals, of, start_ms, minutes) for start_ms, of in before]
        currencies |= {each for sums in (own, *sold) for each in sums if each}
        past = [
            (of, start_ms, _plain(sums, currencies))
            for (start_ms, of), sums in zip(before, sold, strict=True)
        ]
        expected |= _figures("at_minute", lambda name: own.get(name, 0), currencies)
        expected |= _middle(sold, currencies)
        expected |= _rank(own, sold, currencies)
    check_flat(report, where, expected, answer)
    report.check("past_lives", where, past, [_told(each) for each in answer.get("past_lives") or ()])


def lives_before(totals: Totals, live_id: str, room: Room) -> list[tuple[int, str]]:
    """(start, live) of the creator's latest lives that began before this one, of which minutes are kept."""
    if room.creator_id is None or room.started_ms is None:
        return []
    others = {of: start_ms for start_ms, of in totals.lives.get(room.creator_id, ()) if of != live_id}
    earlier = sorted(((at, of) for of, at in others.items() if at < room.started_ms), reverse=True)
    return [(at, of) for at, of in earlier[:COMPARED] if totals.keeps("1h", pane_start(at, "1h"))]


def sold_by(totals: Totals, live_id: str, started_ms: int, minutes: int) -> Counter[str]:
    """What a live sold in so many minutes of the clock, that of its start included."""
    from_ms = pane_start(started_ms, "1m")
    sold: Counter[str] = Counter()
    for minute_ms, sums in totals.sold_in_rooms.get(live_id, {}).items():
        if from_ms <= minute_ms < from_ms + minutes * MINUTE_MS:
            for measure, amount in sums.items():
                name, _, currency = measure.partition(":")
                sold[currency if name == "gmv_paid" else ""] += amount
    return sold


def currencies_of(answer: Mapping[str, Any]) -> set[str]:
    """Those that the answer names; amounts of nothing may stand there."""
    at_minute = answer.get("at_minute")
    named = at_minute.get("gmv_paid_minor") if isinstance(at_minute, dict) else None
    return set(named) if isinstance(named, dict) else set()


def _minute(room: Room, clock_ms: int) -> int | None:
    if room.started_ms is None:
        return None
    return (_until(room, room.started_ms, clock_ms) - room.started_ms) // MINUTE_MS


def _minutes_over(totals: Totals, room: Room, clock_ms: int) -> int | None:
    """Whole minutes of the clock since the start; None where no comparison is made."""
    if room.started_ms is None or not totals.keeps("1h", pane_start(room.started_ms, "1h")):
        return None
    until_ms = _until(room, room.started_ms, clock_ms)
    minutes = (pane_start(until_ms, "1m") - pane_start(room.started_ms, "1m")) // MINUTE_MS
    return minutes if 1 <= minutes <= MINUTES_MOST else None


def _until(room: Room, started_ms: int, clock_ms: int) -> int:
    ended_ms = clock_ms if room.ended_ms is None else room.ended_ms
    return max(min(ended_ms, clock_ms), started_ms)


def _figures(
    head: str, figure_of: Callable[[str], float | int | None], currencies: set[str]
) -> dict[str, float | int | None]:
    gmv = {f"{head}.gmv_paid_minor.{currency}": figure_of(currency) for currency in currencies}
    return gmv | {f"{head}.orders": figure_of("")}


def _middle(sold: list[Counter[str]], currencies: set[str]) -> dict[str, Any]:
    if not sold:
        return {"past_median": None}

    def median(name: str) -> int | None:
        ascending = sorted(sums[name] for sums in sold)
        return half_even(ascending[(len(sold) - 1) // 2] + ascending[len(sold) // 2], 2)

    return _figures("past_median", median, currencies)


def _rank(own: Sold, sold: list[Counter[str]], currencies: set[str]) -> dict[str, Any]:
    if len(sold) < PERCENTILE_FROM:
        return {"past_percentile": None}

    def percent(name: str) -> float | None:
        if name and not own.get(name, 0) and not any(sums[name] for sums in sold):
            return None  # nobody sold in this currency
        lower = sum(sums[name] < own.get(name, 0) for sums in sold)
        equal = sum(sums[name] == own.get(name, 0) for sums in sold)
        return (lower + equal / 2) * 100 / len(sold)

    return _figures("past_percentile", percent, currencies)


def _plain(sums: Sold, currencies: set[str]) -> dict[str, int]:
    return {name: amount for name in sorted({*currencies, ""}) if (amount := sums.get(name, 0))}


def _told(past: Any) -> Any:
    """A past live as an answer names it, without amounts of nothing."""
    if not isinstance(past, dict):
        return past
    sums = {**past.get("gmv_paid_minor", {}), "": past.get("orders")}
    return past.get("live_id"), past.get("started_ms"), _plain(sums, set(sums))
