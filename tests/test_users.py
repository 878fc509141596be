"""Distinct users: each sketch gets its users, whatever was offered before, lost, refused or forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import (
    AddToCart,
    Event,
    LiveJoin,
    LiveLike,
    MiniProgramOpen,
    ProductView,
    Purchase,
    PurchaseItem,
    RemoveFromCart,
    TagTap,
    View,
)
from streams import memory_bounds
from streams import users as module
from streams.admission import Admission
from streams.kpi import FigureSet
from streams.kpis import FIGURE_SETS
from streams.ledger import LedgerWrite
from streams.orders import lines_of
from streams.users import SKETCH_SIZES, BuyerBook, SketchWrite, UserSketches
from streams.window import DAY_MS, HOUR_MS, MINUTE_MS, Pane
from tests.admission_kit import FIGURES, LONG, SIZES, START, STEPS, Plain, SketchedShop, event, logs

MINUTE, HOUR, DAY = SKETCH_SIZES
EVERYTHING = FIGURE_SETS["all"]
STEP_OF: Mapping[type[Event], str] = {View: "view", LiveJoin: "view", TagTap: "tag_tap"}
KINDS = [kind for kind in FIGURES.kinds if kind.name in ("all", "platform", "product", "live")]


@contextmanager
def recent(most: int) -> Iterator[None]:
    """More that was offered lately than twice this is forgotten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_bounds, "RECENT_MAX", most)
        yield


def _sketches(figures: FigureSet = EVERYTHING) -> UserSketches:
    return UserSketches(figures, Admission(figures, SIZES, 20_000))


def _names(write: SketchWrite, size: object = MINUTE) -> dict[str, list[str]]:
    """Users by name of the sketch, of all panes of one size."""
    return {name: sorted(users) for (pane, name), users in write.members.items() if pane.size is size}


def _shopper(cls: type[Event], at_ms: int = 0, user: str = "u", **fields: Any) -> Event:
    required: dict[str, Any] = {
        "event_id": "e",
        "platform": "tiktok",
        "session_id": "s",
        "quantity": 1,
        "entry": "explore",
    }
    required |= {"unit_price_minor": 1, "currency": "USD"}
    known: dict[str, Any] = {name: value for name, value in required.items() if name in cls.__struct_fields__}
    known |= {"event_time_ms": START + at_ms, "user_id": user}
    made: Event = cls(**known, **fields)
    return made


def _purchase(user: str = "u", at_ms: int = 0, **fields: Any) -> Purchase:
    items = fields.pop("items", [{"product_id": "p"}])
    return Purchase(
        event_id="e",
        event_time_ms=START + at_ms,
        platform="tiktok",
        user_id=user,
        order_id="o",
        gateway="g",
        currency="USD",
        items=tuple(PurchaseItem(quantity=1, unit_price_minor=1, **item) for item in items),
        **fields,
    )


@settings(max_examples=150)
@given(logs(), STEPS, st.integers(1, 3), st.sampled_from([0, 2, 50_000]))
def test_any_way_of_reading_gives_each_sketch_its_users(
    logs: dict[str, list[Event]], steps: list[tuple[Any, ...]], cap: int, recent_max: int
) -> None:
    """Any chunks, topics in turns, deaths and forgetting: users by step, scope and pane, also of `other`."""
    shop, plain = SketchedShop(logs, cap), Plain(cap)
    with recent(recent_max):
        shop.run(steps)
    wanted: defaultdict[tuple[Pane, str], set[str]] = defaultdict(set)
    cells_sizes = {size.name: size for size in SIZES}
    for topic, log in logs.items():
        for each in log:
            for size in SKETCH_SIZES:
                pane = Pane(size, size.start_of(each.event_time_ms))
                for kind in KINDS:
                    value = plain.scope(topic, cells_sizes[size.name], kind, each)
                    step = STEP_OF.get(type(each))
                    if step and value is not None and size.is_written(pane.start_ms, shop.high_ms):
                        user = getattr(each, "user_id", "")
                        wanted[pane, f"{step}:{kind.name}:{value}"].add(user)
    kept = {
        (pane, name): users
        for (pane, name), users in shop.sketches.items()
        if pane.size.is_written(pane.start_ms, shop.high_ms)
    }
    assert kept == wanted


def test_steps_and_scopes_of_traffic() -> None:
    """Views, joins and openings are one step; what is no step adds no user; scopes are the envelope's."""
    sketches = _sketches()
    sketches.add(
        "views",
        [
            _shopper(View, user="a", live_id="L", creator_id="C"),
            _shopper(ProductView, user="b", product_id="p"),
            _shopper(MiniProgramOpen, user="c", mini_program_id="m"),
        ],
    )
    sketches.add(
        "livestreams",
        [_shopper(LiveJoin, user="b", live_id="L"), _shopper(LiveLike, user="d", live_id="L")],
    )
    sketches.add(
        "carts",
        [
            _shopper(AddToCart, user="e", product_id="p"),
            _shopper(RemoveFromCart, user="f", product_id="p"),
        ],
    )
    wanted = {
        "view:all:": ["a", "b", "c"],
        "view:platform:tiktok": ["a", "b", "c"],
        "view:live:L": ["a", "b"],
        "view:creator:C": ["a"],
        "view:mini_program:m": ["c"],
        "add_to_cart:all:": ["e"],
        "add_to_cart:platform:tiktok": ["e"],
        "add_to_cart:product:p": ["e"],
    }
    write = sketches.take(START)
    assert [_names(write, size) for size in SKETCH_SIZES] == [wanted] * 3


def test_a_purchase_counts_by_its_envelope_and_its_lines() -> None:
    """Order-level scopes from the envelope, line-level ones from the lines; repetitions of whole orders."""
    sketches = _sketches()
    items = [{"product_id": "p", "live_id": "L1"}, {"product_id": "q"}, {"product_id": "q"}]
    first = _purchase("a", live_id="L0", mini_program_id="m", items=items)
    sketches.add_purchase(first, lines_of(first), False)
    again = _purchase("b", items=[{"product_id": "p"}])
    sketches.add_purchase(again, lines_of(again), True)
    assert _names(sketches.take(START)) == {
        "purchase:all:": ["a", "b"],
        "purchase:platform:tiktok": ["a", "b"],
        "purchase:mini_program:m": ["a"],
        "purchase:live:L0": ["a"],
        "purchase:live:L1": ["a"],
        "purchase:product:p": ["a", "b"],
        "purchase:product:q": ["a"],
        "repeat_purchase:all:": ["b"],
        "repeat_purchase:platform:tiktok": ["b"],
    }


def test_a_purchase_has_its_own_scope_where_traffic_has_other() -> None:
    """The order service's events have no cap: their sketches do not, either."""
    shop = SketchedShop({"tag-taps": [event(TagTap, 0, product) for product in "ab"]}, 1)
    shop.read("tag-taps", 2)
    bought = _purchase(items=[{"product_id": "b"}])
    shop.users.add_purchase(bought, lines_of(bought), False)
    names = _names(shop.users.take(START))
    assert {name for name in names if ":product:" in name} == {
        "tag_tap:product:a",
        "tag_tap:product:other",
        "purchase:product:b",
    }


def test_a_user_is_not_offered_twice_in_a_pane() -> None:
    """Who was new to the minute before is left out; in the next minute new there, but not to the hour."""
    sketches = _sketches()
    sketches.add("tag-taps", [_shopper(TagTap, product_id="p")] * 2)
    assert sketches.dirty == 3 * 3
    assert len(sketches.take(START).members) == 3 * 3
    sketches.add("tag-taps", [_shopper(TagTap, product_id="p"), _shopper(TagTap, MINUTE_MS, product_id="p")])
    assert {pane for pane, _ in sketches.take(START).members} == {Pane(MINUTE, START + MINUTE_MS)}
    assert sketches.dirty == 0
    assert sketches.take(START).members == {}


def test_a_user_of_other_in_one_topic_is_a_live_s_own_in_another() -> None:
    """Topics admit apart: what was offered for one says nothing about the other."""
    views = [event(View, 0, live="a", user="u"), event(View, 0, live="b", user="u")]
    shop = SketchedShop({"views": views, "livestreams": [event(LiveJoin, 0, live="b", user="u")]}, 1)
    shop.finish()
    assert {name for pane, name in shop.sketches if pane.size is MINUTE and ":live:" in name} == {
        "view:live:a",
        "view:live:b",
        "view:live:other",
    }


def test_what_was_offered_lately_is_known_when_a_generation_ends() -> None:
    """Full, the younger generation becomes the older one, which still counts."""
    sketches = _sketches()
    ours, others = _shopper(TagTap, product_id="p"), _shopper(TagTap, user="v", product_id="p")
    with recent(2):  # three scopes: with each user that is new a generation ends
        for tap, wanted in ((ours, 9), (ours, 0), (others, 9), (ours, 9)):
            sketches.add("tag-taps", [tap])
            assert len(sketches.take(START).members) == wanted


def test_what_was_offered_long_ago_is_offered_again() -> None:
    """The memory of it is bounded: it forgets, and adding a user twice changes nothing."""
    sketches = _sketches()
    tap = _shopper(TagTap, product_id="p")
    with recent(1):
        for _ in range(2):
            sketches.add("tag-taps", [tap])
            for number in range(3):
                sketches.add("tag-taps", [_shopper(TagTap, user=f"u{number}", product_id="q")])
            names = {name for _, name in sketches.take(START).members}
            assert "tag_tap:product:p" in names


def test_panes_past_their_retention_take_nobody() -> None:
    """A user is added where the pane is still kept; what Redis holds of others is named until it is gone."""
    sketches = _sketches()
    sketches.add("tag-taps", [_shopper(TagTap, product_id="p")])
    high_ms = START + MINUTE_MS + 2 * HOUR_MS
    assert {pane.size for pane, _ in sketches.take(high_ms).members} == set(SKETCH_SIZES)
    write = sketches.take(high_ms + 1)
    assert (write.members, write.expired) == ({}, [Pane(MINUTE, START)])
    sketches.add("tag-taps", [_shopper(TagTap, product_id="p", user="v")])
    write = sketches.take(high_ms + 1)
    assert {pane.size for pane, _ in write.members} == {HOUR, DAY}
    assert write.expired == [Pane(MINUTE, START)]
    sketches.forget(Pane(MINUTE, START))
    assert sketches.take(high_ms + 1).expired == []


def test_only_some_expired_panes_are_named_at_a_time() -> None:
    """Each costs a sweep: after a long rest the oldest few go first."""
    sketches = _sketches()
    panes = [Pane(MINUTE, START + n * MINUTE_MS) for n in range(module.SWEPT_PANES_MAX + 2)]
    sketches.load_stored(panes)
    expired = sketches.take(START + DAY_MS).expired
    assert expired == panes[: module.SWEPT_PANES_MAX]
    for pane in expired:
        sketches.forget(pane)
    assert sketches.take(START + DAY_MS).expired == panes[module.SWEPT_PANES_MAX :]


def test_a_set_of_figures_without_users_keeps_none() -> None:
    """Nothing is gathered, of no topic."""
    sketches = _sketches(FIGURE_SETS["funnel-gmv"])
    assert not sketches.enabled
    sketches.add("tag-taps", [_shopper(TagTap, product_id="p")])
    bought = _purchase()
    sketches.add_purchase(bought, lines_of(bought), True)
    assert (sketches.dirty, sketches.take(START)) == (0, SketchWrite({}, []))


def test_a_set_of_figures_may_keep_some_steps_and_kinds() -> None:
    """Also without the whole shop."""
    figures = FigureSet(
        name="some",
        kinds=tuple(kind for kind in EVERYTHING.kinds if kind.name in ("product", "platform", "country")),
        sizes=EVERYTHING.sizes,
        measures=frozenset({"users.tag_tap", "users.repeat_purchase"}),
    )
    sketches = _sketches(figures)
    sketches.add("views", [_shopper(View, product_id="p")])
    sketches.add("tag-taps", [_shopper(TagTap, product_id="p")])
    bought = _purchase()
    sketches.add_purchase(bought, lines_of(bought), True)
    assert set(_names(sketches.take(START))) == {
        "tag_tap:product:p",
        "tag_tap:platform:tiktok",
        "repeat_purchase:platform:tiktok",
    }


def test_a_chunk_may_span_minutes() -> None:
    """Each event's user is in the panes of its own event time, in any order."""
    sketches = _sketches()
    times_ms = [MINUTE_MS, 0, HOUR_MS, 59_999]
    sketches.add(
        "tag-taps", [_shopper(TagTap, at, user=f"u{n}", product_id="p") for n, at in enumerate(times_ms)]
    )
    found = {
        pane.start_ms - START: sorted(users)
        for (pane, name), users in sketches.take(START).members.items()
        if pane.size is MINUTE and name == "tag_tap:all:"
    }
    assert found == {0: ["u1", "u3"], MINUTE_MS: ["u0"], HOUR_MS: ["u2"]}


class Buyers:
    """A book of buyers over Redis' hash, loaded as an owner does."""

    def __init__(self) -> None:
        self.book = BuyerBook()
        self.stored: dict[str, bytes] = {}

    def accept(self, purchase: Purchase) -> bool:
        """Whether the buyer had bought before."""
        missing = self.book.records.missing(self.book.ids([purchase]))
        self.book.records.load({user: self.stored.get(user) for user in missing})
        return self.book.accept(purchase)

    def save_and_die(self) -> LedgerWrite:
        """The next owner knows what is stored."""
        write = self.book.records.take()
        self.stored |= write.records
        self.book = BuyerBook()
        return write


def test_the_second_purchase_of_a_user_is_a_repetition() -> None:
    """In the order of the log, also where the earlier one has the later event time; over owners, too."""
    buyers = Buyers()
    assert not buyers.accept(_purchase("a", HOUR_MS))
    assert not buyers.accept(_purchase("b"))
    assert buyers.accept(_purchase("a", 0))
    write = buyers.save_and_die()
    assert set(write.records) == {"a", "b"}
    assert buyers.accept(_purchase("a", 2 * HOUR_MS))


def test_a_buyer_is_forgotten_after_400_days() -> None:
    """Judged by the latest event time that the record has, so that it does not matter when it is deleted."""
    kept_ms = module.BUYERS_KEPT_DAYS * DAY_MS
    buyers = Buyers()
    assert not buyers.accept(_purchase("a", DAY_MS))
    assert buyers.accept(_purchase("a", 0))
    assert buyers.accept(_purchase("a", DAY_MS + kept_ms))
    assert not buyers.accept(_purchase("a", DAY_MS + 2 * kept_ms + 1))
    assert buyers.accept(_purchase("a", DAY_MS + 2 * kept_ms + 2))
    filed = buyers.save_and_die().filed
    assert filed[max(filed)] == ["a"]
    assert max(filed) == (START + DAY_MS + 2 * kept_ms + 2) // DAY_MS


def test_only_real_purchases_have_buyers() -> None:
    """An excluded one asks for no record."""
    book = BuyerBook()
    tap = _shopper(TagTap, product_id="p")
    assert book.ids([_purchase("a"), _purchase("b", traffic="test"), tap]) == ["a"]


def test_sizes_have_the_names_of_the_panes_that_admit() -> None:
    """A sketch follows the admission of the pane of its size."""
    assert [size.name for size in SKETCH_SIZES] == [size.name for size in SIZES[1:]]
    assert [size.size_ms for size in SKETCH_SIZES] == [size.size_ms for size in SIZES[1:]]
    assert LONG.name == DAY.name
