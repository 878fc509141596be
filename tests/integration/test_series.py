"""Steps of a series and windows that are compared, from a real Redis that was filled by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from streams.answer import QuestionError
from streams.comparison import read_comparison
from streams.local.redis import RedisServer
from streams.read_store import ReadStore
from streams.requests import CellsRequest, Reading, Request
from streams.series import read_series
from tests.redis_kit import NOON_MS, Shop

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _series(shop: Shop, scope: str, window: str, now_ms: int = NOON_MS, **changed: Any) -> Any:
    return shop.ask(lambda model: read_series(model, scope, window), now_ms, **changed)


def _comparison(shop: Shop, scope: str, window: str, now_ms: int = NOON_MS) -> Any:
    return shop.ask(lambda model: read_comparison(model, scope, window), now_ms)


def test_a_series_has_a_value_per_minute(shop: Shop) -> None:
    """Minutes of the window, each with what fell into it, over all partitions."""
    shop.book(NOON_MS - 30 * MINUTE_MS, "live", "L1", items=1, gmv_paid__USD=5, events__purchase=1)
    shop.book(NOON_MS - 30 * MINUTE_MS - 1, "live", "L1", items=1_000)
    shop.book(NOON_MS - MINUTE_MS, "live", "L1", p=1, items=2, events__live_join=3, sessions__view=4)
    shop.highest(NOON_MS - MINUTE_MS, "live", "L1", max__viewers=6)
    answer = _series(shop, "live:L1", "30m")
    assert (answer["from_ms"], answer["to_ms"], answer["step_ms"]) == (
        NOON_MS - 30 * MINUTE_MS, NOON_MS, MINUTE_MS,
    )  # fmt: skip
    assert answer["start_ms"] == list(range(NOON_MS - 30 * MINUTE_MS, NOON_MS, MINUTE_MS))
    figures = answer["figures"]
    assert figures["items"] == [1, *[0] * 28, 2]
    assert figures["money.USD.gmv_paid_minor"] == [5, *[0] * 29]
    assert figures["orders"] == [1, *[0] * 29]
    assert figures["events.view"] == [*[0] * 29, 3]
    assert figures["sessions.view"][-1] == 4
    assert figures["viewers.peak"] == [*[None] * 29, 6]
    assert (answer["scope"], answer["as_of_ms"], answer["state"]) == ("live:L1", NOON_MS - 10_000, "open")


@pytest.mark.parametrize("kind", ["app", "qr", "channel"])
def test_a_kind_without_such_figures_costs_nothing(
    shop: Shop, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step reads the cells of all the others of its kind, of which there may be thousands."""
    asked: list[object] = []
    read = ReadStore.read

    async def spied(store: ReadStore, requests: Sequence[Request] = ()) -> Reading:
        asked.extend(requests)
        return await read(store, requests)

    monkeypatch.setattr(ReadStore, "read", spied)
    assert _series(shop, f"{kind}:x", "30m")["figures"] == {}
    kinds = {each.kind for each in asked if isinstance(each, CellsRequest) and each.panes}
    assert kinds and kind not in kinds


def test_what_is_not_read_yet_is_null(shop: Shop) -> None:
    """Steps from the as-of line on hold nothing known, whatever stands there; without the line none does."""
    shop.healthy(NOON_MS - 2 * MINUTE_MS + 1)
    shop.book(NOON_MS - MINUTE_MS, "all", items=2)
    shop.book(NOON_MS - DAY_MS, "pipeline", "views", accepted=1)
    items = _series(shop, "all", "1h")["figures"]["items"]
    assert items == [*[0] * 59, None]
    shop.forget_meta(1, "wm:ads")
    assert set(_series(shop, "all", "1h")["figures"]["items"]) == {None}


def test_before_the_first_record_nothing_is_known(shop: Shop) -> None:
    """A shop of 90 s sold nothing in its first minute, and nobody knows what it sold before: null, not 0. A
    record that came long before the window makes zeros of all that."""
    shop.book(NOON_MS - 90_000, "pipeline", "views", accepted=1)
    shop.book(NOON_MS - 1, "all", items=2)
    assert _series(shop, "all", "30m")["figures"]["items"] == [*[None] * 28, 0, 2]
    assert _series(shop, "all", "24h")["figures"]["items"] == [*[None] * 23, 2]
    shop.book(NOON_MS - 3 * MINUTE_MS, "all", items=1)
    assert _series(shop, "all", "30m")["figures"]["items"] == [*[None] * 27, 1, 0, 2]
    for old_ms in (NOON_MS - 300 * DAY_MS, NOON_MS - 31 * MINUTE_MS):
        other = Shop(shop.url).healthy(NOON_MS - 10_000)
        other.book(old_ms, "pipeline", "ads", p=1, accepted=1)
        assert _series(other, "all", "30m")["figures"]["items"] == [0] * 30


def test_a_series_of_few_sizes(shop: Shop) -> None:
    """Where minutes are all that is kept, they tell of the first record too."""
    shop.book(NOON_MS - HOUR_MS, "pipeline", "ads", accepted=1)
    shop.book(NOON_MS - 1, "live", "L1", gmv_paid__USD=2)
    figures = _series(shop, "live:L1", "30m", figures="funnel-gmv")["figures"]
    assert figures["money.USD.gmv_paid_minor"] == [*[0] * 29, 2]


def test_a_day_goes_by_the_hour(shop: Shop) -> None:
    """24 aligned hours, the last one going on; a kind has the figures that it keeps."""
    now_ms = NOON_MS + 20 * MINUTE_MS
    shop.healthy(now_ms)
    shop.book(NOON_MS + 10 * MINUTE_MS, "gateway", "adyen", pay__attempts=2)
    shop.book(NOON_MS - 23 * HOUR_MS, "gateway", "adyen", pay__attempts=1)
    answer = _series(shop, "gateway:adyen", "24h", now_ms)
    assert answer["start_ms"] == list(range(NOON_MS - 23 * HOUR_MS, NOON_MS + 1, HOUR_MS))
    assert answer["to_ms"] == now_ms
    assert answer["figures"]["payments.attempts"] == [1, *[0] * 22, 2]
    assert not {"events.view", "sessions.view", "viewers.peak"} & set(answer["figures"])


@pytest.mark.parametrize("ask", [_series, _comparison])
def test_other_windows_are_refused(shop: Shop, ask: Any) -> None:
    """Each address has its own windows, and names them."""
    with pytest.raises(QuestionError, match="window is one of"):
        ask(shop, "all", "1m")
    with pytest.raises(QuestionError, match="unknown scope"):
        ask(shop, "room:1", "30m")


def test_a_window_is_compared_with_the_one_before(shop: Shop) -> None:
    """Both are answers of their own, next to each other."""
    shop.book(NOON_MS - 1, "all", items=3)
    shop.book(NOON_MS - 5 * MINUTE_MS - 1, "all", items=2)
    answer = _comparison(shop, "all", "5m")
    assert (answer["now"]["items"], answer["previous"]["items"]) == (3, 2)
    assert answer["previous"]["to_ms"] == answer["now"]["from_ms"] == NOON_MS - 5 * MINUTE_MS
    assert answer["previous"]["from_ms"] == NOON_MS - 10 * MINUTE_MS


def test_whole_hours_are_compared_with_last_week(shop: Shop) -> None:
    """The last hour that is over, and the same one 7 days before."""
    now_ms = NOON_MS + 20 * MINUTE_MS
    shop.healthy(now_ms)
    for time_ms, items in ((NOON_MS, 100), (NOON_MS - 1, 10), (NOON_MS - 7 * DAY_MS - 1, 1)):
        shop.book(time_ms, "all", items=items)
        shop.book(time_ms, "pipeline", "purchases", accepted=1)
    last_week = _comparison(shop, "all", "1h", now_ms)["last_week"]
    assert (last_week["from_ms"], last_week["to_ms"]) == (NOON_MS - HOUR_MS, NOON_MS)
    assert (last_week["this"]["items"], last_week["then"]["items"]) == (10, 1)
    assert last_week["then"]["to_ms"] == NOON_MS - 7 * DAY_MS


def test_a_week_that_nobody_watched_is_null(shop: Shop) -> None:
    """Where no record at all came in, zeros would say that nothing was sold."""
    shop.book(NOON_MS - 1, "all", items=10)
    last_week = _comparison(shop, "all", "5m")["last_week"]
    assert (last_week["this"]["items"], last_week["then"]) == (10, None)
