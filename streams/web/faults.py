"""What went wrong, as a status and one line: the same for an answer and for a stream of answers."""

from __future__ import annotations

from streams.answer import FigureTooLarge, QuestionError, UnknownLiveError
from streams.store import StoreCorruptError, StoreUnavailableError
from streams.window import WindowError

ANSWER_TIMEOUT_S = 10.0
UNEXPECTED = "an error of the read service; its log has the cause"


class TooManyStreamsError(Exception):
    """A bound on streams is reached; the text says so in one line."""


def explain(error: BaseException) -> tuple[int, str] | None:
    """HTTP status and line for a reader; None for a fault of ours, whose cause belongs into the log."""
    match error:
        case UnknownLiveError():
            return 404, str(error)
        case QuestionError() | WindowError():
            return 400, str(error)
        case StoreUnavailableError() | StoreCorruptError() | TooManyStreamsError():
            return 503, str(error)
        case TimeoutError():
            return 503, f"no answer within {ANSWER_TIMEOUT_S:.0f} s; ask for a shorter window"
        case FigureTooLarge():
            return 500, str(error)
        case _:
            return None
