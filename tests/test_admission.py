"""Caps on values: first come, first served, in every pane, whatever is read together, saved or lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Event, LiveJoin, ProductView, TagTap
from streams import memory_bounds
from streams.admission import SCOPE_VALUES_MAX, TOPIC_OF, Admission
from streams.fold import EventCounter
from streams.kpis import FIGURE_SETS
from streams.scopes import LIVE, OTHER
from streams.settings import Settings
from streams.sums import Sums
from streams.window import Pane, PaneSize
from tests.admission_kit import (
    CAPPED_KINDS,
    DAY,
    FIGURES,
    FINE,
    LONG,
    SECOND,
    SIZES,
    START,
    STEPS,
    Plain,
    Shop,
    event,
    logs,
    value_of,
)


@contextmanager
def idle_values(most: int) -> Iterator[None]:
    """More values of panes that are idle than this are forgotten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_bounds, "IDLE_VALUES_MAX", most)
        yield


@settings(max_examples=200)
@given(logs(), STEPS, st.integers(1, 3), st.sampled_from([0, 3, 100_000]))
def test_any_way_of_reading_gives_what_the_logs_say(
    logs: dict[str, list[Event]], steps: list[tuple[Any, ...]], cap: int, idle_max: int
) -> None:
    """Any chunks, topics in turns, writes on the way, deaths and forgetting: the first values have cells."""
    shop, plain = Shop(logs, cap), Plain(cap)
    with idle_values(idle_max):
        shop.run(steps)
    for topic, log in logs.items():
        for each in log:
            plain.count(topic, each)
    assert shop.stored() == plain.kept(shop.high_ms)
    for topic, log in logs.items():
        for each in log:
            shop.learn([each.event_time_ms])
            for kind in FIGURES.kinds:
                value = value_of(kind, each)
                if value is not None and LONG.is_written(LONG.start_of(each.event_time_ms), shop.high_ms):
                    allowed = shop.sums.admission.allows(topic, kind.name, each.event_time_ms, value)
                    assert allowed == (plain.scope(topic, LONG, kind, each) == value)


def _products(shop: Shop, size: PaneSize = LONG) -> dict[str, int]:
    return {
        name: n for (kind, of, _, name), n in shop.stored().items() if (kind, of) == ("product", size.name)
    }


def test_what_is_above_the_cap_is_counted_under_other() -> None:
    """The first values stay apart, the others are one, and how many were moved is said by topic."""
    views = [event(ProductView, 0, product) for product in "abcabcd"]
    taps = [event(TagTap, 0, "d")]
    shop = Shop({"views": views, "tag-taps": taps}, 2)
    shop.finish()
    assert _products(shop) == {
        "events.product_view|a": 2,
        "events.product_view|b": 2,
        "events.product_view|other": 3,
        "capped|views": 3,
        "events.tag_tap|d": 1,
    }


def test_each_pane_has_places_of_its_own() -> None:
    """What the day refuses may be the first that a short pane sees."""
    shop = Shop({"views": [event(ProductView, 0, "a"), event(ProductView, 10 * SECOND, "b")]}, 1)
    shop.finish()
    assert _products(shop, FINE) == {"events.product_view|a": 1, "events.product_view|b": 1}
    assert _products(shop) == {"events.product_view|a": 1, "events.product_view|other": 1, "capped|views": 1}


def test_order_holds_across_the_short_panes_of_a_long_one() -> None:
    """The log's order decides, not that of event times."""
    views = [event(ProductView, at, product) for at, product in ((12_000, "b"), (0, "a"), (13_000, "c"))]
    shop = Shop({"views": views}, 2)
    shop.finish()
    assert _products(shop) == {
        "events.product_view|b": 1,
        "events.product_view|a": 1,
        "events.product_view|other": 1,
        "capped|views": 1,
    }


def test_other_takes_no_place() -> None:
    """Whoever sends `other` as a value is counted there, and neither fills a place nor is moved."""
    shop = Shop({"views": [event(ProductView, 0, product) for product in (OTHER, "a", OTHER)]}, 1)
    shop.finish()
    assert _products(shop) == {"events.product_view|a": 1, "events.product_view|other": 2}


def test_a_pane_that_redis_holds_must_be_read_first() -> None:
    """After a take-over the first event of a stored pane asks for its hashes; counting without is refused."""
    views = [event(ProductView, 0, "a"), event(ProductView, 0, "b"), event(ProductView, 10 * SECOND, "b")]
    shop = Shop({"views": views}, 1)
    shop.read("views", 1)
    shop.begin_save()
    shop.crash(write_is_lost=False)
    admission = shop.sums.admission
    assert set(admission.unknown([START])) == {
        (kind.name, Pane(size, size.start_of(START))) for kind in CAPPED_KINDS for size in SIZES
    }
    assert {pane.size for _, pane in admission.unknown([START + 10 * SECOND])} == set(SIZES[1:])
    assert admission.unknown([START + DAY]) == admission.unknown([]) == []
    with pytest.raises(KeyError):
        admission.admit("views", "product", {START: {"b"}}, lambda: ())
    shop.finish()
    assert admission.unknown([START]) == []
    assert _products(shop) == {"events.product_view|a": 1, "events.product_view|other": 2, "capped|views": 2}


def test_only_panes_that_events_fall_into_are_asked_for() -> None:
    """Not those between the earliest and the latest event, however far they lie apart."""
    admission = Admission(FIGURES, SIZES, 1)
    admission.load_stored([Pane(FINE, START + n * FINE.size_ms) for n in range(60)])
    times_ms = [START, START + 30 * SECOND]
    assert {pane.start_ms for _, pane in admission.unknown(times_ms)} == set(times_ms)
    far_ms = START + 7 * DAY
    assert {pane.start_ms for _, pane in admission.unknown([START, far_ms])} == {START}


def test_money_is_never_capped() -> None:
    """Cells of the order service take no place, and are not asked about when a pane is read."""
    assert not {"events.purchase", "events.payment", "gmv_paid"} & TOPIC_OF.keys()
    admission = Admission(FIGURES, SIZES, 1)
    pane = Pane(LONG, LONG.start_of(START))
    admission.load_stored([pane])
    admission.load({place: ["events.purchase|a", "gmv_paid:USD|b"] for place in admission.unknown([START])})
    assert admission.admit("views", "product", {START: {"c"}}, lambda: ()) == {}
    amounts = {("gmv_paid:USD", "b"): 5, ("events.purchase", "a"): 1, ("events.view", "d"): 1}
    assert admission.resolved("product", pane, amounts) == {
        ("gmv_paid:USD", "b"): 5,
        ("events.purchase", "a"): 1,
        ("events.view", OTHER): 1,
        ("capped", "views"): 1,
    }


def test_kinds_with_a_closed_list_are_not_capped() -> None:
    """The whole shop, platforms and surfaces have as many values as there are."""
    kinds = set(Admission(FIGURE_SETS["all"], SIZES, 1).kinds)
    assert kinds.isdisjoint({"all", "platform", "surface", "platform,surface", "gateway", "platform,gateway"})
    assert {"product", "live", "creator", "mini_program", "app_version", "live,product"} <= kinds


def test_an_attack_leaves_little_in_memory() -> None:
    """A value that no pane has a place for is `other` at once, not only when it is written."""
    shop = Shop({"views": [event(ProductView, 0, f"random-{n}") for n in range(500)]}, 5)
    for _ in range(50):
        shop.read("views", 10)
    # Five values and `other`, `capped`, the whole shop, the platform.
    assert shop.sums.dirty == (5 + 2 + 1 + 1) * len(SIZES)


def test_idle_panes_are_forgotten_when_they_are_many() -> None:
    """The longest idle first, and none in which something was counted since the write before the last."""
    views = [event(ProductView, n * 10 * SECOND, f"p{n}") for n in range(12)]
    shop = Shop({"views": views}, 1)
    for _ in range(12):
        shop.read("views", 1)
        shop.begin_save()
        shop.end_save()
    with idle_values(3):
        shop.begin_save()
    fine = [START + n * 10 * SECOND for n in range(12)]
    forgotten = [start for start in fine if shop.sums.admission.unknown([start])]
    assert forgotten
    assert forgotten == fine[: len(forgotten)]
    assert len(fine) - len(forgotten) >= 3


def test_a_figure_set_may_not_say_how_many_were_moved() -> None:
    """Without the measure the cap holds all the same."""
    figures = replace(FIGURES, kinds=(LIVE,), measures=FIGURES.measures - {"capped"})
    sums = Sums(figures, SIZES, 1)
    joins = [event(LiveJoin, at, live=live) for at, live in ((0, "a"), (0, "b"), (10 * SECOND, "b"))]
    EventCounter(figures, sums).count(joins, [each.event_time_ms for each in joins])
    writes, _ = sums.take(START)
    assert [write.absolute for write in writes if write.pane.size is LONG] == [
        {"events.live_join|a": 1, "events.live_join|other": 2}
    ]
    assert [write.absolute for write in writes if write.pane == Pane(FINE, START + 10 * SECOND)] == [
        {"events.live_join|b": 1}
    ]


def test_the_default_is_that_of_the_settings() -> None:
    """Sums made without a cap have the one that the settings give."""
    assert Settings().scope_values_max == SCOPE_VALUES_MAX
