"""Many questions from one reading, and how little is read again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from streams.answer import FigureTooLarge, QuestionError, UnknownLiveError
from streams.gathered import Gathered
from streams.local.redis import RedisServer
from streams.read_model import QUESTIONS_A_READ, Answer, Question, ReadModel
from streams.reading import Moment
from streams.requests import RecordRequest, Request
from streams.shared_reading import PLANS_A_READING, SharedReadings
from streams.store import StoreUnavailableError
from streams.window import WindowError
from streams.write_plan import SCHEMA
from tests.redis_kit import NOON_MS, Shop, counted

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _kpis(model: ReadModel) -> Gathered[Question, Answer]:
    return Gathered(model.kpis_many, QUESTIONS_A_READ)


def test_many_questions_are_answered_as_if_each_were_asked_alone(shop: Shop) -> None:
    """Whatever scopes and windows they are of; what cannot be answered stands at its place."""
    shop.live(1, "L0", NOON_MS - 7 * MINUTE_MS)
    for number in range(3):
        shop.book(NOON_MS - 1, "live", f"L{number}", p=number % 2, items=number, events__view=2)
    questions = [
        *(Question(f"live:L{number}", "5m") for number in range(3)),
        Question("live:L0", "live"),
        Question("product:p1", "1m"),
        Question("all", None, NOON_MS - HOUR_MS, NOON_MS),
    ]

    async def ask(model: ReadModel) -> list[Any]:
        alone = [await model.kpis(each.scope, each.window, each.from_ms, each.to_ms) for each in questions]
        return [alone, await model.kpis_many(questions)]

    alone, together = shop.ask(ask)
    assert together == alone
    assert [answer["items"] for answer in together[:3]] == [0, 1, 2]


def test_a_wrong_question_does_not_spoil_its_neighbours(shop: Shop) -> None:
    """Each gets its own answer or its own reason, in the order asked."""
    shop.book(NOON_MS - 1, "live", "L1", gmv_paid__USD=10**17 * 9)
    shop.book(NOON_MS - 1, "live", "L1", p=1, gmv_paid__USD=10**17 * 90)
    questions = [
        Question("live:L9", "live"),
        Question("nobody:1", "5m"),
        Question("all", "2h"),
        Question("all", None, NOON_MS - 2 * HOUR_MS - 1, NOON_MS),
        Question("live:L1", "5m"),
        Question("all", "5m"),
    ]
    answers = shop.ask(lambda model: model.kpis_many(questions))
    assert [type(answer) for answer in answers] == [
        UnknownLiveError, QuestionError, WindowError, WindowError, FigureTooLarge, dict,
    ]  # fmt: skip


def test_questions_share_readings(shop: Shop) -> None:
    """As many as one reading takes cost one for what is known of lives, and one for their figures."""

    async def ask(model: ReadModel) -> list[int]:
        readings = counted(model)
        await model.kpis_many([Question(f"live:L{n}", "5m") for n in range(QUESTIONS_A_READ)])
        return readings

    metas, details, figures = shop.ask(ask)
    assert (metas, details) == (0, 2)
    # What does not depend on the scope is asked once for all: quality, and caps by the minute and the day.
    assert figures == 2 * QUESTIONS_A_READ + 3


def test_questions_that_come_at_once_are_asked_together(shop: Shop) -> None:
    """The first one is not kept waiting; those that come while it is read share the next reading."""
    questions = [Question("live:L1", "5m"), *(Question(f"live:L{n % 7}", "5m") for n in range(20))]

    async def ask(model: ReadModel) -> list[Any]:
        kpis, readings = _kpis(model), counted(model)
        first = asyncio.create_task(kpis.ask(questions[0]))
        for _ in range(5):
            await asyncio.sleep(0)
        others = [asyncio.create_task(kpis.ask(each)) for each in questions[1:]]
        others[3].cancel()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        alone = [await model.kpis(each.scope, each.window) for each in questions]
        return [found, alone, readings[:5]]

    found, alone, readings = shop.ask(ask)
    assert isinstance(found.pop(4), asyncio.CancelledError)
    assert found == [*alone[:4], *alone[5:]]
    assert readings == [0, 2, 2 + 3, 2, 2 * 7 + 3]


def test_each_who_asked_gets_the_reason(shop: Shop) -> None:
    """A wrong question fails alone; a store that cannot be read fails them all, and the next one anew."""

    async def ask(model: ReadModel) -> list[Any]:
        kpis = _kpis(model)
        wrong = await asyncio.gather(
            kpis.ask(Question("nobody:1", "5m")),
            kpis.ask(Question("all", "5m")),
            return_exceptions=True,
        )
        shop.meta(0, schema="1")
        foreign = await asyncio.gather(
            *(kpis.ask(Question("all", "5m")) for _ in range(2)), return_exceptions=True
        )
        shop.meta(0, schema=SCHEMA)
        return [*wrong, *foreign, await kpis.ask(Question("all", "5m"))]

    answers = [type(answer) for answer in shop.ask(ask)]
    assert answers == [QuestionError, dict, StoreUnavailableError, StoreUnavailableError, dict]


def test_what_was_read_last_saves_a_reading(shop: Shop) -> None:
    """Which panes are kept is remembered and held against what comes with the figures; a memory that has
    grown wrong costs a second reading and no wrong answer."""
    question = ("all", None, NOON_MS - 30 * MINUTE_MS + 10_000, NOON_MS)

    async def ask(model: ReadModel) -> list[object]:
        readings = counted(model)
        found: list[object] = []
        for high_ms in (NOON_MS, NOON_MS, NOON_MS + 40 * MINUTE_MS, NOON_MS):
            shop.meta(1, h=high_ms)
            readings.clear()
            try:
                await model.kpis(*question)
                found.append(len(readings))
            except WindowError as error:
                found.append(str(error))
        return found

    first, second, refused, again = shop.ask(ask)
    assert (first, second) == (2, 1)
    assert "multiple of 60000" in str(refused)
    assert again == 2


def test_marks_change_with_every_write_and_every_ten_seconds(shop: Shop) -> None:
    """While they are the same, answers are; so nobody has to ask again."""
    clock = [NOON_MS]

    async def ask(model: ReadModel) -> list[object]:
        model.clock = lambda: clock[0]
        marks = [await model.marks()]
        clock[0] += 9_999
        marks.append(await model.marks())
        shop.meta(1, token="1" * 32)
        marks.append(await model.marks())
        clock[0] += 1
        marks.append(await model.marks())
        return list(marks)

    first, same, written, moved = shop.ask(ask)
    assert first == same
    assert len({first, written, moved}) == 3


def test_marks_of_a_foreign_store_are_an_error(shop: Shop) -> None:
    """A store that this reader cannot read has no marks either."""
    shop.meta(0, schema="1")
    with pytest.raises(StoreUnavailableError, match="schema 1"):
        shop.ask(lambda model: model.marks())


@dataclass
class _Plan:
    """Asks for a hash by its name; of a name that begins with `-` there is no plan."""

    name: str
    moment: Moment

    def __post_init__(self) -> None:
        if self.name.startswith("-"):
            raise WindowError(self.name)

    @property
    def requests(self) -> Sequence[Request]:
        """The hash, and one that all ask for."""
        return [RecordRequest(self.name, ("x",)), RecordRequest("shared", ("x",))]


def test_plans_that_come_at_once_are_read_together(shop: Shop) -> None:
    """Up to so many share a reading, and read once what they have in common; each gets its own plan back."""
    names = [f"n{number}" for number in range(PLANS_A_READING + 2)]

    async def ask(model: ReadModel) -> list[Any]:
        shared = SharedReadings(model)
        await model.metas()
        readings = counted(model)
        asked = [asyncio.create_task(shared.view(partial(_Plan, name))) for name in names]
        await asyncio.sleep(0)
        asked[1].cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
        return [found, readings]

    found, readings = shop.ask(ask)
    assert isinstance(found.pop(1), asyncio.CancelledError)
    assert [plan.name for _, plan in found] == [names[0], *names[2:]]
    assert readings == [PLANS_A_READING, 3]
    assert len({id(view) for view, _ in found}) == 2


def test_a_plan_that_cannot_be_made_spoils_no_other(shop: Shop) -> None:
    """It is told what `Reader.view` tells; while Redis holds a foreign state everyone is told that."""

    async def ask(model: ReadModel) -> list[Any]:
        shared = SharedReadings(model)

        async def views(*names: str) -> list[Any]:
            asked = (shared.view(partial(_Plan, name)) for name in names)
            return await asyncio.gather(*asked, return_exceptions=True)

        mixed = await views("a", "-b", "c")
        shop.meta(0, schema="1")
        foreign = await views("a", "b")
        shop.meta(0, schema=SCHEMA)
        return [*mixed, *foreign, *await views("a")]

    found = [type(each) for each in shop.ask(ask)]
    assert found == [tuple, WindowError, tuple, StoreUnavailableError, StoreUnavailableError, tuple]
