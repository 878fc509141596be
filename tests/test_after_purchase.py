"""What comes after a purchase: any order of the two topics, any pieces, held against plain sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event, OrderStatus, Purchase, PurchaseItem, Review
from streams import after_purchase as module
from streams.after_purchase import AfterPurchaseBook, Journey, journey_id
from streams.batch import PlainRecord
from streams.booking import Books
from streams.figures.after_purchase import DELIVERY_BUCKETS_S
from streams.kpis import FIGURE_SETS
from streams.settings import Settings
from streams.story import Chunk
from streams.sums import Sums
from streams.window import DAY_MS
from streams.worker import rules_of
from verify.after_purchase import BUCKETS_S

SIZES = rules_of(Settings()).sizes
NOON = 1_767_614_400_000
HOUR = 3_600_000
LATENESS = 7 * DAY_MS
ON_TIME_DAYS = 2
# In place of 60: then a log of a month crosses the border again and again.
FOLLOWED = 5

Logged = tuple[int, Event]  # (ingest time, event)


class Pipeline:
    """The orders of one partition, with Redis as a dictionary; sums are taken once, at the end."""

    def __init__(self, figures: str = "all") -> None:
        self.figures = FIGURE_SETS[figures]
        self.sums = Sums(self.figures, SIZES)
        self.stored: dict[str, bytes] = {}
        self.book = self._book()

    def _book(self) -> AfterPurchaseBook:
        return AfterPurchaseBook(Books(self.figures, self.sums), self.figures, ON_TIME_DAYS, LATENESS)

    def new_owner(self) -> None:
        """Saves everything and begins with an empty memory."""
        self.stored.update(self.book.journeys.take().records)
        self.book = self._book()

    def feed(self, topic: str, log: Sequence[Logged]) -> None:
        """One chunk."""
        records = [PlainRecord(offset, ingest_ms, None, b"", []) for offset, (ingest_ms, _) in enumerate(log)]
        chunk = Chunk(topic, [event for _, event in log], records, [ingest_ms for ingest_ms, _ in log])
        missing = self.book.journeys.missing(self.book.ids(chunk)["journeys"])
        self.book.journeys.load({each: self.stored.get(each) for each in missing})
        self.book.accept(chunk)

    def days(self) -> Counter[tuple[str, int]]:
        """What the whole shop has by measure and day."""
        found: Counter[tuple[str, int]] = Counter()
        for write in self.sums.take(NOON)[0]:
            for name, amount in write.absolute.items():
                if write.kind == "all" and write.pane.size.name == "1d":
                    found[name.removesuffix("|"), write.pane.start_ms // DAY_MS] += amount
        return Counter({key: amount for key, amount in found.items() if amount})


def _event(kind: type[Any], time_ms: int, order_id: str = "o", user: str = "u", **more: Any) -> Event:
    event: Event = kind(
        event_id="e", event_time_ms=time_ms, platform="tiktok", user_id=user, order_id=order_id, **more
    )
    return event


def _purchase(time_ms: int, order_id: str = "o", user: str = "u") -> Event:
    items = (PurchaseItem(product_id="p", quantity=1, unit_price_minor=1),)
    return _event(Purchase, time_ms, order_id, user, gateway="g", currency="USD", items=items)


def _status(time_ms: int, status: str, order_id: str = "o", user: str = "u") -> Event:
    return _event(OrderStatus, time_ms, order_id, user, status=status)


def _review(time_ms: int, order_id: str = "o", user: str = "u") -> Event:
    return _event(Review, time_ms, order_id, user, session_id="s", product_id="p", rating=5)


@st.composite
def _logs(draw: st.DrawFn) -> dict[str, list[Logged]]:
    """Events of a few orders over a month, each topic by itself in the order of its ingest time."""
    logs: dict[str, list[Logged]] = {"purchases": [], "engagement": []}
    now = NOON
    for _ in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0, 1, HOUR, 11 * HOUR, DAY_MS, 2 * DAY_MS]))
        order, user = draw(st.sampled_from(["o", "q"])), draw(st.sampled_from(["u", "u", "v"]))
        what = draw(st.sampled_from(["purchase", "review", "delivered", "delivered", "cancelled", "placed"]))
        behind = draw(st.sampled_from([0, 0, 0, 1, 12 * HOUR, 3 * DAY_MS, -5 * 60_000]))
        if what == "review":
            logs["engagement"].append((now, _review(now, order, user)))
        elif what == "purchase":
            logs["purchases"].append((now, _purchase(now - behind, order, user)))
        else:
            logs["purchases"].append((now, _status(now - behind, what, order, user)))
    return logs


def _plain(events: Iterable[Event]) -> Counter[tuple[str, int]]:
    """Each purchase by itself: everything that was said of its order within its days."""
    found: Counter[tuple[str, int]] = Counter()
    every: list[Any] = list(events)
    for bought in (event for event in every if isinstance(event, Purchase)):
        day = bought.event_time_ms // DAY_MS
        of_order = [
            event
            for event in every
            if (event.user_id, event.order_id) == (bought.user_id, bought.order_id)
            and day - 1 <= event.event_time_ms // DAY_MS <= day + FOLLOWED
        ]
        statuses = [event for event in of_order if isinstance(event, OrderStatus)]
        for status in {event.status for event in statuses} - {"placed"}:
            found[f"after.{status}", day] += 1
        delivered = [event.event_time_ms for event in statuses if event.status == "delivered"]
        if delivered:
            took_ms = min(delivered) - bought.event_time_ms
            upper_s = min(each for each in DELIVERY_BUCKETS_S if took_ms <= each * 1_000)
            found[f"delivery_time.{upper_s}", day] += 1
            found["after.on_time", day] += took_ms <= ON_TIME_DAYS * DAY_MS
            found["after.reviewed", day] += any(isinstance(event, Review) for event in of_order)
    return Counter({key: amount for key, amount in found.items() if amount})


@given(_logs(), st.integers(0, 2**32))
def test_any_reading_gives_what_sets_give(logs: dict[str, list[Logged]], seed: int) -> None:
    """However the topics are mixed and cut, and whoever owns the partition: what became of each purchase.

    The topics may be read a week apart, however often an order id is used again.
    """
    rng = Random(seed)
    with patch.object(module, "FOLLOWED_DAYS", FOLLOWED):
        pipeline = Pipeline()
        left = {topic: list(log) for topic, log in logs.items()}
        while any(left.values()):
            until_ms = min(log[0][0] for log in left.values() if log) + module.APART_DAYS * DAY_MS
            topic = rng.choice([topic for topic, log in left.items() if log and log[0][0] <= until_ms])
            readable = [each for each in left[topic] if each[0] <= until_ms]
            count = rng.randint(1, len(readable))
            pipeline.feed(topic, left[topic][:count])
            del left[topic][:count]
            if rng.random() < 0.3:
                pipeline.new_owner()
        assert pipeline.days() == _plain(event for log in logs.values() for _, event in log)


def test_records_are_bounded_and_go() -> None:
    """A purchase, or a word on an order, that nothing can need any more leaves the record."""
    pipeline = Pipeline()
    keeps = pipeline.book._remembered_days
    pipeline.feed("purchases", [(NOON, _purchase(NOON)), (NOON, _status(NOON, "shipped"))])
    for day in range(2 * keeps):
        at = NOON + day * DAY_MS
        pipeline.feed("purchases", [(at, _status(at + hour * HOUR, "delivered")) for hour in range(11)])
    journey = pipeline.book.journeys.get(journey_id("u", "o"))
    assert journey is not None
    assert (journey.bought, len(journey.steps)) == ([], keeps + 2)
    assert journey.filed_day == (NOON + (2 * keeps - 1) * DAY_MS) // DAY_MS
    [shelf] = pipeline.book.shelves
    assert shelf.days is not None and shelf.days > keeps + 1


def test_what_is_forgotten_stays_counted() -> None:
    """A purchase that leaves its record takes nothing back: its figures are final."""
    pipeline = Pipeline()
    pipeline.feed("purchases", [(NOON, _purchase(NOON)), (NOON, _status(NOON, "delivered"))])
    pipeline.new_owner()
    much_later = NOON + 100 * DAY_MS
    pipeline.feed("engagement", [(much_later, _review(much_later))])
    day = NOON // DAY_MS
    assert pipeline.days() == {
        ("after.delivered", day): 1,
        ("after.on_time", day): 1,
        (f"delivery_time.{DELIVERY_BUCKETS_S[0]}", day): 1,
    }


def test_what_says_nothing_of_an_order_is_not_kept() -> None:
    """Reviews without an order, and that an order was placed, make no record."""
    pipeline = Pipeline()
    review = Review(
        event_id="e",
        event_time_ms=NOON,
        platform="tiktok",
        user_id="u",
        session_id="s",
        product_id="p",
        rating=1,
    )
    pipeline.feed("engagement", [(NOON, review)])
    pipeline.feed("purchases", [(NOON, _status(NOON, "placed"))])
    assert pipeline.book.journeys.take().records == {}


def test_two_pairs_of_ids_are_never_one_journey() -> None:
    """The name keeps user and order apart, whatever characters ids hold."""
    ids = ["a", "1:a", "a1", ":", "1", "aa", "1:", "11"]
    assert len({journey_id(user, order) for user in ids for order in ids}) == len(ids) ** 2


def test_the_bench_set_keeps_no_journeys() -> None:
    """`funnel-gmv` reads nothing for this story."""
    book = Pipeline("funnel-gmv").book
    assert not book.topics
    assert Pipeline().book.topics == {"purchases", "engagement"}


def test_the_last_bucket_holds_the_longest_delivery() -> None:
    """A delivery that counts always has a bucket, and `verify` has the same."""
    longest_ms = (module.FOLLOWED_DAYS + 1) * DAY_MS
    assert DELIVERY_BUCKETS_S[-1] * 1_000 >= longest_ms - 1
    assert list(DELIVERY_BUCKETS_S) == sorted(set(DELIVERY_BUCKETS_S)) == list(BUCKETS_S)


def test_a_journey_is_small() -> None:
    """An order with two lines that was shipped, delivered and reviewed takes less than 300 bytes of Redis."""
    pipeline = Pipeline()
    pipeline.feed("purchases", [(NOON, _purchase(NOON)), (NOON, _status(NOON, "shipped"))])
    pipeline.feed("purchases", [(NOON, _status(NOON, "delivered"))])
    pipeline.feed("engagement", [(NOON, _review(NOON))])
    [record] = pipeline.book.journeys.take().records.values()
    assert len(record) < 300
    assert isinstance(pipeline.book.journeys.get(journey_id("u", "o")), Journey)
