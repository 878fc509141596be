"""Who came back to a mini-program, day by day: a row for each day on which its users opened it.

It stands behind the read model, beside the answers to single questions: each row is the answer for its day.
"""

from __future__ import annotations

from datetime import date, timedelta

from streams.answer import QuestionError, Scope, is_named
from streams.days import day_at, day_of_text, start_ms_of
from streams.figures.mini_programs import RIPE_DAYS
from streams.read_model import Answer, Question, ReadModel
from streams.window import DAY_MS, WindowError

KIND = "mini_program"
DAYS_MAX = 100
DAYS_SHOWN = 30
# No event is older: a calendar ends before so many days could be taken off.
EARLIEST = date(2010, 1, 1)


async def read_returns(model: ReadModel, program: str, first: str | None, end: str | None) -> Answer:
    """Of the days from `first` to before `end`, as YYYY-MM-DD; by default of 30 days up to today.

    Raises QuestionError, WindowError for days that are not kept, and StoreUnavailableError.
    """
    if KIND not in model.kinds:
        raise QuestionError("this worker keeps no figures of mini-programs")
    scope = Scope(KIND, program)
    if not is_named(scope, model.kinds):
        raise QuestionError("a mini-program has 1 to 64 characters, and is no pair of scopes")
    first_day, end_day = _days(first, end, day_at(model.clock()))
    starts = range(start_ms_of(first_day), start_ms_of(end_day), DAY_MS)
    answers = await model.kpis_many([Question(str(scope), from_ms=at, to_ms=at + DAY_MS) for at in starts])
    rows = [_row(start_ms, answer) for start_ms, answer in zip(starts, answers, strict=True)]
    as_of_ms = [row.pop("as_of_ms") for row in rows]
    return {
        "mini_program": program,
        "from": first_day.isoformat(),
        "to": end_day.isoformat(),
        # Of many days several readings are made.
        "as_of_ms": min((each for each in as_of_ms if isinstance(each, int)), default=None),
        "days": rows,
    }


def _days(first: str | None, end: str | None, today: date) -> tuple[date, date]:
    """The first day, and the one behind the last: of days to come nothing is known."""
    tomorrow = today + timedelta(days=1)
    named = None if end is None else day_of_text("to", end)
    if first is None:
        end_day = tomorrow if named is None else min(named, tomorrow)
        first_day = max(end_day, EARLIEST) - timedelta(days=DAYS_SHOWN)
    else:
        first_day = day_of_text("from", first)
        if first_day > today:
            raise WindowError("from lies in the future")
        end_day = min(first_day + timedelta(days=DAYS_SHOWN) if named is None else named, tomorrow)
    if not 0 < (end_day - first_day).days <= DAYS_MAX:
        raise QuestionError(f"to must be 1 to {DAYS_MAX} days after from; the table ends before the day `to`")
    return first_day, end_day


def _row(start_ms: int, answer: Answer | Exception) -> Answer:
    if isinstance(answer, Exception):
        raise answer
    as_of_ms, returns = answer["as_of_ms"], answer["returns"]
    assert isinstance(returns, dict)
    mature_ms = {name: start_ms + DAY_MS + days * DAY_MS for name, days in RIPE_DAYS.items()}
    return {
        "day": day_at(start_ms).isoformat(),
        **returns,
        **{
            f"{name}_is_mature": isinstance(as_of_ms, int) and as_of_ms >= at
            for name, at in mature_ms.items()
        },
        "capped": answer["capped"],
        "as_of_ms": as_of_ms,
    }
