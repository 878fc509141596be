"""The hub behind the streams: who is told what, how often, and what is left when all have gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import ExitStack

import pytest

from streams.answer import QuestionError
from streams.store import StoreUnavailableError
from streams.web import hub as hub_module
from streams.web.faults import TooManyStreamsError
from streams.web.hub import Hub, HubClosedError, Question, Seat, answer_message

ALL = Question("all", "5m")
LIVE = Question(live="L1")
DEADLINE_S = 20.0


class Shop:
    """What the hub asks: answers and the mark, set by the test; counted."""

    def __init__(self) -> None:
        self.answers: dict[Question, object] = {ALL: {"orders": 0}, LIVE: {"orders": 100}}
        self.written: Hashable | Exception = 0
        self.asked: list[Question] = []
        self.marks = 0
        self.hub = Hub(self.ask, self.mark)

    async def ask(self, question: Question) -> object:
        """The answer that was set, or the error."""
        self.asked.append(question)
        answer = self.answers[question]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def mark(self) -> Hashable:
        """The mark that was set, or the error."""
        self.marks += 1
        await asyncio.sleep(0)
        if isinstance(self.written, Exception):
            raise self.written
        return self.written

    def write(self, answer: object, question: Question = ALL) -> None:
        """Something was written, and this is the answer from now on."""
        self.answers[question] = answer
        self.written = object()

    async def beats(self, number: int) -> None:
        """Waits until the hub has looked so often whether there is something new."""
        until = self.marks + number
        async with asyncio.timeout(DEADLINE_S):
            while self.marks < until:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.005)


def _run(story: Callable[[Shop], Awaitable[None]]) -> None:
    """Runs a story; afterwards no task may be left."""

    async def told() -> None:
        shop = Shop()
        await story(shop)
        await shop.hub.close()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert (shop.hub.clients, shop.hub.questions) == (0, 0)

    asyncio.run(told())


@pytest.fixture(autouse=True)
def quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty beats a second: what is tested is their order."""
    monkeypatch.setattr(hub_module, "PERIOD_S", 0.05)
    monkeypatch.setattr(hub_module, "SLACK_S", 0.05)
    monkeypatch.setattr(hub_module, "MARK_AGE_S", 0.01)


async def _next(seat: Seat) -> dict[str, object]:
    """What the next message says: its parts, `data` decoded."""
    assert await seat.wait(DEADLINE_S)
    taken = seat.take()
    assert taken is not None
    *lines, end, last = taken.chunk.decode().split("\n")
    assert (end, last) == ("", "")
    parts = dict(line.split(": ", 1) for line in lines)
    return {**parts, "data": json.loads(parts["data"])}


async def _data(seat: Seat) -> object:
    return (await _next(seat))["data"]


def test_a_question_is_asked_once_for_all_who_watch() -> None:
    """Each gets the first message and each change, out of one asking."""

    async def story(shop: Shop) -> None:
        with ExitStack() as open_seats:
            seats = [open_seats.enter_context(shop.hub.seat(ALL, None)) for _ in range(50)]
            assert [await _data(seat) for seat in seats] == [{"orders": 0}] * 50
            shop.write({"orders": 1})
            assert [await _data(seat) for seat in seats] == [{"orders": 1}] * 50
            assert shop.asked == [ALL, ALL]
            assert (shop.hub.clients, shop.hub.questions) == (50, 1)

    _run(story)


def test_nothing_is_asked_while_nothing_was_written() -> None:
    """Without a new mark there is no asking, and without a new answer no message."""

    async def story(shop: Shop) -> None:
        with shop.hub.seat(ALL, None) as seat:
            await _data(seat)
            await shop.beats(3)
            assert shop.asked == [ALL]
            shop.write({"orders": 0})
            await shop.beats(3)
            assert shop.asked == [ALL, ALL]
            assert not await seat.wait(0.01)

    _run(story)


def test_a_client_that_comes_back_is_told_only_what_it_has_not() -> None:
    """Its last id is that of the present answer: nothing until a change; of another: the present one."""

    async def story(shop: Shop) -> None:
        with shop.hub.seat(ALL, None) as seat:
            seen = str((await _next(seat))["id"])
        with shop.hub.seat(ALL, seen) as again, shop.hub.seat(ALL, "another") as other:
            assert await _data(other) == {"orders": 0}
            await shop.beats(3)
            assert not await again.wait(0.01)
            shop.write({"orders": 1})
            assert await _data(again) == {"orders": 1}

    _run(story)


def test_who_does_not_take_finds_only_the_newest() -> None:
    """A message that was not taken is replaced, and withdrawn when the client has what is true again."""

    async def story(shop: Shop) -> None:
        with shop.hub.seat(ALL, None) as seat:
            await _data(seat)
            for orders in (1, 2, 3):
                shop.write({"orders": orders})
                await shop.beats(2)
            assert await _data(seat) == {"orders": 3}
            shop.write({"orders": 4})
            await shop.beats(2)
            assert await seat.wait(DEADLINE_S)
            shop.write({"orders": 3})
            await shop.beats(2)
            assert seat.take() is None

    _run(story)


def test_two_messages_are_a_beat_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever came between two beats, or took a message late, lets one beat pass and has the one after."""
    monkeypatch.setattr(hub_module, "PERIOD_S", 1.0)
    monkeypatch.setattr(hub_module, "SLACK_S", 0.25)

    async def story(_shop: Shop) -> None:
        first, second = answer_message(1), answer_message(2)
        now_s = asyncio.get_running_loop().time()
        seat = Seat(None)
        seat.offer(first, now_s)
        assert seat.take() == first
        seat.offer(second, now_s + 0.5)
        assert seat.take() is None
        seat.offer(second, now_s + 1.0)
        assert seat.take() == second
        late = Seat(None)
        late.offer(first, now_s - 5.0)
        assert late.take() == first
        late.offer(second, now_s + 0.5)
        assert late.take() is None
        late.offer(second, now_s + 1.5)
        assert late.take() == second

    _run(story)


@pytest.mark.parametrize("error", [QuestionError("gone"), StoreUnavailableError("gone"), TimeoutError()])
def test_a_failure_is_a_message_and_the_stream_goes_on(error: Exception) -> None:
    """It has one line and no id, comes once, and what comes after it is told even if it is as before."""

    async def story(shop: Shop) -> None:
        with shop.hub.seat(ALL, None) as seat:
            before = await _next(seat)
            shop.write(error)
            failed = await _next(seat)
            assert (failed["event"], set(failed)) == ("error", {"event", "data"})
            assert "\n" not in str(failed["data"])
            await shop.beats(3)
            assert not await seat.wait(0.01)
            with shop.hub.seat(ALL, str(before["id"])) as again:
                assert await _next(again) == failed
            shop.write({"orders": 0})
            assert await _next(seat) == before

    _run(story)


def test_a_store_that_is_away_is_asked_once_for_all_questions() -> None:
    """Its failure is told to each, and each recovers."""

    async def story(shop: Shop) -> None:
        shop.written = StoreUnavailableError("Redis does not answer")
        with shop.hub.seat(ALL, None) as first, shop.hub.seat(LIVE, None) as second:
            assert await _data(first) == await _data(second) == {"error": "Redis does not answer"}
            assert (shop.asked, shop.marks) == ([], 1)
            shop.written = 1
            assert (await _data(first), await _data(second)) == ({"orders": 0}, {"orders": 100})

    _run(story)


def test_a_fault_of_ours_is_logged_once_and_ends_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """The reader sees a line without its cause; other questions go on."""

    async def story(shop: Shop) -> None:
        shop.answers[LIVE] = KeyError("inner detail")
        with shop.hub.seat(LIVE, None) as broken, shop.hub.seat(ALL, None) as well:
            assert await _data(broken) == {"error": "an error of the read service; its log has the cause"}
            await shop.beats(4)
            shop.write({"orders": 1})
            await _data(well)

    _run(story)
    assert caplog.text.count("inner detail") == 1


def test_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In all, and in questions; who leaves makes room, and who was refused is counted."""
    monkeypatch.setattr(hub_module, "CLIENTS_MAX", 3)
    monkeypatch.setattr(hub_module, "QUESTIONS_MAX", 1)

    def refused(shop: Shop, question: Question) -> None:
        with pytest.raises(TooManyStreamsError, match="too many streams"), shop.hub.seat(question, None):
            raise AssertionError("a seat beyond the bound")

    async def story(shop: Shop) -> None:
        with shop.hub.seat(ALL, None):
            refused(shop, LIVE)
            with shop.hub.seat(ALL, None), shop.hub.seat(ALL, None):
                refused(shop, ALL)
            with shop.hub.seat(ALL, None):
                assert shop.hub.clients == 2
        with shop.hub.seat(LIVE, None):
            assert shop.hub.questions == 1
        assert shop.hub.refused == 2

    _run(story)


def _of_host(number: int, host: bytes = b"L1") -> Question:
    return Question(f"live:L1,product:p{number}", "5m", host=host)


def _places(shop: Shop, questions: Iterable[Question], open_seats: ExitStack) -> int:
    """How many of the questions get a place, until one is refused."""
    for number, question in enumerate(questions):
        shop.answers[question] = {}
        try:
            open_seats.enter_context(shop.hub.seat(question, None))
        except TooManyStreamsError:
            return number
    raise AssertionError("there is no bound")


def test_the_hosts_of_a_live_have_a_bound_of_their_own() -> None:
    """50 streams and 20 questions of one live, whatever other lives and the operator have; who is refused
    is told why and counted."""

    async def story(shop: Shop) -> None:
        with ExitStack() as open_seats:
            assert _places(shop, map(_of_host, range(100)), open_seats) == 20
            assert _places(shop, [_of_host(0)] * 100, open_seats) == 30
            with pytest.raises(TooManyStreamsError, match="of this live"), shop.hub.seat(_of_host(0), None):
                raise AssertionError("a seat beyond the bound")
            assert shop.hub.refused == 3
            assert _places(shop, [_of_host(0, b"L2")] * 100, open_seats) == 50
            open_seats.enter_context(shop.hub.seat(ALL, None))
        with shop.hub.seat(_of_host(99), None):
            assert shop.hub.clients == 1

    _run(story)


@pytest.mark.parametrize(("name", "most"), [("CLIENTS_MAX", 103), ("QUESTIONS_MAX", 102)])
def test_hosts_leave_places_to_the_operator(monkeypatch: pytest.MonkeyPatch, name: str, most: int) -> None:
    """However many lives' links are used at once, 100 streams and 100 questions are left."""
    monkeypatch.setattr(hub_module, name, most)

    async def story(shop: Shop) -> None:
        with ExitStack() as open_seats:
            of_many_lives = (_of_host(0, b"%d" % number) for number in range(200))
            assert _places(shop, of_many_lives, open_seats) == most - 100
            of_operator = (Question(f"live:L{number}", "5m") for number in range(200))
            assert _places(shop, of_operator, open_seats) == 100

    _run(story)


def test_a_host_and_the_operator_share_no_message() -> None:
    """The same scope is another question for each of them: they are told different things."""

    async def story(shop: Shop) -> None:
        theirs, ours = _of_host(1), Question("live:L1,product:p1", "5m")
        shop.answers |= {theirs: {"quality": None}, ours: {"quality": {}}}
        with shop.hub.seat(theirs, None) as host, shop.hub.seat(ours, None) as operator:
            assert (await _data(host), await _data(operator)) == ({"quality": None}, {"quality": {}})

    _run(story)


def test_nothing_is_left_of_a_question_that_nobody_watches() -> None:
    """With its last client its task goes, also in the middle of an answer; who comes back starts it anew."""

    async def story(shop: Shop) -> None:
        with shop.hub.seat(ALL, None):
            assert len(asyncio.all_tasks()) == 2
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with shop.hub.seat(ALL, None) as seat:
            assert await _data(seat) == {"orders": 0}

    _run(story)


def test_the_end_of_the_service_ends_every_stream() -> None:
    """Whoever waits is woken, and nobody can begin."""

    async def story(shop: Shop) -> None:
        with shop.hub.seat(ALL, None) as seat:
            await _data(seat)
            waiting = asyncio.create_task(seat.wait(DEADLINE_S))
            await asyncio.sleep(0)
            await shop.hub.close()
            with pytest.raises(HubClosedError):
                await waiting
            with pytest.raises(TooManyStreamsError), shop.hub.seat(ALL, None):
                raise AssertionError("a seat after the end")

    _run(story)
