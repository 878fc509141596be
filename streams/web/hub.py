"""Many readers of the same answers: each question is asked once a second for all who watch it.

It stands between the read model and the streams. A question has one task, as long as somebody watches; it
asks only when something was written or the clock moved on, and passes on only what differs from before.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from streams.shared_reading import PLANS_A_READING, READINGS_AT_ONCE
from streams.web.faults import ANSWER_TIMEOUT_S, UNEXPECTED, TooManyStreamsError, explain

# At most one question asked and one message passed on in this time.
PERIOD_S = 1.0
CLIENTS_MAX = 2_000
QUESTIONS_MAX = 1_500
# Of both, what hosts leave to the operator: however many links are abused, the shop can be watched.
KEPT_FOR_OPERATOR = 100
# A link may be passed on: what all hosts of one live have together.
CLIENTS_OF_LIVE_MAX = 50
QUESTIONS_OF_LIVE_MAX = 20
# As many as share the readings: more would only wait for the next one, and those who ask once behind them.
LIVES_AT_ONCE = PLANS_A_READING * READINGS_AT_ONCE
# Questions share what was found out about changes, if it is no older than this.
MARK_AGE_S = 0.2
# So late a message may be taken without the one after it having to wait.
SLACK_S = 0.25
# A beat may come early by what timers round.
ROUNDING_S = 0.005

_log = logging.getLogger(__name__)


class HubClosedError(Exception):
    """The service ends."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a stream is about: a scope and a named window, or a live as its page shows it.

    Attributes:
        host: the live whose host asks, as `HostToken.room`; None: the operator. They are told different
            things, so they share no question.
    """

    scope: str = ""
    window: str = ""
    live: str = ""
    host: bytes | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One answer or failure, ready to be sent as it is; the id follows from what it says."""

    id: str
    chunk: bytes


def answer_message(answer: object) -> Message:
    """The message of an answer. Its id, sent with it, is how a client says what it has already."""
    data = orjson.dumps(answer)
    name = blake2b(data, digest_size=12).hexdigest()
    return Message(name, b"id: %b\ndata: %b\n\n" % (name.encode(), data))


def failure_message(line: str) -> Message:
    """The message of a question that cannot be answered now.

    It is sent without an id: a client that comes back still has its last answer, and is told again.
    """
    return Message(f"error: {line}", b"event: error\ndata: %b\n\n" % orjson.dumps({"error": line}))


class Seat:
    """One client's place at a question. At most one message waits in it: the newest that is new to it."""

    def __init__(self, seen: str | None) -> None:
        """`seen` is the id of the message that the client had last, if it had one."""
        self._seen = seen
        self._waiting: tuple[Message, float] | None = None
        self._free_at_s = -math.inf
        self._wake = asyncio.Event()
        self._closed = False

    def offer(self, newest: Message, at_s: float) -> None:
        """The newest message at a beat; not taken up within a second of the last one."""
        if newest.id == self._seen:
            self._waiting = None
            self._wake.clear()
        elif at_s >= self._free_at_s - ROUNDING_S:
            self._waiting = (newest, at_s)
            self._wake.set()

    def close(self) -> None:
        """Nothing will come any more."""
        self._closed = True
        self._wake.set()

    async def wait(self, timeout_s: float) -> bool:
        """Whether a message waits, at the latest after the time given. Raises HubClosedError at the end."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        if self._closed:
            raise HubClosedError
        return True

    def take(self) -> Message | None:
        """The message that waits, if it still does."""
        if self._waiting is None:
            return None
        taken, offered_at_s = self._waiting
        self._waiting = None
        self._wake.clear()
        self._seen = taken.id
        # Beats are a second apart; only who came between two of them, or was late, must let one pass.
        self._free_at_s = max(offered_at_s, _now_s() - SLACK_S) + PERIOD_S
        return taken


class Hub:
    """All streams of this process, with their bounds and counters.

    Attributes:
        dropped: clients that were given up because they did not read.
        sent: messages written to clients.
        refused: streams that were not begun because of a bound.
    """

    def __init__(
        self, ask: Callable[[Question], Awaitable[object]], mark: Callable[[], Awaitable[Hashable]]
    ) -> None:
        """`ask` answers a question; `mark` differs from before after anything that may change an answer."""
        self._ask = ask
        self._mark = mark
        self._marked: tuple[float, Hashable | Exception] = (-math.inf, None)
        self._marking = asyncio.Lock()
        self._slots = asyncio.Semaphore(LIVES_AT_ONCE)
        self._watches: dict[Question, _Watch] = {}
        self._closed = False
        self.clients = 0
        self.dropped = 0
        self.sent = 0
        self.refused = 0

    @property
    def questions(self) -> int:
        """Questions that are watched now."""
        return len(self._watches)

    def facts(self) -> tuple[tuple[str, str, int], ...]:
        """What is told of the hub as gauges: name, help text, number."""
        return (
            ("stream_clients", "Streams that are open.", self.clients),
            ("stream_questions", "Different questions of the open streams.", self.questions),
            ("stream_messages_total", "Messages written to streams.", self.sent),
            ("stream_dropped_total", "Streams cut off because the client did not read.", self.dropped),
            ("stream_refused_total", "Streams refused because too many were open.", self.refused),
        )

    @contextmanager
    def seat(self, question: Question, seen: str | None) -> Iterator[Seat]:
        """A place at a question. Raises TooManyStreamsError."""
        watch = self._join(question)
        seat = Seat(seen)
        watch.seats.add(seat)
        self.clients += 1
        try:
            if watch.newest is not None:
                seat.offer(watch.newest, _now_s())
            yield seat
        finally:
            self.clients -= 1
            watch.seats.discard(seat)
            if not watch.seats and self._watches.get(question) is watch:
                del self._watches[question]
                watch.task.cancel()

    def _join(self, question: Question) -> _Watch:
        watch = self._watches.get(question)
        full = self._full(question, is_new=watch is None)
        if full is not None:
            self.refused += 1
            raise TooManyStreamsError(full)
        if watch is None:
            watch = self._watches[question] = _Watch(self, question)
        return watch

    def _full(self, question: Question, *, is_new: bool) -> str | None:
        """Why there is no place at a question; None if there is one."""
        kept = 0 if question.host is None else KEPT_FOR_OPERATOR
        full = self.clients >= CLIENTS_MAX - kept or (is_new and self.questions >= QUESTIONS_MAX - kept)
        if full or self._closed:
            return "too many streams at once; ask again in a moment"
        if question.host is None:
            return None
        of_live = [watch for asked, watch in self._watches.items() if asked.host == question.host]
        clients = sum(len(watch.seats) for watch in of_live)
        if clients >= CLIENTS_OF_LIVE_MAX or (is_new and len(of_live) >= QUESTIONS_OF_LIVE_MAX):
            return "too many streams of this live at once; close one, or ask again in a moment"
        return None

    async def close(self) -> None:
        """Ends every stream; returns when no task is left."""
        self._closed = True
        tasks = [watch.task for watch in self._watches.values()]
        for watch in self._watches.values():
            watch.task.cancel()
            for seat in watch.seats:
                seat.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def mark(self) -> Hashable:
        """The mark, not older than MARK_AGE_S; a failure to read it is shared in the same way."""
        found: Hashable | Exception
        async with self._marking:
            if _now_s() - self._marked[0] > MARK_AGE_S:
                try:
                    async with asyncio.timeout(ANSWER_TIMEOUT_S):
                        found = await self._mark()
                except Exception as error:
                    found = error
                self._marked = (_now_s(), found)
        found = self._marked[1]
        if isinstance(found, Exception):
            raise found.with_traceback(None)  # Else it would grow with each question that it is told.
        return found

    async def answer(self, question: Question) -> object:
        """The answer. Questions about a scope share readings; pages of lives are asked a few at a time."""
        async with self._slots if question.live else nullcontext():
            # Not counting the wait for its turn: else many questions would fail without being asked.
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._ask(question)


class _Watch:
    """A question, who watches it, and its task."""

    def __init__(self, hub: Hub, question: Question) -> None:
        self._hub = hub
        self._question = question
        self.seats: set[Seat] = set()
        self.newest: Message | None = None
        self.task = asyncio.create_task(self._run(), name=f"stream of {question}")

    async def _run(self) -> None:
        mark: Hashable = None
        while True:
            try:
                # The mark comes first: what is written while the question is answered shows next time.
                mark_before, mark = mark, await self._hub.mark()
                if self.newest is None or mark != mark_before:
                    self._pass_on(answer_message(await self._hub.answer(self._question)))
                else:
                    self._pass_on(self.newest)
            except Exception as error:
                mark = None
                self._pass_on(self._failed(error))
            await asyncio.sleep(PERIOD_S)

    def _pass_on(self, newest: Message) -> None:
        """Offered at each beat, also if it is not new: who let the last one pass still needs it."""
        self.newest = newest
        at_s = _now_s()
        for seat in self.seats:
            seat.offer(newest, at_s)

    def _failed(self, error: Exception) -> Message:
        explained = explain(error)
        failed = failure_message(explained[1] if explained else UNEXPECTED)
        if explained is None and failed != self.newest:
            # The last resort of a server: a broken question must not end the others, its cause must be found.
            _log.error("the question %s failed", self._question, exc_info=error)
        return failed


def _now_s() -> float:
    return asyncio.get_running_loop().time()
