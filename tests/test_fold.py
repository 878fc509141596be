"""Counting in columns equals counting one by one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from schemas.events import EVENT_TYPES, TYPES_OF_TOPIC, Event, SourceHeartbeat, View
from streams.booking import Books
from streams.fold import EventCounter
from streams.kpi import FigureSet
from streams.kpis import FIGURE_SETS
from streams.scopes import ALL, ORDER_SCOPES, PIPELINE
from streams.settings import Settings
from streams.sums import Sums
from streams.worker import rules_of

SIZES = rules_of(Settings()).sizes
NOON = 1_767_614_400_000
CONTEXT = """surface live_id creator_id brand_id merchant_id product_id affiliate_id mini_program_id
country client_os app_version""".split()
TRAFFIC = [
    [cls for cls in EVENT_TYPES if cls in types]
    for topic, types in TYPES_OF_TOPIC.items()
    if topic != "purchases"
]
EVERYTHING = FIGURE_SETS["all"]
SETS = {
    **FIGURE_SETS,
    "only all": FigureSet(
        name="only all", kinds=(ALL, PIPELINE), sizes=EVERYTHING.sizes, measures=EVERYTHING.measures
    ),
    "only views, without all": FigureSet(
        name="only views",
        kinds=ORDER_SCOPES[1:4],
        sizes=frozenset({"1m", "1d"}),
        measures=frozenset({"events.view"}),
    ),
}


@st.composite
def events(draw: st.DrawFn, classes: list[type[Event]]) -> Event:
    """Any event of these classes, with few values for each scope."""
    cls = draw(st.sampled_from(classes))
    fields: dict[str, Any] = {
        field.name: "x" for field in structs.fields(cls) if field.required and field.name not in CONTEXT
    }
    required = {field.name for field in structs.fields(cls) if field.required}
    for name in CONTEXT:
        fields[name] = draw(st.sampled_from(["a", "b|:", None][: 2 if name in required else 3]))
    # Surfaces that are counted a second time, too.
    fields["surface"] = draw(st.sampled_from(["showcase", "recommendation", "a", None]))
    fields["platform"] = draw(st.sampled_from(["tiktok", "other"]))
    fields["event_time_ms"] = NOON + draw(st.integers(-90_000, 90_000))
    event: Event = cls(**fields)
    return event


# A chunk is of one topic.
CHUNKS = st.sampled_from(TRAFFIC).flatmap(lambda classes: st.lists(events(classes), max_size=12))


def _cells(sums: Sums) -> dict[tuple[str, str, int, str], int]:
    writes, _ = sums.take(NOON)
    return {
        (write.kind, write.pane.size.name, write.pane.start_ms, name): amount
        for write in writes
        for name, amount in write.absolute.items()
    }


@pytest.mark.parametrize("figures", SETS.values(), ids=lambda figures: figures.name)
@given(chunks=st.lists(CHUNKS, max_size=3))
def test_columns_equal_one_by_one(figures: FigureSet, chunks: list[list[Event]]) -> None:
    """Every type, scope and pane, in every figure set: `EventCounter` books what `Books` books."""
    fast, plain = Sums(figures, SIZES), Sums(figures, SIZES)
    counter, books = EventCounter(figures, fast), Books(figures, plain)
    for chunk in chunks:
        counter.count(chunk, [event.event_time_ms for event in chunk])
        for event in chunk:
            if not isinstance(event, SourceHeartbeat):
                books.on_event(event, 1)
    assert _cells(fast) == _cells(plain)


def test_a_view_counts_in_each_scope_that_it_carries() -> None:
    """One event, its scopes by hand: the whole shop, its platform, its live; in all four panes."""
    sums = Sums(EVERYTHING, SIZES)
    view = View(
        event_id="e", event_time_ms=NOON + 12_345, platform="tiktok", user_id="u", session_id="s", live_id="L"
    )
    EventCounter(EVERYTHING, sums).count([view, view], [view.event_time_ms] * 2)
    cells = _cells(sums)
    scopes = {("all", "events.view|"), ("platform", "events.view|tiktok"), ("live", "events.view|L")}
    panes = {("10s", NOON + 10_000), ("1m", NOON), ("1h", NOON), ("1d", NOON - NOON % 86_400_000)}
    assert set(cells) == {(kind, size, start, name) for kind, name in scopes for size, start in panes}
    assert set(cells.values()) == {2}
