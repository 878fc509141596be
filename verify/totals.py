"""What an answer must say: recomputed panes of all partitions put together over a range.

Between the recomputation and the questions to the read service. Of kinds with many values only what is
asked for later is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from verify.compare import scope_text
from verify.days import Days
from verify.lately import Lately
from verify.model import Due, PaneKey, PartitionExpected, Room, Rule, Scope, Users, put_together
from verify.panes import is_kept_for_answers, pane_start
from verify.rules import DAY_MS, HOUR_MS, MINUTE_MS, SIZE_MS, SKETCH_KEPT_MS, Rules
from verify.scopes import (
    DUE_SIZES,
    EVENT_KINDS,
    FIELD,
    LINE_KINDS,
    ORDER_KINDS,
    PLATFORM_CREATOR,
    PRODUCT_SKU,
    REASONS,
    ROOM_HEAD,
    RULE_ARM,
    pair_value,
    two_values,
)
from verify.stock import Shelves
from verify.windows import Piece, pieces

NEVER_ASKED = (RULE_ARM, *REASONS, "pipeline")
IN_FULL = (*ORDER_KINDS, "app", *NEVER_ASKED)
"""Kinds of which every pane is kept: there are few values, or a month of days is asked for."""
RECENT = (("1d", 2), ("1h", 3), ("1m", 5), ("10s", 3))
"""The last panes of each size, which are kept for all scopes; those of a day hold the users of the others."""

MANY_KINDS = (*LINE_KINDS, *EVENT_KINDS)
"""Kinds of as many scopes as there are products or codes."""


LIVES_REMEMBERED = 20
"""So many latest lives of a creator are known of each partition number."""


class Range(NamedTuple):
    """[from_ms, to_ms), to be composed of panes of `size`."""

    from_ms: int
    to_ms: int
    size: str


class Totals:
    """Sums per range and scope. `h` is the highest event time over all partitions."""

    def __init__(self, h: int, rules: Rules) -> None:
        self.shelves = Shelves()
        self.by_day = Days()
        self.rooms: dict[str, Room] = {}
        self.lately = Lately(h)
        # By creator (start, live), of each partition number the latest.
        self.lives: dict[str, list[tuple[int, str]]] = {}
        # By live what it sold in which minute of the clock.
        self.sold_in_rooms: dict[str, dict[int, Counter[str]]] = {}
        self.redirections: list[Mapping[str, Rule]] = []
        self._h = h
        self.rules = rules
        self._panes: dict[PaneKey, Counter[str]] = {}
        self._lines: dict[Scope, Counter[str]] = {}
        self._days: set[int] = set()
        self._capped: Counter[PaneKey] = Counter()
        # Items by product or SKU, and by pane.
        self._units: dict[Scope, Counter[Piece]] = {}
        # By scope and pane: (hour since 1970, currency, amount).
        self._due: dict[tuple[Scope, str, int], list[tuple[int, str, int]]] = {}
        self._users: list[Users] = []
        # By day and stored (platform, creator).
        self._creators: dict[int, dict[str, Counter[str]]] = {}

    def add(self, part: PartitionExpected) -> None:
        """What one partition amounts to."""
        self.shelves.merge(part)
        self.rooms.update(part.rooms)
        self._add_lives(part.rooms)
        self.redirections.append(part.redirections)
        self._users.append(part.users)
        self._add_due(part.due)
        for key, fields in part.panes.items():
            kind, size, start_ms = key
            if not is_kept_for_answers(start_ms, size, self._h, self.rules):
                continue
            self._capped[key] += sum(n for name, n in fields.items() if name.startswith("capped|"))
            self.lately.add(key, fields)
            if kind.startswith(ROOM_HEAD):
                self._add_sold(kind.removeprefix(ROOM_HEAD), start_ms, fields)
            if kind in ("product", PRODUCT_SKU):
                self._add_units(key, fields)
            if kind == PLATFORM_CREATOR:
                self._add_creators(start_ms, fields)
            if kind in IN_FULL:
                self._add_fields(key, fields)
            elif kind in MANY_KINDS:
                self._add_lines(key, fields)
            if size == "1d":
                self._days.add(start_ms)
                self.by_day.add(kind, start_ms, fields)

    def _add_lives(self, rooms: Mapping[str, Room]) -> None:
        by_creator: dict[str, list[tuple[int, str]]] = {}
        for live_id, room in rooms.items():
            if room.creator_id is not None and room.started_ms is not None:
                by_creator.setdefault(room.creator_id, []).append((room.started_ms, live_id))
        for creator, lives in by_creator.items():
            self.lives.setdefault(creator, []).extend(sorted(lives)[-LIVES_REMEMBERED:])

    def _add_sold(self, live_id: str, hour_ms: int, fields: Mapping[str, int]) -> None:
        minutes = self.sold_in_rooms.setdefault(live_id, {})
        for name, amount in fields.items():
            measure, _, place = name.partition("|")
            if place.startswith("m"):
                minute_ms = hour_ms + int(place[1:]) * MINUTE_MS
                minutes.setdefault(minute_ms, Counter())[measure] += amount

    def _add_creators(self, start_ms: int, fields: Mapping[str, int]) -> None:
        day = self._creators.setdefault(start_ms, {})
        for name, amount in fields.items():
            measure, _, value = name.partition("|")
            day.setdefault(value, Counter())[measure] += amount

    def creators(self, from_ms: int, to_ms: int, platform: str | None) -> dict[str, Counter[str]]:
        """What each creator did on the days of [from, to), on one platform or (None) on all."""
        found: dict[str, Counter[str]] = {}
        for day, by_value in self._creators.items():
            for value, sums in by_value.items() if from_ms <= day < to_ms else ():
                on, creator = two_values(value)
                if platform in (None, on):
                    found.setdefault(creator, Counter()).update(sums)
        return found

    def _add_units(self, key: PaneKey, fields: Mapping[str, int]) -> None:
        for name, amount in fields.items():
            measure, _, value = name.partition("|")
            if measure == "items":
                self._units.setdefault((key[0], value), Counter())[key[1:]] += amount

    def _add_due(self, dues: Iterable[Due]) -> None:
        for scope, time_ms, hour, currency, amount in dues:
            for size in SIZE_MS:
                start_ms = pane_start(time_ms, size)
                if is_kept_for_answers(start_ms, size, self._h, self.rules):
                    self._due.setdefault((scope, size, start_ms), []).append((hour, currency, amount))

    def final(self, scope: Scope, span: Range, as_of_ms: int | None) -> Counter[str]:
        """The scope's commission over the range that is final by then, by currency."""
        found: Counter[str] = Counter()
        for start_ms in _starts(span) if as_of_ms is not None else ():
            for hour, currency, amount in self._due.get((scope, span.size, start_ms), ()):
                # Of shorter panes it is not kept by the hour, but known once all of it must be final.
                due_ms = hour * HOUR_MS if span.size in DUE_SIZES else self._all_final_ms(span.size, start_ms)
                if as_of_ms is not None and due_ms <= as_of_ms:
                    found[currency] += amount
        return found

    def _all_final_ms(self, size: str, start_ms: int) -> int:
        return start_ms + SIZE_MS[size] + self.rules.all_final_ms

    def _add_lines(self, key: PaneKey, fields: Mapping[str, int]) -> None:
        kind, size, start_ms = key
        if start_ms >= self._recent_from(size):
            self._add_fields(key, fields)
        if size == "1d":
            for name, amount in fields.items():
                measure, _, value = name.partition("|")
                if measure != "capped":
                    put_together(self._lines.setdefault((kind, value), Counter()), measure, measure, amount)

    def _add_fields(self, key: PaneKey, fields: Mapping[str, int]) -> None:
        # A Counter drops nothing on +=, unlike its operators: sums may be negative.
        kept = self._panes.setdefault(key, Counter())
        for name, amount in fields.items():
            put_together(kept, name, name, amount)

    def days(self) -> list[Range]:
        """Each day that holds anything."""
        return [Range(day, day + SIZE_MS["1d"], "1d") for day in sorted(self._days)]

    def whole(self) -> Range | None:
        """From the first day that holds anything to the end of the last."""
        return Range(min(self._days), max(self._days) + SIZE_MS["1d"], "1d") if self._days else None

    def recent(self) -> list[Range]:
        """The last hours, minutes and tens of seconds before the highest event time, one range a size."""
        return [
            Range(self._recent_from(size), pane_start(self._h, size) + SIZE_MS[size], size)
            for size, _ in RECENT
            if size != "1d" and is_kept_for_answers(self._recent_from(size), size, self._h, self.rules)
        ]

    def scopes(self, top: int | None) -> list[Scope]:
        """Every order-level scope and app; of each line-level kind the `top` with most events (None: all).

        Without those that a reader can't write down.
        """
        found: set[Scope] = set()
        for (kind, size, _), fields in self._panes.items():
            if kind in IN_FULL and kind not in NEVER_ASKED and size == "1d":
                values = (name.partition("|") for name in fields)
                found.update((kind, value) for measure, _, value in values if measure != "capped")
        for kind in MANY_KINDS:
            ranked = sorted(
                (scope for scope in self._lines if scope[0] == kind),
                key=lambda scope: (-_weight(self._lines[scope]), scope),
            )
            found.update(ranked[:top])
        return sorted(scope for scope in found if is_askable(scope))

    def of(self, scope: Scope, span: Range) -> Counter[str]:
        """The scope's sums per measure over the range; of `max.` measures the highest."""
        kind, wanted = scope
        if kind not in IN_FULL and span == self.whole():
            return self._lines.get(scope, Counter())
        total: Counter[str] = Counter()
        for start_ms in _starts(span):
            for name, amount in self._panes.get((kind, span.size, start_ms), Counter()).items():
                measure, _, value = name.partition("|")
                if value == wanted and measure != "capped":
                    put_together(total, measure, measure, amount)
        return total

    def over(self, scope: Scope, panes: Iterable[Piece]) -> Counter[str]:
        """The scope's sums over panes of several sizes, of a kind that is kept as a whole."""
        total: Counter[str] = Counter()
        for size, start_ms in panes:
            total.update(self.of(scope, Range(start_ms, start_ms + SIZE_MS[size], size)))
        return total

    @property
    def newest_ms(self) -> int:
        """The highest event time."""
        return self._h

    def is_capped(self, kind: str, span: Range) -> bool:
        """Whether any event of this kind of scope was moved to `other` in the range."""
        return any(self._capped[kind, span.size, start_ms] for start_ms in _starts(span))

    def is_capped_in(self, kind: str, panes: Iterable[Piece]) -> bool:
        """The same over panes of several sizes: each has a cap of its own."""
        return any(self._capped[kind, *pane] for pane in panes)

    def user_count(self, scope: Scope, step: str, span: Range) -> int:
        """Distinct users of a step over the panes of the range; partitions have different ones."""
        name = f"{step}:{scope[0]}:{scope[1]}"
        count = 0
        for users in self._users:
            distinct: set[int] = set()
            for start_ms in _starts(span):
                distinct.update(users.get((span.size, start_ms), {}).get(name, ()))
            count += len(distinct)
        return count

    def values(self, kind: str, span: Range) -> dict[str, Counter[str]]:
        """All values of a kind that is kept as a whole, each with its sums per measure over the range."""
        found: dict[str, Counter[str]] = {}
        for start_ms in _starts(span):
            for name, amount in self._panes.get((kind, span.size, start_ms), Counter()).items():
                measure, _, value = name.partition("|")
                found.setdefault(value, Counter())[measure] += amount
        return found

    def pieces(self, from_ms: int, to_ms: int, longest_ms: int = DAY_MS) -> list[Piece] | None:
        """The panes of at most this length that make up a range; None where some of it is kept no longer."""
        return pieces(from_ms, to_ms, self._h, self.rules, longest_ms)

    def border_before(self, time_ms: int) -> tuple[int, str] | None:
        """The border at or before a moment of the finest size kept there, and that size."""
        for size in SIZE_MS:
            start_ms = pane_start(time_ms, size)
            if is_kept_for_answers(start_ms, size, self._h, self.rules):
                return start_ms, size
        return None

    def units_sold(self, product_id: str, sku_id: str, since_ms: int, size: str) -> int:
        """Items of a SKU from a border on, in panes of this size; of the empty SKU all of the product's."""
        units = self._units_of(product_id, sku_id)
        return sum(n for (of, start_ms), n in units.items() if of == size and start_ms >= since_ms)

    def units_in(self, pane: Piece, product_id: str, sku_id: str) -> int:
        """Items of a SKU in one pane; of the empty SKU all of the product's."""
        return self._units_of(product_id, sku_id)[pane]

    def _units_of(self, product_id: str, sku_id: str) -> Counter[Piece]:
        scope = (PRODUCT_SKU, pair_value(product_id, sku_id)) if sku_id else ("product", product_id)
        return self._units.get(scope, Counter())

    def keeps(self, size: str, start_ms: int) -> bool:
        """Whether an answer may use a pane."""
        return is_kept_for_answers(start_ms, size, self._h, self.rules)

    def since(self, scope: Scope, measure: str, from_ms: int, to_ms: int, size: str) -> int | None:
        """A measure of a scope from a border to the end of a range, in panes of this size.

        None where these are not kept, or (of line-level scopes) not all of them here.
        """
        kind, value = scope
        end_ms = min(to_ms, pane_start(self._h, size) + SIZE_MS[size])
        known_from_ms = self._recent_from(size) if kind in LINE_KINDS else from_ms
        if not is_kept_for_answers(from_ms, size, self._h, self.rules) or from_ms < known_from_ms:
            return None
        panes = (self._panes.get((kind, size, at), Counter()) for at in range(from_ms, end_ms, SIZE_MS[size]))
        return sum(pane[f"{measure}|{value}"] for pane in panes)

    def has_day(self, start_ms: int) -> bool:
        """Whether answers may still use the day that begins then."""
        return is_kept_for_answers(start_ms, "1d", self._h, self.rules)

    def has_forgotten(self, time_ms: int, kept_ms: int) -> bool:
        """Whether a moment lies further back than so much before the highest event time."""
        return time_ms < self._h - kept_ms

    def quality(self, span: Range) -> dict[str, int]:
        """Counts of the pipeline over all topics in the range."""
        names = "accepted duplicates late dead_letters excluded sessions_expired misplaced"
        result = dict.fromkeys(names.split(), 0)
        for start_ms in _starts(span):
            for name, amount in self._panes.get(("pipeline", span.size, start_ms), Counter()).items():
                measure = name.partition("|")[0].partition(".")[0]
                if measure in result:
                    result[measure] += amount
        return result

    def _recent_from(self, size: str) -> int:
        panes = dict(RECENT)[size]
        return pane_start(self._h, size) - (panes - 1) * SIZE_MS[size]


def users_range(span: Range, now_ms: int, sizes: Sequence[str] = tuple(SKETCH_KEPT_MS)) -> Range | None:
    """The whole panes of users that a range touches: minutes, hours or days, by how far back it begins."""
    kept = [size for size in sizes if span.from_ms >= now_ms - SKETCH_KEPT_MS[size]]
    return touched(span, kept[0]) if kept else None


def touched(span: Range, size: str) -> Range:
    """The whole panes of a size that a range touches."""
    return Range(pane_start(span.from_ms, size), pane_start(span.to_ms - 1, size) + SIZE_MS[size], size)


def is_askable(scope: Scope) -> bool:
    """Whether a reader can write the scope down: no value may look like the second half of a pair."""
    halves = sum(scope_text(*scope).count(f",{kind}:") for kind in FIELD)
    return halves == scope[0].count(",")


def _starts(span: Range) -> range:
    return range(span.from_ms, span.to_ms, SIZE_MS[span.size])


def _weight(sums: Mapping[str, int]) -> int:
    return sum(amount for measure, amount in sums.items() if measure.startswith("events."))
