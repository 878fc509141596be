"""verify.compare: what counts as a difference, and what can't be compared."""

from __future__ import annotations

from tests.scenario_kit import DAY, HOUR, MINUTE, MONDAY, NOON
from verify.compare import (
    Gone,
    Report,
    compare_cells,
    compare_dead_letters,
    compare_late,
    gone_until_ms,
)
from verify.model import PartitionExpected
from verify.redis_cells import Snapshot
from verify.rules import Rules

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
