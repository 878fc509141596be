"""Attribution: taps and purchases in any order of reading, held against plain sorting."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import attribution as module
from streams.attribution import Tap, UserDay, Waiting
from streams.ledger import Order
from tests.driver import PipelineDriver, run
from tests.scenario_kit import DAY, HOUR, MINUTE, NOON, SECOND, Sent, line, purchase, refund, step
from verify import attribution as oracle
from verify.model import CellKey, LogRecord
from verify.recompute import recompute
from verify.rules import Rules

TOPICS = ("tag-taps", "purchases")
# Sessions of ids that live longer than a day may depend on how far apart topics are read.
OF_SESSIONS = ("sessions", "prompt.", "checkouts.", "time_to_convert.")
WEEK = 7 * DAY
# Minutes, the borders of windows and days, and what makes identities, taps and orders be forgotten.
STEPS = st.sampled_from((0, 0, 1, SECOND, MINUTE, 6 * MINUTE, 11 * HOUR, DAY, WEEK + HOUR, 8 * DAY, 92 * DAY))
BEHIND = {
    "tag-taps": st.sampled_from((0, 0, 1, MINUTE, 5 * MINUTE, -MINUTE)),
    "purchases": st.sampled_from((0, 0, 1, MINUTE, 11 * HOUR, DAY, DAY + 1, WEEK, -5 * MINUTE)),
}
NAMED = st.sampled_from([None, None, "v1", "v2"])


@st.composite
def _events(draw: st.DrawFn, topic: str) -> dict[str, Any]:
    few = {"product_id": draw(st.sampled_from(["p1", "p2"]))}
    if topic == "tag-taps":
        return few | {"event_type": "tag_tap", "live_id": draw(NAMED), "creator_id": draw(NAMED)}
    order = {"order_id": draw(st.sampled_from(["o1", "o2", "o3"])), "currency": "USD", "gateway": "g"}
    if draw(st.integers(0, 3)) == 0:
        more = {"refund_id": draw(st.sampled_from("uvwx")), "amount_minor": draw(st.integers(1, 9))}
        return order | {"event_type": "refund"} | more
    items = [
        few | {"quantity": 1, "unit_price_minor": draw(st.integers(0, 30)), "commission_bps": 1_000}
        | {"live_id": draw(st.sampled_from([None, None, None, "v1"]))},
        {"product_id": "p1", "quantity": 2, "unit_price_minor": 5},
    ]  # fmt: skip
    envelope = {"creator_id": draw(st.sampled_from([None] * 5 + ["v2"]))}
    return order | envelope | {"event_type": "purchase", "items": items[: draw(st.integers(1, 2))]}


@st.composite
def _logs(draw: st.DrawFn) -> list[LogRecord]:
    """Taps, purchases and refunds of two users, whose order ids come again, on one clock."""
    records: list[LogRecord] = []
    ends = dict.fromkeys(TOPICS, 0)
    now = NOON
    for number in range(draw(st.integers(0, 30))):
        now += draw(STEPS)
        topic = draw(st.sampled_from(TOPICS))
        event = draw(_events(topic)) | {
            "event_id": f"e{number}",
            "event_time_ms": now - draw(BEHIND[topic]),
            "platform": "tiktok",
            "user_id": draw(st.sampled_from(["u1", "u1", "u2"])),
            "session_id": f"s{number}",
            "traffic": draw(st.sampled_from(["real"] * 9 + ["test"])),
        }
        records.append(LogRecord(topic, 0, ends[topic], now, b"u1", json.dumps(event).encode()))
        ends[topic] += 1
    return records


def _without_sessions(cells: dict[CellKey, int]) -> dict[CellKey, int]:
    return {key: amount for key, amount in cells.items() if not key[4].startswith(OF_SESSIONS)}


def _gmv_of(kind: str, driver: PipelineDriver) -> dict[int, int]:
    """GMV by day, over all values of a kind."""
    days: dict[int, int] = {}
    for (of, _, size, start_ms, measure), amount in driver.cells().items():
        if (of, size, measure) == (kind, "1d", "gmv_paid:USD"):
            days[start_ms] = days.get(start_ms, 0) + amount
    return days


@pytest.mark.parametrize("most", [2, 200])
def test_any_reading_equals_sorting(most: int) -> None:
    """However far apart taps and purchases are read, in any pieces, with crashes anywhere, with caps that are
    met and order ids that come again: money goes to whom sorting gives it, and adds up to the whole."""

    @settings(max_examples=250)
    @given(_logs(), st.data())
    def holds(log: list[LogRecord], data: st.DataObject) -> None:
        driver = PipelineDriver()
        driver.append(log)
        for _ in range(data.draw(st.integers(0, 14))):
            driver.read(data.draw(st.sampled_from(TOPICS)), 0, data.draw(st.integers(1, 9)))
            if data.draw(st.booleans()):
                driver.save(0)
            if data.draw(st.integers(0, 3)) == 0:
                driver.crash(0)
        driver.finish()
        expected = recompute(log, Rules(partitions=1))
        assert _without_sessions(driver.cells()) == _without_sessions(expected.cells)
        assert driver.dead_letters == expected.dead_letters
        assert _gmv_of("live", driver) == _gmv_of("creator", driver) == _gmv_of("all", driver)

    with (
        patch.multiple(module, TAPS_MAX=most, ORDERS_MAX=most),
        patch.multiple(oracle, TAPS_A_DAY=most, ORDERS_A_DAY=most),
    ):
        holds()


class _Told(NamedTuple):
    """An order or a tap, as plain as it gets."""

    at: int
    product: str
    live: str | None = None


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from("pq"), NAMED), max_size=12),
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from("pq")), max_size=6),
    st.randoms(use_true_random=False),
)
def test_each_order_is_the_last_taps(taps: list[Any], orders: list[Any], rng: Any) -> None:
    """By a rule of one line, apart from `verify`: of the taps within 24 h, the last one's live."""
    hours = [_Told(NOON + at * HOUR, product, live) for at, product, live in sorted(taps, key=lambda t: t[0])]
    bought = [_Told(NOON + at * HOUR, product) for at, product in sorted(orders)]
    sent = [
        _tap(f"t{n}", each.at, product_id=each.product, live_id=each.live) for n, each in enumerate(hours)
    ]
    sent += [purchase(f"o{n}", each.at, line(each.product, 1, 1)) for n, each in enumerate(bought)]
    wanted: dict[str, int] = {}
    for order in bought:
        mine = [t for t in hours if t.product == order.product and order.at - DAY <= t.at <= order.at]
        live = (mine[-1].live if mine else None) or "unattributed"
        wanted[live] = wanted.get(live, 0) + 1

    driver = PipelineDriver()
    driver.append(_logged(sent))
    for topic in rng.sample(TOPICS, 2):
        driver.read(topic, 0)
    driver.finish()
    got: dict[str, int] = {}
    for (kind, value, size, _, measure), amount in driver.cells().items():
        if (kind, size, measure) == ("live", "1d", "orders:USD"):
            got[value] = got.get(value, 0) + amount
    assert got == wanted


def _logged(sent: Sequence[Sent]) -> Iterator[LogRecord]:
    ends = dict.fromkeys(TOPICS, 0)
    for each in sent:
        yield LogRecord(each.topic, 0, ends[each.topic], each.at, each.key, each.data)
        ends[each.topic] += 1


def _tap(event_id: str, at: int, **more: Any) -> Sent:
    return step("tag_tap", event_id, at, **{"live_id": "L1", "creator_id": "C1"} | more)


def _days(driver: PipelineDriver) -> dict[str, UserDay]:
    decode = msgspec.msgpack.Decoder(UserDay).decode
    kept = driver.saved[0].ledgers["taps"]
    return {name: decode(value.partition(b":")[2]) for name, value in kept.items()}


def _ran(*sent: Sent) -> PipelineDriver:
    """Read in the order of these records, each topic's own."""
    driver = PipelineDriver()
    driver.append(_logged(sent))
    for each in sent:
        driver.read(each.topic, 0, 1)
    driver.finish()
    return driver


def test_an_order_waits_no_longer_than_a_tap_may_come() -> None:
    """It waits under its day, and under the day before only around midnight; the next tap ends the wait once
    none before the order is accepted any more."""
    today = f"{NOON // DAY}:u1"
    driver = _ran(_tap("t1", NOON), purchase("o1", NOON + MINUTE, line("p1", 1, 100)))
    assert {name: day.waiting for name, day in _days(driver).items()} == {
        today: [Waiting("o1", NOON + MINUTE)]
    }
    driver.append([LogRecord("tag-taps", 0, 1, NOON + 7 * MINUTE, b"u1", _tap("t2", NOON + 7 * MINUTE).data)])
    driver.finish()
    assert _days(driver)[today].waiting == []
    assert [tap.time_ms for tap in _days(driver)[today].taps] == [NOON, NOON + 7 * MINUTE]


def test_taps_that_are_read_far_ahead_leave_nothing_to_wait_for() -> None:
    """An order more than the lateness behind the taps' log is as it stays."""
    driver = _ran(
        _tap("t1", NOON + 6 * MINUTE), purchase("o1", NOON, line("p1", 1, 100), ts=NOON + 6 * MINUTE)
    )
    assert [day.waiting for day in _days(driver).values()] == [[]]


@pytest.mark.parametrize(
    "reading",
    [
        ("purchases", "tag-taps", "tag-taps"),
        ("tag-taps", "purchases", "tag-taps"),
        ("tag-taps", "tag-taps", "purchases"),
    ],
)
def test_the_latest_tap_that_is_accepted_finds_its_order(reading: Sequence[str]) -> None:
    """At the limit of lateness and at the very time of the purchase, or 24 h before another one."""
    driver = PipelineDriver()
    late = NOON + 5 * MINUTE
    sent = [
        _tap("t1", late, product_id="p2"),
        _tap("t2", NOON, ts=late),
        purchase("o1", NOON, line("p1", 1, 100)),
        purchase("o2", NOON + DAY, line("p1", 1, 20)),
        purchase("o3", NOON + DAY + 1, line("p1", 1, 3)),
    ]
    driver.append(_logged(sent))
    for topic in reading:
        driver.read(topic, 0, 1 if topic == "tag-taps" else None)
    driver.finish()
    gmv = [n for key, n in driver.cells().items() if key[:3] == ("live", "L1", "1d") and "gmv_paid" in key[4]]
    assert sorted(gmv) == [20, 100]


def test_an_order_that_names_a_live_asks_for_no_taps() -> None:
    """It costs no record, and no tap changes it."""
    driver = _ran(purchase("o1", NOON, line("p1", 1, 100), live_id="L7"))
    assert _days(driver) == {}


def test_a_record_is_bounded() -> None:
    """A day keeps so many taps; those above are not remembered, whatever their time."""
    with patch.object(module, "TAPS_MAX", 3):
        driver = _ran(*(_tap(f"t{n}", NOON - n) for n in range(5)))
    assert [day.taps for day in _days(driver).values()] == [
        [Tap(NOON - n, n, "p1", "L1", "C1") for n in range(3)]
    ]


def test_an_order_whose_id_is_taken_again_still_finds_its_tap() -> None:
    """More than 7 days later the id counts again, as another order: a tap of the first one's day that is read
    after both changes the first alone, refunds are the second's."""
    driver = PipelineDriver()
    sent = [
        purchase("o1", NOON, line("p1", 1, 100), user_id="u2"),
        purchase("o1", NOON + 8 * DAY, line("p1", 1, 7)),
        refund("r1", "o1", NOON + 8 * DAY, 3),
        _tap("t1", NOON - 1, user_id="u2"),
    ]
    driver.append(_logged(sent))
    driver.read("purchases", 0)
    driver.save(0)
    driver.crash(0)
    driver.finish()
    of_lives = {
        (value, measure): amount
        for (kind, value, size, _, measure), amount in driver.cells().items()
        if kind == "live" and size == "1d" and measure in ("gmv_paid:USD", "refunds:USD")
    }
    assert of_lives == {
        ("L1", "gmv_paid:USD"): 100,
        ("unattributed", "gmv_paid:USD"): 7,
        ("unattributed", "refunds:USD"): 3,
    }
    names = sorted(driver.saved[0].ledgers["orders"])
    assert len(names) == 2
    # No id of an event is as long: the two can never be mistaken.
    assert min(map(len, names)) == 2
    assert max(map(len, names)) > 64


def test_the_bench_set_keeps_no_taps() -> None:
    """Where attribution is not kept, GMV of a live is of lines that name it, and nothing is remembered."""
    sent = [
        _tap("t1", NOON),
        purchase("o1", NOON, line("p1", 1, 100)),
        purchase("o2", NOON, line("p1", 1, 5), live_id="L1"),
    ]
    driver = run(_logged(sent), settings={"figures": "funnel-gmv"})
    assert _days(driver) == {}
    money = {key[1]: n for key, n in driver.cells().items() if key[4].startswith("gmv_paid")}
    assert money == {"L1": 5}
    expected = recompute(list(_logged(sent)), Rules(partitions=1, figures="funnel-gmv"))
    assert driver.cells() == expected.cells


def test_what_is_stored_without_a_tap_is_read() -> None:
    """A line ends with its tap: one that was stored without is a line that no tap changes."""
    order = Order(0, 0, 0, NOON, "USD", False, (None,), [], "u", 0, [])
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(order))
    stored[7] = [["p", None, None, None, None, None, None, 1, 5, 5, 5, 0, 0]]
    assert msgspec.convert(stored, Order).lines[0].tap is None
