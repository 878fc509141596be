"""Answers from a real Redis that was filled by hand: sums over partitions, windows, trust, and failures."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from streams.answer import QuestionError
from streams.local.redis import RedisServer
from streams.read_model import ReadModel
from streams.reading import READ_TRIES
from streams.store import StoreUnavailableError
from streams.window import WindowError
from tests.redis_kit import NOON_MS, Shop, before_each_read

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _kpis(shop: Shop, *question: object, now_ms: int = NOON_MS, **changed: object) -> dict[str, object]:
    return shop.ask(lambda model: model.kpis(*question), now_ms, **changed)  # type: ignore[arg-type]


def test_an_answer_adds_the_partitions_up(shop: Shop) -> None:
    """Each partition counts its own users: the shop's figures are their sum."""
    for p in range(2):
        shop.book(NOON_MS - 1, "all", p=p, events__view=3 + p, events__purchase=1, items=2)
        shop.book(NOON_MS - 1, "all", p=p, orders__USD=1, gmv_paid__USD=500 + p)
        shop.book(NOON_MS - 1, "pipeline", "views", p=p, accepted=4, misplaced=1)
    shop.book(NOON_MS - 1, "pipeline", "purchases", accepted=2, dead_letters__not_json=1)
    answer = _kpis(shop, "all", "1m")
    assert answer["events"]["view"] == 7  # type: ignore[index]
    assert answer["orders"] == 2
    assert answer["items"] == 4
    assert answer["money"]["USD"]["gmv_paid_minor"] == 1001  # type: ignore[index]
    assert answer["quality"] == {
        "accepted": 10, "duplicates": 0, "late": 0, "dead_letters": 1, "excluded": 0, "sessions_expired": 0,
        "misplaced": 2,
    }  # fmt: skip
    assert (answer["from_ms"], answer["to_ms"]) == (NOON_MS - MINUTE_MS, NOON_MS)
    assert (answer["as_of_ms"], answer["completeness"]) == (NOON_MS - 10_000, 1.0)
    assert (answer["state"], answer["capped"], answer["scope"]) == ("open", False, "all")


@pytest.mark.parametrize("window", ["1m", "5m", "30m", "1h", "24h"])
def test_windows_hold_exactly_their_events(shop: Shop, window: str) -> None:
    """An event in the first and the last millisecond counts, one just outside does not; in every window."""
    length_ms = {"1m": 1, "5m": 5, "30m": 30, "1h": 60, "24h": 1440}[window] * MINUTE_MS
    for time_ms in (NOON_MS - length_ms - 1, NOON_MS - length_ms, NOON_MS - 1, NOON_MS):
        shop.book(
            time_ms, "live", "L1", items=10 ** (4 if time_ms in (NOON_MS, NOON_MS - length_ms - 1) else 0)
        )
    assert _kpis(shop, "live:L1", window)["items"] == 2


def test_any_range_equals_the_plain_sum(shop: Shop) -> None:
    """Whatever panes a range is composed of, its figure is the sum of the events in it."""
    rng = random.Random(7)
    times = [NOON_MS - rng.randrange(50 * HOUR_MS) for _ in range(300)]
    for time_ms in times:
        shop.book(time_ms, "all", p=rng.randrange(2), items=1)
    for _ in range(30):
        size_ms = rng.choice([MINUTE_MS, HOUR_MS])
        borders = range(NOON_MS - (25 if size_ms == MINUTE_MS else 50) * HOUR_MS, NOON_MS + 1, size_ms)
        from_ms, to_ms = sorted(rng.sample(borders, 2))
        answer = _kpis(shop, "all", None, from_ms, to_ms)
        assert answer["items"] == sum(from_ms <= time_ms < to_ms for time_ms in times)


def test_an_unknown_value_answers_zeros(shop: Shop) -> None:
    """A value that never came is no error; its neighbours' figures are not shown."""
    shop.book(NOON_MS - 1, "live", "L1", items=3)
    answer = _kpis(shop, "live:L2", "5m")
    assert answer["items"] == 0
    assert answer["scope"] == "live:L2"


def test_values_with_the_layouts_own_signs_are_told_apart(shop: Shop) -> None:
    """Bars, colons, braces and emoji in a value change nothing."""
    values = ["a|b", "a", "a:b", "{0}", "ü🛍", "%s*?"]
    for number, value in enumerate(values):
        shop.book(NOON_MS - 1, "product", value, items=10**number)
    for number, value in enumerate(values):
        assert _kpis(shop, f"product:{value}", "5m")["items"] == 10**number


def test_a_live_window_begins_with_the_earliest_start(shop: Shop) -> None:
    """The start may be known to several partitions; the earliest counts, rounded down to a minute."""
    shop.live(0, "L1", NOON_MS - 10 * MINUTE_MS + 500)
    shop.live(1, "L1", NOON_MS - 20 * MINUTE_MS + 500)
    shop.book(NOON_MS - 19 * MINUTE_MS, "live", "L1", items=1)
    shop.book(NOON_MS - 21 * MINUTE_MS, "live", "L1", items=100)
    answer = _kpis(shop, "live:L1", "live", now_ms=NOON_MS + 1)
    assert (answer["from_ms"], answer["to_ms"]) == (NOON_MS - 20 * MINUTE_MS, NOON_MS + MINUTE_MS)
    assert answer["items"] == 1


def test_an_old_live_begins_at_a_border_that_is_kept(shop: Shop) -> None:
    """A live of two days: minutes are gone there, so its window begins with the hour of its start."""
    shop.live(0, "L1", NOON_MS - 48 * HOUR_MS + 25 * MINUTE_MS)
    assert _kpis(shop, "live:L1", "live")["from_ms"] == NOON_MS - 48 * HOUR_MS
    shop.live(0, "L2", NOON_MS - 900 * DAY_MS)
    with pytest.raises(WindowError, match="before everything"):
        _kpis(shop, "live:L2", "live")


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (("live:L9", "live"), "no live_start of live:L9"),
        (("all", "live"), "window=live belongs to"),
        (("all", "2h"), "unknown window"),
        (("all",), "either with window"),
        (("all", "5m", NOON_MS - DAY_MS, NOON_MS), "either with window"),
        (("all", None, NOON_MS), "either with window"),
        (("all", None, NOON_MS - 2 * HOUR_MS - 1, NOON_MS), "multiple of 60000"),
        (("nobody:1", "5m"), "unknown scope"),
    ],
)
def test_a_wrong_question_says_what_is_wrong(shop: Shop, question: tuple[object, ...], reason: str) -> None:
    """Scopes, windows and borders that can't be answered are errors of the asker."""
    with pytest.raises((QuestionError, WindowError), match=reason):
        _kpis(shop, *question)


def test_retention_follows_the_highest_event_time_of_all_partitions(shop: Shop) -> None:
    """Partition 0 is a day behind; a border that only it still keeps is refused."""
    shop.meta(0, h=NOON_MS - DAY_MS)
    from_ms = NOON_MS - 30 * MINUTE_MS
    assert _kpis(shop, "all", None, from_ms + 10_000, NOON_MS)["from_ms"] == from_ms + 10_000
    shop.meta(0, h=NOON_MS + 2 * HOUR_MS)
    with pytest.raises(WindowError, match="multiple of 60000"):
        _kpis(shop, "all", None, from_ms + 10_000, NOON_MS)


def _before_each_read(model: ReadModel, happens: Callable[[int], None]) -> None:
    """Lets something happen before each reading of the store; it gets the reading's number, from 1."""
    reads = itertools.count(1)
    before_each_read(model, lambda _: happens(next(reads)))


def test_panes_that_go_while_they_are_read_are_no_answer(shop: Shop) -> None:
    """The highest event time moves on between plan and reading, and panes of 10 s may be gone: the question
    is refused as it would be a moment later, not answered from what is left."""

    async def ask(model: ReadModel) -> object:
        def move(number: int) -> None:
            shop.meta(1, h=NOON_MS + (40 * MINUTE_MS if number > 1 else 0))

        _before_each_read(model, move)
        return await model.kpis("all", None, NOON_MS - 30 * MINUTE_MS + 10_000, NOON_MS)

    with pytest.raises(WindowError, match="multiple of 60000"):
        shop.ask(ask)


def test_a_plan_that_never_holds_is_no_answer(shop: Shop) -> None:
    """If the store changes with each reading, the reader is told to ask again, after a bounded number of
    tries."""
    readings: list[int] = []

    async def ask(model: ReadModel) -> object:
        def change(number: int) -> None:
            readings.append(number)
            shop.meta(1, currencies="EUR" if number % 2 else "USD")
            shop.meta(0, currencies="EUR" if number % 2 else "USD")

        _before_each_read(model, change)
        return await model.kpis("all", "5m")

    with pytest.raises(StoreUnavailableError, match="ask again"):
        shop.ask(ask)
    assert len(readings) == 1 + READ_TRIES


def test_a_new_currency_between_plan_and_reading_is_shown(shop: Shop) -> None:
    """Fields are asked by currency: a currency that appears meanwhile makes the plan anew."""
    shop.book(NOON_MS - 1, "live", "L1", gmv_paid__EUR=7)

    async def ask(model: ReadModel) -> dict[str, object]:
        def appear(number: int) -> None:
            if number == 2:
                shop.meta(1, currencies="EUR USD")

        _before_each_read(model, appear)
        return await model.kpis("live:L1", "5m")

    money = shop.ask(ask)["money"]
    assert list(money) == ["EUR", "USD"]  # type: ignore[call-overload]
    assert money["EUR"]["gmv_paid_minor"] == 7  # type: ignore[index]


def test_an_empty_redis_has_no_figures(redis_server: RedisServer) -> None:
    """Before a worker has written there is no answer, not one of zeros."""
    shop = Shop(redis_server.url)
    with pytest.raises(
        StoreUnavailableError, match=f"no figures under {shop.prefix}: run `shop-pulse worker`"
    ):
        _kpis(shop, "all", "5m")


def test_a_worker_that_has_only_begun_is_stale_and_not_zero_sales(redis_server: RedisServer) -> None:
    """Until every partition is written, figures are too low, and nobody could take them for sales."""
    shop = Shop(redis_server.url)
    shop.meta(0, token="0" * 32)
    answer = _kpis(shop, "all", "5m")
    assert (answer["as_of_ms"], answer["completeness"], answer["state"]) == (None, 0.0, "stale")
    assert answer["money"] == {}


def test_one_missing_watermark_is_enough_to_be_stale(shop: Shop) -> None:
    """A topic-partition that no worker has published counts as read up to nowhere."""
    shop.forget_meta(1, "wm:ads")
    answer = _kpis(shop, "all", "5m")
    assert (answer["as_of_ms"], answer["state"]) == (None, "stale")
    assert answer["completeness"] == pytest.approx(17 / 18)


def test_a_gateway_answer_reads_purchases_only(shop: Shop) -> None:
    """Only purchases name a gateway: another topic's lag does not make the answer stale."""
    shop.meta(0, wm__views=NOON_MS - DAY_MS)
    assert _kpis(shop, "gateway:adyen", "5m")["state"] == "open"
    assert _kpis(shop, "all", "5m")["state"] == "stale"


def _written(shop: Shop, now_ms: int) -> None:
    for p in range(shop.partitions):
        shop.meta(p, up_ms=now_ms)


def test_a_dead_worker_is_no_silent_source(shop: Shop) -> None:
    """Whether a source sends is known only where every worker looks; else the answer goes stale."""
    _written(shop, NOON_MS - 5_000)
    shop.meta(0, hb__views=NOON_MS - 31_000, up_ms=NOON_MS - 15_001)
    assert _kpis(shop, "all", "5m")["state"] == "open"
    assert _kpis(shop, "all", "5m", now_ms=NOON_MS + 2 * MINUTE_MS)["state"] == "stale"
    shop.meta(0, up_ms=NOON_MS - 15_000)
    assert _kpis(shop, "all", "5m")["state"] == "source_silent"


def test_a_topic_that_is_behind_is_not_silent(shop: Shop) -> None:
    """Records that wait may hold a heartbeat; one that just came (a canary) is no sign that more are old."""
    _written(shop, NOON_MS)
    shop.meta(0, hb__views=NOON_MS - 31_000, lag__views=1, ing__views=NOON_MS - 30_001)
    assert _kpis(shop, "all", "5m")["state"] == "open"
    shop.meta(0, ing__views=NOON_MS - 30_000)
    assert _kpis(shop, "all", "5m")["state"] == "source_silent"
    shop.meta(0, lag__views=0, ing__views=NOON_MS - 30_001)
    assert _kpis(shop, "all", "5m")["state"] == "source_silent"


def test_a_range_ends_with_the_day_that_is_going_on(shop: Shop) -> None:
    """By the clock, or by the newest event where that is ahead, and 10 minutes more; nothing lies beyond."""
    midnight_ms = NOON_MS + 12 * HOUR_MS
    assert _kpis(shop, "all", None, NOON_MS - MINUTE_MS, midnight_ms)["to_ms"] == midnight_ms
    for to_ms in (midnight_ms + 10_000, NOON_MS + 36 * HOUR_MS, 10**15 // DAY_MS * DAY_MS):
        with pytest.raises(WindowError, match=f"in the future; ask up to {midnight_ms}"):
            _kpis(shop, "all", None, NOON_MS - MINUTE_MS, to_ms)
    shop.meta(1, h=midnight_ms - 10 * MINUTE_MS)
    assert (
        _kpis(shop, "all", None, NOON_MS - MINUTE_MS, midnight_ms + DAY_MS)["to_ms"] == midnight_ms + DAY_MS
    )


def test_a_heartbeat_that_stays_away_is_a_silent_source(shop: Shop) -> None:
    """The newest heartbeat of a topic over all partitions counts, for 30 s; what was before is untouched."""
    _written(shop, NOON_MS)
    shop.meta(0, hb__views=NOON_MS - DAY_MS)
    shop.meta(1, hb__views=NOON_MS - 30_000)
    assert _kpis(shop, "all", "5m")["state"] == "open"
    shop.meta(1, hb__views=NOON_MS - 30_001)
    assert _kpis(shop, "all", "5m")["state"] == "source_silent"
    assert _kpis(shop, "gateway:adyen", "5m")["state"] == "open"
    assert _kpis(shop, "all", None, NOON_MS - 5 * MINUTE_MS, NOON_MS - MINUTE_MS)["state"] == "open"


def test_without_heartbeats_the_topics_own_rate_decides(shop: Shop) -> None:
    """30 records in 35 minutes: 25 minutes of silence are enough for 20 missing records, 15 minutes are not;
    and days later the source is still silent, not used to it."""
    last_ms = NOON_MS - 25 * MINUTE_MS
    shop.book(last_ms - 30 * MINUTE_MS, "pipeline", "tag-taps", accepted=30)
    shop.meta(0, src__tag_taps=last_ms)
    _written(shop, NOON_MS)
    shop.meta(1, src__tag_taps=last_ms - HOUR_MS)
    assert _kpis(shop, "all", "5m", now_ms=NOON_MS)["state"] == "source_silent"
    assert _kpis(shop, "all", "5m", now_ms=NOON_MS - 10 * MINUTE_MS)["state"] == "open"
    shop.healthy(NOON_MS + 3 * DAY_MS)
    _written(shop, NOON_MS + 3 * DAY_MS)
    assert _kpis(shop, "all", "5m", now_ms=NOON_MS + 3 * DAY_MS)["state"] == "source_silent"


def test_a_source_that_came_back_is_measured_anew(shop: Shop) -> None:
    """A rate is remembered while a source is silent, no longer: after a busy hour it is missed sooner."""
    _written(shop, NOON_MS)

    async def ask(model: ReadModel) -> list[object]:
        states = []
        for accepted, last_ms in ((1, NOON_MS - 40 * MINUTE_MS), (600, NOON_MS - 10 * MINUTE_MS)):
            shop.book(last_ms - MINUTE_MS, "pipeline", "views", accepted=accepted)
            shop.meta(0, src__views=last_ms)
            states.append((await model.kpis("all", "5m"))["state"])
        return states

    assert shop.ask(ask) == ["open", "source_silent"]


def test_a_quiet_catalogue_is_no_silent_source(shop: Shop) -> None:
    """Products are listed when they are; without heartbeats nothing is expected of them."""
    shop.book(NOON_MS - HOUR_MS, "pipeline", "catalogue", accepted=10_000)
    shop.meta(0, src__catalogue=NOON_MS - HOUR_MS)
    _written(shop, NOON_MS)
    assert _kpis(shop, "all", "5m")["state"] == "open"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("schema", "1", "schema 1"), ("partitions", "8", "SHOP_PULSE_PARTITIONS is 2; set it to 8")],
)
def test_a_store_for_another_reader_is_refused(shop: Shop, field: str, value: str, reason: str) -> None:
    """Figures of another schema or partition count would be wrong sums: no answer instead."""
    shop.meta(1, **{field: value})
    with pytest.raises(StoreUnavailableError, match=reason):
        _kpis(shop, "all", "5m")


def test_readiness_needs_every_partition(shop: Shop) -> None:
    """Ready means: a worker has written each partition once."""
    shop.ask(lambda model: model.check_ready())
    shop.forget_meta(1, "token")
    with pytest.raises(StoreUnavailableError, match="partition 1 yet"):
        shop.ask(lambda model: model.check_ready())


def test_only_figures_that_are_kept_are_answered(shop: Shop) -> None:
    """With the bench's figures a live's GMV is there, the rest is null, other scopes are errors."""
    shop.book(NOON_MS - 1, "live", "L1", gmv_paid__USD=5, items=9)
    answer = _kpis(shop, "live:L1", "30m", figures="funnel-gmv")
    assert answer["money"]["USD"]["gmv_paid_minor"] == 5  # type: ignore[index]
    assert answer["items"] is None
    with pytest.raises(QuestionError, match="known scopes: live:VALUE"):
        _kpis(shop, "all", "30m", figures="funnel-gmv")
