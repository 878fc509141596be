"""What is said of sharing and coming back: `/api/v1/virality` by window and channel, and the days of
mini-programs' returns.

The virality of the whole is a question like any other, over the whole minutes or hours that users have there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from verify import virality
from verify.api import TOP, Service, check_flat, compare_until_agreed, is_path_part
from verify.asked import CLOCK_SLACK_MS, Asked, Near, OneOf, ratio
from verify.compare import Report, scope_text
from verify.mini_programs import RETURNS
from verify.model import Scope
from verify.rules import DAY_MS
from verify.scopes import ALL, pair_value
from verify.totals import Range, Totals, is_askable, users_range
from verify.windows import WINDOW_MS, Piece, day_text, named

CHANNELS_SHOWN = 20
SHARED = ("events.share", "events.share_open")
RETURNS_DAYS = 100


def programs(totals: Totals) -> list[Scope]:
    """Some mini-programs that an address can name."""
    return [scope for scope in totals.scopes(0) if scope[0] == "mini_program" and is_path_part(scope[1])][
        :TOP
    ]


def compare_virality(report: Report, totals: Totals, service: Service) -> None:
    """The whole shop and mini-programs, over each window."""

    def compare(single: Report, question: tuple[Scope, str]) -> None:
        scope, window = question
        answer = service.ask("/api/v1/virality", {"scope": scope_text(*scope), "window": window})
        compare_window(single, totals, scope, window, answer, now_ms=service.clock_ms())

    asked = [(scope, window) for scope in (ALL, *programs(totals)) for window in WINDOW_MS]
    compare_until_agreed(report, asked, compare, service.pause)


def compare_window(
    report: Report, totals: Totals, scope: Scope, window: str, answer: Any, *, now_ms: int
) -> None:
    """One answer; `now_ms` is the clock when it was given."""
    where = f"api virality {scope_text(*scope)} {window}"
    if not isinstance(answer, dict) or not isinstance(answer.get("virality"), dict):
        report.check("answer", where, "virality", answer)
        return
    spans = {_span(totals, window, now_ms + away) for away in (-CLOCK_SLACK_MS, 0, CLOCK_SLACK_MS)}
    said = [span for span in spans if span and span[:2] == (answer.get("from_ms"), answer.get("to_ms"))]
    expected: dict[str, Any] = {
        "from_ms": OneOf({span and span.from_ms for span in spans}),
        "to_ms": OneOf({span and span.to_ms for span in spans}),
    }
    check_flat(report, where, expected, answer)
    panes = totals.pieces(*said[0][:2]) if said else None
    if not said or panes is None:
        return
    users = {"users_from_ms": said[0].from_ms, "users_to_ms": said[0].to_ms}
    asked = Asked(totals, scope, said[0], {**answer, **users}, now_ms)
    # A cap holds for each pane by itself, and a day's may be met where those of its hours are not.
    asked.sums = totals.over(scope, panes)
    asked.events_capped = totals.is_capped_in(scope[0], panes)
    asked.users_capped = asked.events_capped or totals.is_capped(scope[0], said[0])
    capped = asked.users_capped
    of_whole = {"scope": scope_text(*scope), "capped": capped, **virality.answer(asked)}
    check_flat(report, where, of_whole, answer)
    channels = {each["channel"]: each for each in answer["channels"]}
    ways = {way.name: way for way in _ways(totals, scope, panes)}
    report.check("channels", where, list(ways), [each["channel"] for each in answer["channels"]])
    for name in ways.keys() & channels.keys():
        check_flat(
            report, f"{where} {name}", _of_way(asked, ways[name], channels[name], panes), channels[name]
        )


class Way(NamedTuple):
    """A channel as an answer names it, the scope that tells of it there, and its sums over the range."""

    name: str
    scope: Scope
    sums: Counter[str]


def _span(totals: Totals, window: str, clock_ms: int) -> Range | None:
    """The whole minutes or hours of users that the window touches."""
    from_ms, to_ms = named(window, clock_ms)
    return users_range(Range(from_ms, to_ms, "1m"), max(clock_ms, totals.newest_ms))


def _ways(totals: Totals, scope: Scope, panes: list[Piece]) -> Iterator[Way]:
    """The shop's channels with most shares and opens; of the shop itself also that which nobody knows."""
    of_shop = totals.lately.values("channel", panes)
    shared = {name: sum(sums[measure] for measure in SHARED) for name, sums in of_shop.items()}
    names = sorted((name for name, n in shared.items() if n), key=lambda name: (-shared[name], name))
    names = names[:CHANNELS_SHOWN]
    if scope == ALL and "unknown" not in names:
        names.append("unknown")
    kind, of_scope = ("channel", of_shop)
    if scope != ALL:
        kind = "mini_program,channel"
        of_scope = totals.lately.values(kind, panes)
    for name in names:
        value = name if scope == ALL else pair_value(scope[1], name)
        if is_askable((kind, value)):
            yield Way(name, (kind, value), of_scope.get(value, Counter()))


def _of_way(whole: Asked, way: Way, said: Mapping[str, Any], panes: list[Piece]) -> dict[str, Any]:
    """A channel's own figures; its part of K by the answer's own estimate of the whole's users."""
    sums, span = way.sums, whole.span
    kind = way.scope[0]
    capped = whole.totals.is_capped_in(kind, panes)
    expected: dict[str, Any] = {
        "shares": sums["events.share"],
        "opens": sums["events.share_open"],
        "new_users": sums["new_users"],
    }
    if kind == "channel":
        capped = capped or whole.totals.is_capped(kind, span)
        expected["sharers"] = Near(whole.totals.user_count(way.scope, "share", span))
        per_sharer = ratio(sums["new_users"], said.get("sharers"))
        expected["new_users_per_sharer"] = None if capped else per_sharer
    active = whole.part("virality").get("active_users")
    is_known = sums["events.share"] and not capped and not whole.answer.get("capped")
    return expected | {"k_factor": ratio(sums["new_users"], active) if is_known else None}


def compare_returns(report: Report, totals: Totals, service: Service) -> None:
    """Of mini-programs each day of the log, of a long one the last of them."""
    whole = totals.whole()
    if whole is None:
        return
    end_ms = min(whole.to_ms, service.clock_ms() // DAY_MS * DAY_MS + DAY_MS)
    from_ms = max(whole.from_ms, end_ms - RETURNS_DAYS * DAY_MS)
    days = [Range(at, at + DAY_MS, "1d") for at in range(from_ms, end_ms, DAY_MS)]
    query = {"from": day_text(from_ms), "to": day_text(end_ms)}

    def compare(single: Report, scope: Scope) -> None:
        address = f"/api/v1/mini-programs/{quote(scope[1], safe='')}/returns"
        compare_days(single, totals, scope, days, service.ask(address, query))

    compare_until_agreed(report, programs(totals) if days else [], compare, service.pause)


def compare_days(report: Report, totals: Totals, scope: Scope, days: list[Range], answer: Any) -> None:
    """One table, row by row."""
    where = f"returns of {scope[1]}"
    rows = answer.get("days") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        report.check("answer", where, "days", answer)
        return
    report.check("days", where, [day_text(day.from_ms) for day in days], [row.get("day") for row in rows])
    as_of_ms = answer.get("as_of_ms")
    for day, row in zip(days, rows, strict=False):
        sums, is_capped = totals.of(scope, day), totals.is_capped(scope[0], day)
        expected: dict[str, Any] = {"opened": sums["returns.opened"], "capped": is_capped}
        for name, after in RETURNS.items():
            is_mature = isinstance(as_of_ms, int) and as_of_ms >= day.to_ms + after * DAY_MS
            came = sums[f"returns.{name}"] if is_mature else None
            share = None if is_capped else ratio(came, sums["returns.opened"])
            expected |= {name: came, f"{name}_per_opened": share, f"{name}_is_mature": is_mature}
        check_flat(report, f"{where} {row.get('day')}", expected, row)
