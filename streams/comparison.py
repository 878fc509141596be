"""A scope now, in the window before, and in the last whole hour against the same hour a week before.

It stands behind the read model. Minutes of a week ago are gone, so whole hours are compared with it.
"""

from __future__ import annotations

from streams.answer import QuestionError
from streams.read_model import Answer, Question, ReadModel
from streams.window import DAY_MS, HOUR_MS, WindowError, named_range

WINDOWS = ("5m", "30m", "1h")
WEEK_MS = 7 * DAY_MS


async def read_comparison(model: ReadModel, scope_text: str, window: str) -> dict[str, object]:
    """The answer of ``/api/v1/comparison``: answers of ``/api/v1/kpis``, from one reading.

    The hour a week before is null where it is not kept, or where no record at all was read in it: then the
    shop was not watched, and its zeros would say that nothing was sold.
    Raises QuestionError, WindowError, FigureTooLarge and StoreUnavailableError.
    """
    if window not in WINDOWS:
        raise QuestionError(f"window is one of {' '.join(WINDOWS)} here")
    now_ms = model.clock()
    from_ms, to_ms = named_range(window, now_ms)
    hour_ms = now_ms - now_ms % HOUR_MS
    ranges = [
        (from_ms, to_ms),
        (2 * from_ms - to_ms, from_ms),
        (hour_ms - HOUR_MS, hour_ms),
        (hour_ms - HOUR_MS - WEEK_MS, hour_ms - WEEK_MS),
    ]
    questions = [Question(scope_text, None, *range_ms) for range_ms in ranges]
    *answers, then = await model.kpis_many(questions)
    if isinstance(then, WindowError):
        then = {}
    for answer in (*answers, then):
        if isinstance(answer, Exception):
            raise answer
    now, previous, this = answers
    return {
        "now": now,
        "previous": previous,
        "last_week": {
            "from_ms": hour_ms - HOUR_MS,
            "to_ms": hour_ms,
            "this": this,
            "then": then if isinstance(then, dict) and _was_watched(then) else None,
        },
    }


def _was_watched(answer: Answer) -> bool:
    """Whether any record came in within the answer's range."""
    quality = answer.get("quality")
    return isinstance(quality, dict) and any(quality.values())
