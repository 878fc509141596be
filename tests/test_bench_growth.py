"""The bench of growth in small: what docs/performance.md tells of it can be measured anew."""

from __future__ import annotations

from tests.bench.fold import Size, batches
from tests.bench.growth import as_table, grown


def test_one_size_grows_and_the_others_stay() -> None:
    """Each point tells its cost, and the ratio to the smallest of its series."""
    points = [grown("rooms", number, events=2_000, flush_records=1_000, runs=1) for number in (1, 50)]
    assert points[0]["bytes"] < points[1]["bytes"]
    table = as_table({"series": {"rooms": points}})
    assert table.count("\n") == 3 and "| 1 rooms |" in table and "| 1.00 × |" in table


def test_a_larger_shop_has_more_of_what_grows() -> None:
    """Lives, products, and partition numbers that records lie in."""
    few, many = (
        batches(3_000, size) for size in (Size(2, rooms=2, products=5), Size(8, rooms=90, products=900))
    )
    for found, wanted in ((few, 2), (many, 8)):
        assert len({batch.partition for batch in found}) == wanted
    texts = [b"".join(r.value or b"" for batch in each for r in batch.records) for each in (few, many)]
    assert b'"live-050"' not in texts[0] and b'"live-050"' in texts[1]
    assert b'"product-0500"' not in texts[0] and b'"product-0500"' in texts[1]
