"""UTC days as a reader writes them, for answers that tell of whole days. No I/O.

It stands before the tables that have a row a day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from streams.answer import QuestionError


def day_of_text(name: str, text: str) -> date:
    """The day that a parameter names, like 2026-01-05. Raises QuestionError for anything else."""
    try:
        # Python would also take 20260105 and 2026-W02-1, which nobody should have to guess.
        day = date.fromisoformat(text) if len(text) == len("2026-01-05") and text[4:5] == "-" else None
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise QuestionError(f"{name} is a day (UTC) like 2026-01-05")
    return day


def start_ms_of(day: date) -> int:
    """Its first moment, in Unix milliseconds."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000


def day_at(time_ms: int) -> date:
    """The day that holds a moment."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).date()
