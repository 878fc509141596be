"""Questions to answers: merges what the partitions hold into the figures of CONTRACT §3 and §4.

It stands between the reading of the store and everything that shows figures (API, streams, gauges, pages).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from streams.answer import FigureTooLarge, QuestionError, Scope, UnknownLiveError, parse_scope
from streams.details import Details, DetailsPlan, listing, read_details
from streams.reading import Moment, RangeAt, Reader, View
from streams.requests import Request
from streams.rooms import viewers_now
from streams.scopes import LIVE, PRODUCT, ROOM
from streams.sheet import Sheet
from streams.since import Pins
from streams.stock import Stocks
from streams.trust import Trust
from streams.window import LIVE_WINDOW, MINUTE_MS, PaneSize, WindowError, live_range, named_range

# Questions that share one reading of each partition number: it is held up no longer than by a few of them.
QUESTIONS_A_READ = 50

# So far producers' clocks may run ahead of the newest event: the pane of that time is the last one filled.
AHEAD_MAX_MS = 10 * MINUTE_MS

Answer = dict[str, object]
Refusal = QuestionError | WindowError | FigureTooLarge


@dataclass(frozen=True, slots=True)
class Question:
    """A scope as readers write it, and either the name of a window or a range in ms."""

    scope: str
    window: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None


class ReadModel(Reader):
    """Answers from Redis. Raises QuestionError or WindowError for a question that cannot be answered,
    FigureTooLarge for a figure that does not fit, StoreUnavailableError while Redis does not answer."""

    async def kpis(
        self,
        scope_text: str,
        window: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
    ) -> Answer:
        """The answer of ``/api/v1/kpis``: either `window`, or `from_ms` and `to_ms`."""
        [answer] = await self.kpis_many([Question(scope_text, window, from_ms, to_ms)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def kpis_many(self, questions: Sequence[Question]) -> list[Answer | Refusal]:
        """Answers to many questions from few readings, in their order; what cannot be answered is returned,
        not raised. Raises StoreUnavailableError."""
        answers: list[Answer | Refusal] = []
        for at in range(0, len(questions), QUESTIONS_A_READ):
            answers += await self._answer(questions[at : at + QUESTIONS_A_READ])
        return answers

    def check(self, question: Question) -> Scope:
        """The scope, of a question that might be answered. Raises QuestionError or WindowError."""
        scope = parse_scope(question.scope, self.kinds)
        explicit = question.from_ms is not None and question.to_ms is not None
        if question.window is None:
            if not explicit:
                raise QuestionError("ask either with window, or with from_ms and to_ms")
        elif question.from_ms is not None or question.to_ms is not None:
            raise QuestionError("ask either with window, or with from_ms and to_ms")
        elif question.window != LIVE_WINDOW:
            named_range(question.window, 0)
        elif scope.kind != LIVE.name:
            raise QuestionError("window=live belongs to scope=live:VALUE")
        return scope

    async def _answer(self, questions: Sequence[Question]) -> list[Answer | Refusal]:
        scopes = [self._checked_scope(question) for question in questions]
        known = await self._details([scope for scope in scopes if isinstance(scope, Scope)])

        def plan(moment: Moment) -> _Plan:
            return _Plan(self, list(zip(questions, scopes, strict=True)), known, moment)

        view, planned = await self.view(plan)
        return [await self._filled(view, each) for each in planned.entries]

    def _checked_scope(self, question: Question) -> Scope | Refusal:
        try:
            return self.check(question)
        except (QuestionError, WindowError) as error:
            return error

    async def _details(self, scopes: Sequence[Scope]) -> Details:
        wanted = {kind: dict.fromkeys(of.value for of in scopes if of.kind == kind) for kind in _WITH_DETAILS}
        return await read_details(self, DetailsPlan(tuple(wanted[LIVE.name]), tuple(wanted[PRODUCT.name])))

    async def _filled(self, view: View, entry: Entry | Refusal) -> Answer | Refusal:
        if isinstance(entry, Exception):
            return entry
        trusted = await self.trust(view, entry.sheet.range_ms, entry.sheet.scope.kind)
        try:
            return entry.answer(view, trusted)
        except FigureTooLarge as error:
            return error

    def range_at(self, question: Question, scope: Scope, known: Details) -> RangeAt:
        """The range of a question that `check` let pass. Raises UnknownLiveError."""
        from_ms, to_ms, window = question.from_ms, question.to_ms, question.window
        if from_ms is not None and to_ms is not None:
            return partial(_explicit_range, from_ms, to_ms, self.sizes[-1])
        if window is not None and window != LIVE_WINDOW:
            return lambda moment: named_range(window, moment.now_ms)
        if scope.value not in known.started_ms:
            raise UnknownLiveError(f"no live_start of {scope} is known; ask with another window")
        return self.since_start(known.started_ms[scope.value])

    def since_start(self, start_ms: int) -> RangeAt:
        """From a live's start to now; of an old live, from the finest border that is still kept there.

        Raises WindowError when asked for a live that began before everything that is kept.
        """

        def range_at(moment: Moment) -> tuple[int, int]:
            from_ms, to_ms = live_range(start_ms, moment.now_ms)
            for size in self.sizes:
                border_ms = size.start_of(from_ms)
                if size.size_ms >= MINUTE_MS and size.is_answerable(border_ms, moment.high_ms):
                    return border_ms, to_ms
            raise WindowError(f"the live began at {start_ms}, before everything that is kept")

        return range_at


def _explicit_range(from_ms: int, to_ms: int, longest: PaneSize, moment: Moment) -> tuple[int, int]:
    """The range as it was given. Raises WindowError for one that ends beyond the last pane that is filled:
    the day that is going on may be asked for whole, tomorrow may not."""
    ahead_ms = max(moment.now_ms, moment.high_ms) + AHEAD_MAX_MS
    until_ms = longest.start_of(ahead_ms) + longest.size_ms
    if to_ms > until_ms:
        raise WindowError(f"to_ms {to_ms} lies in the future; ask up to {until_ms}")
    return from_ms, to_ms


_WITH_DETAILS = (LIVE.name, PRODUCT.name)


class Entry:
    """One question of a reading: its sheet, and what only lives and products have."""

    def __init__(self, reader: Reader, sheet: Sheet, known: Details, moment: Moment) -> None:
        self.sheet = sheet
        self.pins: Pins | None = None
        self.stocks: Stocks | None = None
        self._pinned = DetailsPlan()
        of = sheet.scope.value
        self._room = known.rooms.get(of) if sheet.scope.kind == LIVE.name else None
        self._product = known.products.get(of) if sheet.scope.kind == PRODUCT.name else None
        if ROOM in reader.figures.kinds:
            if sheet.scope.kind == LIVE.name:
                self.pins = Pins(reader, of, self._room, moment)
                self._pinned = DetailsPlan(products=tuple(self.pins.products))
            elif sheet.scope.kind == PRODUCT.name:
                self.stocks = Stocks(reader, {of: self._product} if self._product else {}, moment)

    @property
    def requests(self) -> Iterator[Request]:
        """What has to be read."""
        yield from self.sheet.requests
        for part in (self.pins, self.stocks, self._pinned):
            if part is not None:
                yield from part.requests

    def answer(self, view: View, trusted: Trust) -> Answer:
        """The whole answer."""
        answer = self.sheet.answer(view, trusted)
        viewers = answer.get("viewers")
        if isinstance(viewers, dict):
            now = None if self._room is None else viewers_now(self._room, view.moment.now_ms)
            answer["viewers"] = {"now": now, **viewers}
        if self.pins is not None:
            products = self._pinned.read(view).products
            answer["pinned"] = [
                {**pin, **listing(products.get(str(pin["product_id"])))} for pin in self.pins.answer(view)
            ]
        if self.stocks is not None:
            answer["stock"] = self.stocks.answer(view).get(self.sheet.scope.value)
        if self._product is not None and self._product.title:
            answer |= listing(self._product)
        return answer


@dataclass(slots=True)
class _Plan:
    """Some questions at one moment: an entry, or why there is none."""

    model: ReadModel
    asked: Sequence[tuple[Question, Scope | Refusal]]
    known: Details
    moment: Moment
    entries: list[Entry | Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.entries = [self._entry(question, scope) for question, scope in self.asked]

    def _entry(self, question: Question, scope: Scope | Refusal) -> Entry | Refusal:
        if isinstance(scope, Exception):
            return scope
        try:
            range_ms = self.model.range_at(question, scope, self.known)(self.moment)
            sheet = Sheet(self.model, scope, range_ms, self.moment)
        except (QuestionError, WindowError) as error:
            return error
        return Entry(self.model, sheet, self.known, self.moment)

    @property
    def requests(self) -> list[Request]:
        """What has to be read for all of them."""
        return [request for each in self.entries if isinstance(each, Entry) for request in each.requests]
