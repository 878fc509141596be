"""How far figures can be trusted: as of when, how complete, in which state. Pure arithmetic.

It stands beside the read model, which brings the watermarks, and decides nothing else. A figure is as good
as the slowest topic-partition that it reads; a watermark that was never published counts as no progress.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import accumulate
from statistics import median

from schemas.events import INPUT_TOPICS, TYPES_OF_TOPIC
from streams.catalogue import EVENT_COUNTS
from streams.window import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

# The worker publishes watermarks this far behind the clock, so nothing can be complete beyond.
WATERMARK_DELAY_MS = 10 * SECOND_MS
STALE_AFTER_MS = 60 * SECOND_MS
FINAL_AFTER_MS = 10 * MINUTE_MS
# Heartbeats come every 10 s. Without them a pause must be as long, or each gap of a busy topic were silence.
SILENT_AFTER_MS = 30 * SECOND_MS
SILENT_EXPECTED = 20
# Workers write at least once a second. Whoever has not written for so long may not have looked.
LOOKED_WITHIN_MS = 15 * SECOND_MS
# Listings and stock change when they change: their quiet means nothing unless heartbeats say otherwise.
QUIET_TOPICS = frozenset({"catalogue"})
# A pace over less than this says nothing about a source.
PACE_MIN_MS = 5 * MINUTE_MS
# What a source's pace is taken from: hours that begin so long before that of its last record, and that one.
PACE_FROM_MS = DAY_MS + HOUR_MS
HOURS_A_DAY = DAY_MS // HOUR_MS


class State(StrEnum):
    """What can be said of an answer, the worst first."""

    SOURCE_SILENT = "source_silent"
    STALE = "stale"
    FINAL = "final"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Trust:
    """Of one answer: the three keys of the contract, and the topics whose source is silent."""

    as_of_ms: int | None
    completeness: float | None
    state: State
    silent_topics: frozenset[str]


@cache
def topics_read_by(kind: str) -> tuple[str, ...]:
    """The topics with an event type that is counted for this kind of scope; its money, sessions and users
    come with them."""
    counted = {cls for cls, measure in EVENT_COUNTS.items() if kind in measure.kinds}
    return tuple(topic for topic in INPUT_TOPICS if counted & TYPES_OF_TOPIC[topic])


def judge(
    watermarks: Sequence[int | None], range_ms: tuple[int, int], now_ms: int, silent_topics: Collection[str]
) -> Trust:
    """The trust in figures over [from, to), from the watermarks of all topic-partitions that they read."""
    from_ms, to_ms = range_ms
    as_of = as_of_ms(watermarks)
    return Trust(
        as_of_ms=as_of,
        completeness=completeness(watermarks, from_ms, to_ms, now_ms),
        state=_state(as_of, to_ms, now_ms, bool(silent_topics)),
        silent_topics=frozenset(silent_topics),
    )


def as_of_ms(watermarks: Sequence[int | None]) -> int | None:
    """The lowest watermark; None while one is not known, or there is none."""
    known = [watermark for watermark in watermarks if watermark is not None]
    return min(known, default=None) if len(known) == len(watermarks) else None


def completeness(watermarks: Sequence[int | None], from_ms: int, to_ms: int, now_ms: int) -> float | None:
    """The mean part of the range, as far as it lies in the past, that watermarks have passed (0 to 1)."""
    until_ms = min(to_ms, now_ms - WATERMARK_DELAY_MS)
    if until_ms <= from_ms:
        return None
    length_ms = until_ms - from_ms
    passed_ms = (0 if mark is None else min(max(mark - from_ms, 0), length_ms) for mark in watermarks)
    return math.fsum(passed / length_ms for passed in passed_ms) / len(watermarks)


def _state(as_of_ms: int | None, to_ms: int, now_ms: int, source_silent: bool) -> State:
    if source_silent:
        return State.SOURCE_SILENT
    if as_of_ms is None or (to_ms > as_of_ms and now_ms - as_of_ms > STALE_AFTER_MS):
        return State.STALE
    return State.FINAL if as_of_ms >= to_ms + FINAL_AFTER_MS else State.OPEN


def may_be_silent(last_sign_ms: int | None, to_ms: int, now_ms: int) -> bool:
    """Whether the last sign of a source is old enough, and lies before the end of the figures."""
    return last_sign_ms is not None and last_sign_ms < to_ms and now_ms - last_sign_ms > SILENT_AFTER_MS


def is_looked_at(written_ms: Sequence[int | None], now_ms: int) -> bool:
    """Whether every partition's worker wrote lately, by when it last did. Without one that looks nobody knows
    whether a source sends: that is staleness, never silence."""
    return all(at_ms is not None and now_ms - at_ms <= LOOKED_WITHIN_MS for at_ms in written_ms)


def is_silent(paces: Sequence[float], last_record_ms: int, now_ms: int) -> bool:
    """Whether a source without heartbeats should have sent enough since its last record to be missed.

    `paces` are those of `hourly_paces`; a silence of days expects as much of each.
    """
    first_ms = last_record_ms - last_record_ms % HOUR_MS
    sums = [0.0, *accumulate(paces)]

    def expected_until(at_ms: int) -> float:
        days, rest_ms = divmod(at_ms - first_ms, DAY_MS)
        hour, part_ms = divmod(rest_ms, HOUR_MS)
        return days * sums[-1] + sums[hour] + paces[hour] * part_ms / HOUR_MS

    return expected_until(now_ms) - expected_until(last_record_ms) >= SILENT_EXPECTED


def hourly_paces(counts: Mapping[int, int], last_record_ms: int) -> tuple[float, ...]:
    """Records an hour that a source surely sends, in the hour of its last record and the 23 after it.

    `counts` are accepted records by the start of their hour (ms), from PACE_FROM_MS before that hour on. Of
    three paces the lowest, so that no shape of a day, no large live and no young shop looks like silence:

    - that of the hour a day before, of the one before it and of the one after it, the lowest of these;
    - that of the last record's hour and the one before it, up to that record: today may be slower;
    - that of an hour in the middle of those in which any came: two days may have had a live at this time.

    Nothing is taken from after the last record, so that silence never looks like a habit.
    """
    first_ms = min((start_ms for start_ms, count in counts.items() if count > 0), default=None)
    if first_ms is None:
        return (0.0,) * HOURS_A_DAY
    last_hour_ms = last_record_ms - last_record_ms % HOUR_MS
    whole = {at: counts.get(at, 0) for at in range(first_ms, last_hour_ms, HOUR_MS)}
    from_ms = max(last_hour_ms - HOUR_MS, first_ms)
    lately = sum(counts.get(at, 0) for at in range(from_ms, last_hour_ms + 1, HOUR_MS))
    surely = lately * HOUR_MS / max(last_record_ms - from_ms, PACE_MIN_MS)
    if any(whole.values()):
        surely = min(surely, median(count for count in whole.values() if count))
    day_before = [
        [whole[at] for at in (hour_ms - HOUR_MS, hour_ms, hour_ms + HOUR_MS) if at in whole]
        for hour_ms in range(last_hour_ms - DAY_MS, last_hour_ms, HOUR_MS)
    ]
    return tuple(min([surely, *known]) for known in day_before)
