"""Which days' records no rule asks for any more: functions of what was read of each topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams.ledger import day_of
from streams.progress import NEVER_MS, Progress
from streams.window import DAY_MS

# A topic without records may come back with older ones; records that it may need wait so long.
QUIET_TOPIC_MS = 7 * DAY_MS


def read_to(topics: Mapping[str, Progress], names: Iterable[str]) -> int:
    """The ingest time up to which every one of these topics was read.

    One without records lately follows the others, if its watermark does, a week behind: what decides is
    the log, and nearly never the clock.
    """
    ours = [topics[name] for name in names]
    newest_ms = max(progress.ingest_ms for progress in ours)
    return min(
        max(progress.ingest_ms, min(progress.watermark_ms, newest_ms) - QUIET_TOPIC_MS, NEVER_MS)
        for progress in ours
    )


def due_trims(
    trimmed: dict[str, int],
    filed: Mapping[str, int],
    needless: Iterable[tuple[str, int, int]],
    lateness_days: int,
) -> dict[str, int]:
    """By ledger, the oldest day that is not deleted yet, if no rule asks for its records any more.

    Args:
        trimmed: by ledger, the last day that is deleted; kept up here.
        filed: by ledger, the oldest day under which this write files anything.
        needless: ledger, the ingest time that decides about it, and the last day that is needless by that.
        lateness_days: how far behind the ingest time later writes may file anything.
    """
    due: dict[str, int] = {}
    for name, clock_ms, last_day in needless:
        # What is filed before everything that was trimmed, by a replay for one, has to be trimmed, too.
        oldest = filed.get(name)
        if oldest is not None:
            trimmed[name] = min(oldest - 1, trimmed.get(name, oldest - 1))
        if clock_ms == NEVER_MS:
            continue
        # Later writes file nothing before the lateness limit.
        begun = min(trimmed.get(name, last_day), day_of(clock_ms) - lateness_days - 2)
        if trimmed.setdefault(name, begun) < last_day:
            due[name] = trimmed[name] + 1
    return due
