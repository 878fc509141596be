"""verify.compare: what counts as a difference, and what can't be compared."""

from __future__ import annotations

from array import array

import pytest

from tests.scenario_kit import DAY, HOUR, MINUTE, MONDAY, NOON
from verify.compare import Report, compare_cells, compare_dead_letters, compare_late, scope_text
from verify.model import PartitionExpected, Users
from verify.origins import Gone, gone_until_ms
from verify.redis_cells import Pane, Snapshot
from verify.rules import TOPICS, Rules
from verify.sketches import compare_users

KEY = ("live", "1d", MONDAY)


def expected(**more: object) -> PartitionExpected:
    """Two views and one purchase of live L1 in partition 3."""
    part = PartitionExpected(
        partition=3,
        h=NOON,
        panes={KEY: {"events.view|L1": 2, "gmv_paid:USD|L1": 100}},
        ingest={"views": NOON},
        highest={"views": NOON},
    )
    for name, value in more.items():
        setattr(part, name, value)
    return part


def found(**cells: int) -> Snapshot:
    """What a right pipeline has in Redis, changed by `cells` of L1 ("events.view": n)."""
    fields = {"events.view|L1": 2, "gmv_paid:USD|L1": 100, "commission:USD|L1": 0}
    fields |= {f"{measure}|L1": amount for measure, amount in cells.items()}
    meta = {"h": str(NOON), "ing:views": str(NOON), "hi:views": str(NOON), "off:views": "2"}
    return Snapshot(meta=meta, listed={("1d", MONDAY)}, panes={KEY: fields})


def compared(part: PartitionExpected, snapshot: Snapshot, gone: Gone | None = None) -> Report:
    """The report of one comparison."""
    report = Report()
    compare_cells(report, part, snapshot, Rules(), gone or Gone())
    return report


def test_equal_cells() -> None:
    """Equal figures are counted and make no difference; a stored zero is as good as none."""
    report = compared(expected(), found())
    assert report.differences == []
    assert report.compared == 2 + 3


def test_wrong_missing_and_surplus_cells() -> None:
    """Each cell that differs is one difference that says what, where, both values."""
    report = compared(expected(), found(**{"events.view": 3, "gmv_paid:USD": 0, "events.share": 7}))
    told = sorted(tuple(difference) for difference in report.differences)
    where = f"p=3 live:L1 1d:{MONDAY}"
    assert told == [
        ("events.share", where, "0", "7"),
        ("events.view", where, "2", "3"),
        ("gmv_paid:USD", where, "100", "0"),
    ]


def test_pane_that_should_be_gone() -> None:
    """A pane past its retention is a difference even if it is empty."""
    snapshot = found()
    snapshot.listed.add(("10s", NOON - HOUR - 20_000))
    assert [d.what for d in compared(expected(), snapshot).differences] == ["pane"]


def test_empty_pane_within_retention() -> None:
    """A pane whose figures were all taken back may stay."""
    snapshot = found()
    snapshot.listed.add(("10s", NOON - MINUTE))
    assert compared(expected(), snapshot).differences == []


def test_pane_that_readers_do_not_find() -> None:
    """Cells whose pane is not in the zset are unseen: a difference, though the numbers are right."""
    snapshot = found()
    snapshot.listed.clear()
    snapshot.unlisted.add(KEY)
    assert [d.what for d in compared(expected(), snapshot).differences] == ["pane", "cells"]


def test_times_of_the_state() -> None:
    """Ingest time and highest event times are compared too."""
    snapshot = found()
    snapshot.meta |= {"ing:views": "1", "hi:views": "2", "h": "3"}
    assert sorted(d.what for d in compared(expected(), snapshot).differences) == [
        "h",
        "hi:views",
        "ing:views",
    ]


def test_gone_log_hides_its_own_topic() -> None:
    """With the start of views gone, views are not compared and the pane is counted; money still is."""
    gone = Gone({"views": NOON})
    report = compared(expected(), found(**{"events.view": 9, "gmv_paid:USD": 9}), gone)
    assert [d.what for d in report.differences] == ["gmv_paid:USD"]
    assert report.panes_not_compared == 1


def test_gone_log_hides_quality_by_topic() -> None:
    """Quality of a topic whose start is gone is left out, that of another topic is not."""
    key = ("pipeline", "1d", MONDAY)
    part = expected(panes={key: {"accepted|views": 1, "accepted|carts": 1}})
    report = compared(part, Snapshot(meta={}, listed={("1d", MONDAY)}), Gone({"views": NOON}))
    assert [(d.what, d.where) for d in report.differences if d.what == "accepted"] == [
        ("accepted", f"p=3 pipeline:carts 1d:{MONDAY}")
    ]


def test_how_far_gone_records_reach() -> None:
    """Traffic reaches 17 minutes past the first record that is left, purchases an order's life."""
    assert gone_until_ms("views", NOON, Rules()) == NOON + 17 * MINUTE
    assert gone_until_ms("purchases", NOON, Rules()) == NOON + 98 * DAY + 12 * MINUTE


@pytest.mark.parametrize(
    ("kind", "field", "topic", "reach"),
    [
        ("all", "sessions.view|", "tag-taps", 3 * DAY + 15 * MINUTE),
        ("all", "prompt.purchase|", "purchases", 3 * DAY + 15 * MINUTE),
        ("all", "time_to_convert.5|", "purchases", 3 * DAY + 15 * MINUTE),
        ("pipeline", "sessions_expired|carts", "views", 3 * DAY + 15 * MINUTE),
        ("live", "watch_ms|L1", "livestreams", MINUTE),
        ("live", "capped|carts", "carts", 0),
        *((kind, "gmv_paid:USD|v", "tag-taps", DAY) for kind in ("live", "creator", "live,product")),
        ("room:v", "items|pv", "tag-taps", DAY),
        ("platform", "attribution.orders_direct|v", "tag-taps", DAY),
    ],
)
def test_how_far_figures_of_gone_records_reach(kind: str, field: str, topic: str, reach: int) -> None:
    """Sessions rest on five topics and on days before them, watch time on the minute before."""
    for start, compared_names in ((NOON + reach, []), (NOON + reach + 1, [field.partition("|")[0]])):
        part = expected(panes={(kind, "1d", start): {field: 1}})
        report = compared(part, Snapshot(meta={}, listed={("1d", start)}), Gone({topic: NOON}))
        assert [d.what for d in report.differences if d.what in field] == compared_names
        hidden_alone = Gone({"ads": NOON + DAY})
        report = compared(part, Snapshot(meta={}, listed={("1d", start)}), hidden_alone)
        assert [d.what for d in report.differences if d.what in field] == [field.partition("|")[0]]


ROOM = ("room:L:1", "1h", NOON)


def test_rooms_of_a_pane() -> None:
    """The index of a pane names exactly the lives with hashes of their own."""
    part = expected(panes={KEY: {"events.view|L1": 2, "gmv_paid:USD|L1": 100}, ROOM: {"items|pp1": 1}})
    snapshot = found()
    snapshot.listed.add(("1h", NOON))
    snapshot.panes[ROOM] = {"items|pp1": 1}
    snapshot.rooms["1h", NOON] = {"room:L:1"}
    assert compared(part, snapshot).differences == []
    snapshot.rooms["1h", NOON] = {"room:L2"}
    assert [tuple(d) for d in compared(part, snapshot).differences] == [
        ("rooms", f"p=3 index:1h:{NOON}", "['room:L:1']", "['room:L2']")
    ]


def test_a_room_that_nothing_is_left_of() -> None:
    """What was booked in a live and taken back leaves zeros: the hash is named until its pane goes."""
    snapshot = found()
    snapshot.listed.add(("1h", NOON))
    snapshot.rooms["1h", NOON] = {"room:L:1"}
    snapshot.panes[ROOM] = {"items|pp1": 0, "orders:USD|m3": 0}
    assert compared(expected(), snapshot).differences == []
    snapshot.panes[ROOM] = {"items|pp1": 0, "orders:USD|m3": 1}
    assert [d.what for d in compared(expected(), snapshot).differences] == ["orders:USD", "rooms"]
    del snapshot.panes[ROOM]
    assert [d.what for d in compared(expected(), snapshot).differences] == ["rooms"]


def test_rooms_that_are_being_deleted() -> None:
    """A pane past its retention stays listed while rooms of it are left; other cells there differ."""
    old = NOON - 36 * DAY
    snapshot = found()
    snapshot.listed.add(("1h", old))
    snapshot.rooms["1h", old] = {"room:L1"}
    snapshot.panes["room:L1", "1h", old] = {"items|pp1": 1}
    assert compared(expected(), snapshot).differences == []
    snapshot.panes["live", "1h", old] = {"items|L1": 1}
    assert [d.what for d in compared(expected(), snapshot).differences] == ["items"]
    snapshot = found()
    snapshot.listed.add(("1h", old))
    snapshot.rooms["1h", old] = set()
    assert [d.what for d in compared(expected(), snapshot).differences] == ["pane"]


def test_key_of_nobody() -> None:
    """A key that nothing of the layout has is a difference: nobody will ever delete it."""
    snapshot = found()
    snapshot.unknown.add("cels:all:1d:0")
    assert [d.where for d in compared(expected(), snapshot).differences] == ["p=3 cels:all:1d:0"]


def test_pairs_are_shown_as_they_are_asked_for() -> None:
    """Differences name a pair by its two values; what a cap put together has none."""
    assert scope_text("live,product", "2:L1p1") == "live:L1,product:p1"
    assert scope_text("live,product", "other") == "live,product:other"


SKETCH = "view:live:L1"
USERS: Users = {("1h", NOON): {SKETCH: array("Q", range(1, 1_001))}}


def sketched(estimate: int, *names: str, pane: Pane = ("1h", NOON)) -> Snapshot:
    """One sketch that was counted, and others that were not."""
    snapshot = Snapshot(meta={}, user_panes={pane}, users={pane: {SKETCH, *names}})
    snapshot.estimates[(*pane, SKETCH)] = estimate
    return snapshot


def differing_users(snapshot: Snapshot, gone: Gone | None = None, users: Users = USERS) -> list[str]:
    """Where sketches differ, and both values."""
    report = Report()
    compare_users(report, expected(users=users), snapshot, gone or Gone())
    return [f"{d.where.removeprefix('p=3 ')} {d.expected}>{d.found}" for d in report.differences]


@pytest.mark.parametrize("estimate", [949, 1_051])
def test_estimates_within_six_standard_errors(estimate: int) -> None:
    """1 000 users may be estimated with an error of 49, and two more."""
    assert differing_users(sketched(estimate)) == []
    wrong = estimate + (1 if estimate > 1_000 else -1)
    assert differing_users(sketched(wrong)) == [f"{SKETCH} 1h:{NOON} 1000 ± 51>{wrong}"]


def test_estimate_of_few() -> None:
    """Two users more or less are no difference, nobody where somebody was is one."""
    users: Users = {("1h", NOON): {SKETCH: array("Q", [1, 2])}}
    assert differing_users(sketched(4), users=users) == []
    assert differing_users(sketched(5), users=users) == [f"{SKETCH} 1h:{NOON} 2 ± 2>5"]
    assert differing_users(sketched(0), users=users) == [f"{SKETCH} 1h:{NOON} 2 ± 2>0"]


def test_sketches_that_should_be_there() -> None:
    """One that is missing, one too many, and what no index names."""
    snapshot = sketched(1_000, "view:live:L2")
    snapshot.unlisted_users.add(("1h", NOON, "view:live:L3"))
    snapshot.unlisted_indexes.add(("1h", NOON - HOUR))
    assert differing_users(snapshot) == [
        f"view:live:L2 1h:{NOON} none>a sketch",
        f"1h:{NOON - HOUR} gone with their pane>an index without pane",
        f"view:live:L3 1h:{NOON} named by its pane>a sketch without name",
    ]
    assert differing_users(Snapshot(meta={})) == [f"{SKETCH} 1h:{NOON} a sketch>none"]


def test_sketches_that_are_being_deleted() -> None:
    """What is left in a pane past its retention says nothing."""
    assert differing_users(sketched(7, pane=("1m", NOON - 3 * HOUR)), users={}) == []
    assert differing_users(sketched(7, pane=("1m", NOON - HOUR)), users={}) == [
        f"{SKETCH} 1m:{NOON - HOUR} none>a sketch"
    ]


def test_sketches_of_a_gone_log() -> None:
    """Users of a step are not compared where its topics' start is gone; buying again reaches 400 days."""
    for name, topics in (
        ("view:all:", {"views", "livestreams"}),
        ("tag_tap:all:", {"tag-taps"}),
        ("add_to_cart:all:", {"carts"}),
        ("purchase:all:", {"purchases"}),
        ("repeat_purchase:all:", {"purchases"}),
    ):
        users: Users = {("1h", NOON): {name: array("Q", [1])}}
        hiding = {
            topic for topic in TOPICS if not differing_users(Snapshot(meta={}), Gone({topic: NOON}), users)
        }
        assert hiding == topics
        far = Gone({"purchases": NOON - 400 * DAY})
        assert (differing_users(Snapshot(meta={}), far, users) == []) is name.startswith("repeat")


def letters(part: PartitionExpected, *ids: tuple[str, int, int, str]) -> list[str]:
    """Where dead letters differ, 10 records of purchases having been read."""
    report = Report()
    compare_dead_letters(report, [part], ids, {("purchases", 3): range(10)})
    return [f"{d.where} {d.expected}>{d.found}" for d in report.differences]


def test_dead_letters() -> None:
    """Missing, surplus and wrongly named dead letters differ."""
    part = expected(dead_letters={("purchases", 3, 1, "bad_field"), ("purchases", 3, 2, "not_json")})
    assert letters(part, ("purchases", 3, 1, "bad_field"), ("purchases", 3, 4, "late")) == [
        "purchases/3@2 not_json>none",
        "purchases/3@4 none>late",
    ]


def test_dead_letters_of_a_write_that_is_not_done() -> None:
    """Ids beyond what was read, and refunds that still wait, may be written ahead of the state."""
    part = expected(waiting={("purchases", 3, 5)})
    ahead = (("purchases", 3, 10, "not_json"), ("purchases", 3, 5, "conflicting_duplicate"))
    assert letters(part, *ahead) == []
    assert letters(part, ("purchases", 3, 5, "bad_field")) == ["purchases/3@5 none>bad_field"]


def test_late_rows() -> None:
    """Missing and surplus late rows differ; those beyond what was read do not."""
    report = Report()
    part = expected(late={("views", 3, 1), ("views", 3, 2)})
    compare_late(
        report, [part], [("views", 3, 2), ("views", 3, 4), ("views", 3, 10)], {("views", 3): range(10)}
    )
    assert [d.where for d in report.differences] == ["views/3@1", "views/3@4"]
