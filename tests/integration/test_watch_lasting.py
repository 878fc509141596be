"""What the watch says of drops that last for hours, and of flags that stand: over a real Redis."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streams.changes import Change, Kind
from streams.drops import drops_answer
from streams.local.redis import RedisServer
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.watch import Watch
from tests.redis_kit import NOON_MS, Shop
from tests.watch_kit import (
    DAY_MS,
    END,
    HOUR_MS,
    MINUTE_MS,
    NOON,
    STEADY,
    Cells,
    Flagged,
    fill,
    times,
    write,
)

FAILED_FROM = END - 30
LARGE = times(STEADY, 10)
NOTHING_SOLD = {
    scope: {name: n for name, n in of.items() if name != "prompt.purchase"} for scope, of in LARGE.items()
}


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _answer(shop: Shop, flags: Flagged | None = None) -> Any:
    async def ask(model: ReadModel) -> Any:
        watch = Watch(model, Ranking(model.store), flags or Flagged())
        await watch.look()
        return drops_answer(watch.found)

    return shop.ask(ask)


def _purchases(answer: Any) -> Any:
    """The drop of the whole shop's purchases."""
    found = {(each["scope"], each["step"]): each for each in answer["drops"]}
    return found["all", "purchase_per_view"]


def _states(answer: Any) -> set[str]:
    return {each["state"] for each in answer["watched"] if each["scope"] == "all"}


def _sold_nothing(minute: int) -> Cells:
    return NOTHING_SOLD if minute >= FAILED_FROM else LARGE


def test_flags_that_stand_are_told(shop: Shop) -> None:
    """What keeps business figures quiet is seen, with its end; also while figures are not current."""
    flag = Change(id="1", kind=Kind.INCIDENT, title="adyen down", at_ms=NOON_MS - 1, to_ms=NOON_MS + DAY_MS)
    over = Change(id="2", kind=Kind.INCIDENT, title="over", at_ms=NOON_MS - 9, to_ms=NOON_MS)
    flags = Flagged(told=[flag, over])
    fill(shop, lambda _: LARGE, LARGE)
    told = [msgspec.to_builtins(flag) | {"url": None}]
    answer = _answer(shop, flags)
    assert (_states(answer), [each | {"url": None} for each in answer["left_out"]]) == ({"watched"}, told)
    for p in range(shop.partitions):
        shop.meta(p, up_ms=NOON_MS - 1_000, hb__purchases=FAILED_FROM * MINUTE_MS)
    answer = _answer(shop, flags)
    assert (_states(answer), [each | {"url": None} for each in answer["left_out"]]) == ({"not_current"}, told)


def test_a_drop_that_is_older_than_the_watch_began_then_or_earlier(shop: Shop) -> None:
    """A service that starts seven hours into it has not seen it begin, and says so; of one that began half an
    hour ago it knows."""
    fill(shop, lambda minute: NOTHING_SOLD if minute >= END - 420 else LARGE, LARGE)
    drop = _purchases(_answer(shop))
    assert drop["since_or_earlier"] is True
    assert drop["since_ms"] > (END - 420) * MINUTE_MS
    young = Shop(shop.url).healthy(NOON_MS - 10_000)
    fill(young, _sold_nothing, LARGE)
    assert _purchases(_answer(young))["since_or_earlier"] is False


def test_a_watch_that_saw_it_begin_knows_when_for_good(shop: Shop) -> None:
    """Looked at for twelve hours, a drop began when it did, and its losses are those of all this time; causes
    are looked for in the hours that are kept."""
    fill(shop, _sold_nothing, LARGE)
    later = [("1m", minute * MINUTE_MS, NOTHING_SOLD) for minute in range(NOON, NOON + 12 * 60)]
    write(shop, [*later, *(("1h", NOON_MS + hour * HOUR_MS, times(NOTHING_SOLD, 60)) for hour in range(12))])
    now_ms = [NOON_MS]

    async def ask(model: ReadModel) -> list[Any]:
        model.clock = lambda: now_ms[0]
        watch = Watch(model, Ranking(model.store), Flagged())
        told = []
        for hour in range(13):
            now_ms[0] = NOON_MS + hour * HOUR_MS
            shop.healthy(now_ms[0] - 10_000)
            await watch.look()
            told.append(_purchases(drops_answer(watch.found)))
        return told

    first, *_, last = shop.ask(ask)
    assert first["since_ms"] == last["since_ms"] == FAILED_FROM * MINUTE_MS
    assert last["since_or_earlier"] is False
    assert last["lost_orders_per_minute"] == pytest.approx(90, rel=0.01)
    assert last["lost_orders"] == pytest.approx(90 * (30 + 12 * 60), rel=0.01)
    assert last["causes"]
