"""Session funnels against a plain recomputation: all events sorted, each scope evaluated by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import (
    AddToCart,
    BeginCheckout,
    LiveJoin,
    LiveLike,
    Payment,
    ProductView,
    Purchase,
    RemoveFromCart,
    TagTap,
    View,
)
from streams import funnel as module
from streams import steps as steps_module
from streams.funnel import SessionBook, last_needless_day
from streams.kpis import FIGURE_SETS
from streams.scopes import ALL
from streams.settings import Settings
from streams.sums import Sums
from streams.worker import rules_of
from tests.funnel_kit import (
    DAY,
    HORIZON,
    HOUR,
    LATENESS,
    MINUTE,
    NOON,
    SECOND,
    TOPICS,
    Arrival,
    Shop,
    at,
    everything,
    lines,
    recomputed,
)

# Any order --------------------------------------------------------------------------------------------------

# Ingest time: close together, around the end of a session, around its successor's beginning.
INGEST = st.sampled_from(
    [
        *(0, 0, 0, SECOND, MINUTE, 4 * MINUTE, 9 * MINUTE, 12 * MINUTE),
        *(DAY - MINUTE, DAY, DAY + 14 * MINUTE, DAY + 15 * MINUTE, DAY + 15 * MINUTE + 1, DAY + 17 * MINUTE),
        *(2 * DAY - MINUTE, 2 * DAY, 2 * DAY + 1, 2 * DAY + 3 * MINUTE, 2 * DAY + 9 * MINUTE, 3 * DAY),
        *(3 * DAY + 20 * MINUTE, 4 * DAY + MINUTE, 4 * DAY + 6 * MINUTE),
    ]
)
BEHIND = st.sampled_from([0, 0, 0, 1, 7 * SECOND, MINUTE, 5 * MINUTE, 5 * MINUTE + 1, -MINUTE, -5 * MINUTE])
LIVES = st.sampled_from([None, "L1", "L1", "L2", "capped", "capped"])
CREATORS = st.sampled_from([None, "C1", "C2", "L1"])


def capped(kind: str, time_ms: int, value: str) -> bool:
    """A live that met the cap of its kind, but not at all times."""
    return value != "capped" or kind != "live" or time_ms // MINUTE % 2 == 0


@st.composite
def arrivals(draw: st.DrawFn) -> Arrival:
    """Some event of one of few sessions."""
    cls = draw(st.sampled_from([*TOPICS, View, TagTap, AddToCart, BeginCheckout, Payment, Payment, Purchase]))
    ingest_ms = draw(INGEST)
    fields: dict[str, Any] = {
        "platform": draw(st.sampled_from(["tiktok", "tiktok", "douyin"])),
        "surface": draw(st.sampled_from([None, "live", "live", "search"])),
        "creator_id": draw(CREATORS),
    }
    fields["user_id"], fields["session_id"] = draw(
        st.sampled_from([("u", "s"), ("u", "s"), ("u", "s"), ("u1", "s"), ("u", "1s")])
    )
    if cls not in (LiveJoin, LiveLike):
        fields["live_id"] = draw(LIVES)
    behind_ms = draw(BEHIND)
    if TOPICS[cls] != "purchases":
        behind_ms = min(behind_ms, LATENESS)  # later ones are not accepted
    elif draw(st.integers(0, 5)) == 0:
        fields["session_id"] = None
    if cls is Payment:
        fields["outcome"] = draw(st.sampled_from(["started", "authorised", "declined"]))
    if cls is Purchase:
        fields["items"] = lines(*draw(st.lists(st.tuples(LIVES, CREATORS), min_size=1, max_size=3)))
    return at(ingest_ms - behind_ms, cls, ingest_ms, **fields)


@contextmanager
def _limits(times_max: int, own_max: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps_module, "STEP_TIMES_MAX", times_max)
        patch.setattr(module, "OWN_SCOPES_MAX", own_max)
        yield


def _in_some_order(draw: Any, events: list[Arrival]) -> Iterator[tuple[str, list[Arrival]]]:
    """Chunks as topics may be read: each in its own order, none more than 10 min ahead of another."""
    by_topic: dict[str, list[Arrival]] = {}
    for arrival in events:
        by_topic.setdefault(arrival.topic, []).append(arrival)
    for log in by_topic.values():
        log.sort(key=lambda each: each.ingest_ms)
    while left := {topic: log for topic, log in by_topic.items() if log}:
        slowest_ms = min(log[0].ingest_ms for log in left.values())
        near = [topic for topic, log in left.items() if log[0].ingest_ms <= slowest_ms + 10 * MINUTE]
        topic = draw(st.sampled_from(sorted(near)))
        chunk = [left[topic].pop(0)]
        for _ in range(draw(st.integers(0, 3))):
            if left[topic] and left[topic][0].ingest_ms <= slowest_ms + 10 * MINUTE:
                chunk.append(left[topic].pop(0))
        yield topic, chunk


@given(
    events=st.lists(arrivals(), max_size=24),
    times_max=st.sampled_from([1, 2, 64]),
    own_max=st.sampled_from([1, 2, 16]),
    horizon_ms=st.sampled_from([MINUTE, HORIZON, DAY - MINUTE, 2 * DAY]),
    data=st.data(),
)
@settings(max_examples=600)
def test_any_order_of_reading_counts_what_sorting_gives(
    events: list[Arrival], times_max: int, own_max: int, horizon_ms: int, data: st.DataObject
) -> None:
    """Whatever the order, the chunks, the restarts and the copies forgotten: the set of events decides."""
    shop = Shop(capped, horizon_ms)
    with _limits(times_max, own_max):
        for topic, chunk in _in_some_order(data.draw, events):
            shop.read(topic, chunk)
            match data.draw(st.integers(0, 3)):
                case 0:
                    shop.restart()
                case 1:
                    shop.save()
                    shop.book.records.age()
    assert shop.cells() == recomputed(events, times_max, capped, horizon_ms)


# By hand ----------------------------------------------------------------------------------------------------


def _all(cells: Mapping[tuple[str, str, str, int], int]) -> dict[str, int]:
    """Measures of the whole shop: name@start, in seconds since NOON."""
    return {
        f"{measure}@{start_ms // SECOND}": n
        for (kind, _, measure, start_ms), n in cells.items()
        if kind == "all"
    }


def promptly(*steps: str) -> list[str]:
    """What a session counts for steps within the horizon of its view, that lies within 10 s of NOON."""
    return [f"{group}.{step}@0" for step in steps for group in ("sessions", "prompt")]


def test_a_session_moves_with_its_earliest_view() -> None:
    """An earlier view, read last, moves the session to its pane, and taps before the old one count."""
    shop = Shop()
    shop.read_all([at(60_000), at(30_000, TagTap, 61_000)])
    assert _all(shop.cells()) == {"sessions.view@60": 1}
    shop = Shop().read_all([at(60_000), at(30_000, TagTap, 61_000), at(10_000, View, 62_000)])
    assert _all(shop.cells()) == {"sessions.view@10": 1, "sessions.tag_tap@10": 1, "prompt.tag_tap@10": 1}


def test_a_step_counts_that_waited_for_the_one_before() -> None:
    """Carts without a tap lead nowhere, until a tap is read that lies between them."""
    shop = Shop().read_all([at(0), at(1, AddToCart), at(2, AddToCart), at(50, AddToCart), at(30, TagTap, 60)])
    assert set(_all(shop.cells())) == {"sessions.view@0", *promptly("tag_tap", "add_to_cart")}


def test_an_order_may_end_both_funnels_at_different_times() -> None:
    """The first order ends the checkout, which needs no view; the second one the session."""
    checkout = [at(0, BeginCheckout), at(0, Payment), at(0, Payment, outcome="authorised"), at(10, Purchase)]
    shop = Shop().read_all([*checkout, at(10_000), at(11_000, TagTap), at(12_000, AddToCart)])
    shop.read_all([at(15_000, Purchase)])
    cells = _all(shop.cells())
    assert cells["checkouts.purchase@0"] == cells["sessions.purchase@10"] == 1
    assert cells["time_to_convert.5@10"] == 1


def test_time_to_convert_falls_into_the_smallest_bucket_that_holds_it() -> None:
    """The upper end belongs to a bucket; the last bucket ends where the funnel does."""
    for took_ms, bucket in ((0, 5), (5_000, 5), (5_001, 10), (3_600_000, 3_600), (DAY, 86_400)):
        cart = [at(0), at(0, TagTap), at(0, AddToCart)]
        shop = Shop().read_all([*cart, at(took_ms, Purchase)])
        assert _all(shop.cells())[f"time_to_convert.{bucket}@0"] == 1
    shop = Shop().read_all([*cart, at(DAY + 1, Purchase)])
    assert set(_all(shop.cells())) == {"sessions.view@0", *promptly("tag_tap", "add_to_cart")}


def test_a_step_that_turns_out_earlier_may_be_prompt() -> None:
    """A step is prompt by the time at which it was reached, also when no step more is reached."""
    shop = Shop().read_all([at(0), at(HORIZON + 1, TagTap), at(HORIZON, TagTap, HORIZON + 2)])
    assert set(_all(shop.cells())) == {"sessions.view@0", *promptly("tag_tap")}
    shop = Shop().read_all([at(0), at(HORIZON, TagTap), at(-1, View, MINUTE)])
    assert set(_all(shop.cells())) == {"sessions.view@-10", "sessions.tag_tap@-10"}


def test_a_whole_checkout_in_a_live_is_one_small_record() -> None:
    """Scopes that the same steps carried share them: the record of a usual session is about 100 bytes."""
    scope = {"surface": "live", "live_id": "live-2048", "creator_id": "creator-77"}
    shop = Shop().read_all(
        [
            *(at(0, LiveJoin, **scope), at(31_000, TagTap, **scope), at(45_500, AddToCart, **scope)),
            *(at(62_250, BeginCheckout, **scope), at(80_125, Payment, **scope)),
            *(at(83_375, Payment, outcome="authorised", **scope), at(84_000, Purchase, **scope)),
        ]
    )
    assert _all(shop.cells()) == {
        "sessions.view@0": 1,
        **dict.fromkeys(promptly("tag_tap", "add_to_cart", "purchase"), 1),
        "time_to_convert.90@0": 1,
        **{f"checkouts.{step}@60": 1 for step in ("begin_checkout", "payment_started")},
        **{f"checkouts.{step}@60": 1 for step in ("payment_authorised", "purchase")},
    }
    (record,) = shop.records().values()
    assert (len(record.scopes), len(record.shapes), len(record.times)) == (6, 1, 1)
    (encoded,) = shop.stored.values()
    assert len(encoded) <= 120


def test_a_session_through_a_thousand_lives_makes_no_big_record() -> None:
    """Lives beyond the first sixteen scopes have records of their own; all of them are counted."""
    joins = [at(n, LiveJoin, live_id=f"L{n}", creator_id=f"C{n}") for n in range(1_000)]
    shop = Shop()
    shop.read("livestreams", joins)
    shop.restart()
    shop.read_all([at(2_000, TagTap, live_id="L999")])
    shop.read("livestreams", joins)
    assert max(map(len, shop.stored.values())) < 400
    assert len(shop.records()) == 1 + 2 * 1_000 - 16
    cells = shop.cells()
    assert {cells["live", f"L{n}", "sessions.view", 0] for n in range(1_000)} == {1}
    assert [key[1] for key in cells if key[0] == "live" and key[2] == "sessions.tag_tap"] == ["L999"]


def test_records_beside_a_session_must_be_loaded() -> None:
    """Not loaded and absent are different things there too, also for a session that was filled before."""
    shop = Shop()
    shop.read("livestreams", [at(n, LiveJoin, live_id=f"L{n}") for n in range(20)])
    shop.save()
    for other in "ab":
        shop.read("views", [at(0, session_id=other)])
        shop.save()
        shop.book.records.age()
    (main,) = shop.book.ids("livestreams", [at(20, LiveJoin, live_id="L19").event], [NOON])
    shop.book.records.load({main: shop.stored[main]})
    with pytest.raises(KeyError):
        shop.book.accept("livestreams", [at(20, LiveJoin, live_id="L19").event], [NOON], everything)


def test_a_flood_in_one_session_stays_bounded() -> None:
    """Ten thousand taps before any view are 64 times; what the view leads to is still known."""
    shop = Shop()
    shop.read("tag-taps", [at(n, TagTap, 10_000) for n in range(10_000)])
    shop.read_all([at(50, View, 10_001), at(64, View, 10_002)])
    (record,) = shop.records().values()
    # Taps 0 to 50, of which the last is reached, and the view.
    assert record.shapes == [50 * "1" + "01"]
    assert record.times == [[*range(51), 50]]
    assert set(_all(shop.cells())) == {"sessions.view@0", *promptly("tag_tap")}


def test_what_changes_nothing_is_not_saved() -> None:
    """Later views, taps and carts in scopes that were there before cost no write."""
    shop = Shop()
    steps = (View, TagTap, AddToCart)
    shop.read_all([at(n, cls, surface="live", live_id="L1") for n, cls in enumerate(steps)])
    shop.save()
    shop.read_all([at(n, cls, surface="live", live_id="L1") for n in (5, 900) for cls in steps])
    shop.read_all([at(7, BeginCheckout, surface="live", session_id="other")])
    assert shop.book.records.dirty == 1


def test_some_events_are_no_steps() -> None:
    """Other types, outcomes that are neither start nor success, late orders and those without a session."""
    arrivals = [
        *(at(0, ProductView), at(0, RemoveFromCart), at(0, LiveLike)),
        *(at(0, Payment, outcome="declined"), at(0, Purchase, session_id=None)),
        at(0, Purchase, LATENESS + 1),
    ]
    shop = Shop().read_all(arrivals)
    assert (shop.cells(), shop.records()) == (Counter(), {})
    for arrival in arrivals:
        assert shop.book.ids(arrival.topic, [arrival.event], [arrival.ingest_ms]) == []


def test_topics_without_steps_are_left_alone() -> None:
    """No event of theirs is looked at."""
    book = Shop().book
    assert book.ids("engagement", [at(0).event], [NOON]) == []
    book.accept("engagement", [at(0).event], [NOON], everything)
    assert book.records.dirty == 0


def test_a_figure_set_without_sessions_keeps_none() -> None:
    """The book is switched off with its measures; kinds of scope that are not kept get nothing."""
    figures = FIGURE_SETS["funnel-gmv"]
    book = SessionBook(figures, Sums(figures, rules_of(Settings()).sizes), LATENESS, HORIZON)
    assert not book.enabled
    assert book.ids("views", [at(0).event], [NOON]) == []
    book.accept("views", [at(0).event], [NOON], everything)
    assert book.records.dirty == 0
    shop = Shop()
    shop.book = SessionBook(replace(FIGURE_SETS["all"], kinds=(ALL,)), shop.sums, LATENESS, HORIZON)
    assert shop.book.enabled
    assert {key[0] for key in shop.read_all([at(0, surface="live")]).cells()} == {"all"}


def test_ids_begin_another_session_after_two_days() -> None:
    """Past 24 h 15 min an event is of a session that is gone, past 48 h of a new one; none moves between."""
    shop = Shop()
    with _limits(64, 1):
        joins = {"live_id": "L", "creator_id": "C"}
        shop.read_all([at(0, **joins), at(DAY + 15 * MINUTE, TagTap), at(DAY + 15 * MINUTE + 1, TagTap)])
        shop.read_all([at(2 * DAY + 1, TagTap, **joins), at(2 * DAY, View, **joins)])
        shop.restart()
        shop.read_all([at(2 * DAY + 2, View, **joins)])
    cells = shop.cells()
    starts = sorted((key[1], key[2], key[3] // MINUTE) for key in cells if key[0] in ("creator", "pipeline"))
    assert starts == [
        ("C", "sessions.view", 0),
        ("C", "sessions.view", 2 * DAY // MINUTE),
        ("tag-taps", "sessions_expired", DAY // MINUTE + 15),
        ("views", "sessions_expired", 2 * DAY // MINUTE),
    ]
    assert "sessions.tag_tap@0" not in _all(cells)


def test_a_record_is_filed_under_the_day_of_its_earliest_step() -> None:
    """A step that turns out to be of the day before files the session anew."""
    shop = Shop()
    midnight = 12 * HOUR
    shop.read_all([at(midnight + MINUTE)])
    today = (NOON + midnight) // DAY
    ((day, names),) = shop.save().items()
    assert (day, len(names)) == (today, 1)
    shop.read_all([at(midnight - MINUTE, View, midnight + 2 * MINUTE)])
    assert shop.save() == {today - 1: names}
    assert {encoded[:5] for encoded in shop.stored.values()} == {b"%d" % (today - 1)}


def test_sessions_are_needless_once_none_of_their_day_is_awaited() -> None:
    """A session that began in the last moment of a day is needed for 48 h by every topic."""
    midnight = NOON + 12 * HOUR
    day = midnight // DAY - 1
    assert last_needless_day(midnight - 1 + 2 * DAY) == day - 1
    assert last_needless_day(midnight + 2 * DAY) == day


def test_no_two_sessions_share_a_record() -> None:
    """Ids are kept apart by their lengths, from each other and from the scopes beside them."""
    pairs = [("u", "s"), ("us", "x"), ("u", "sx"), ("u", "slL"), ("ul", "s"), ("1", "1:1"), ("11", ":1")]
    book = Shop().book
    events = [at(0, user_id=user, session_id=session).event for user, session in pairs]
    names = book.ids("views", events, [NOON] * len(events))
    names += [module._digest(name + "lL") for name in names]
    assert len(set(names)) == 2 * len(pairs)
    assert {len(name) for name in names} == {22}


def test_sets_of_scopes_are_not_remembered_for_good() -> None:
    """The memory of scopes is bounded; sessions are counted the same after it was emptied."""
    shop = Shop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SCOPES_MAX", 3)
        shop.read_all([at(n, LiveJoin, live_id=f"L{n % 5}") for n in range(10)])
        assert len(shop.book._scopes) <= 3
    cells = shop.cells()
    assert {cells["live", f"L{n}", "sessions.view", 0] for n in range(5)} == {1}
