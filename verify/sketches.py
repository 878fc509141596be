"""Sketches of distinct users against exact sets: all that should be there are, and none lies too far off."""

from __future__ import annotations

from verify.compare import Report, presence
from verify.model import PartitionExpected
from verify.origins import Gone, origin_of_users
from verify.panes import is_kept
from verify.redis_cells import Snapshot
from verify.rules import SKETCH_KEPT_MS


def compare_users(report: Report, expected: PartitionExpected, found: Snapshot, gone: Gone) -> None:
    """Every sketch of a pane that is kept is there, no other is, and what was counted is near the truth.

    A pane past its retention may be listed until it has been swept: what it still holds says nothing.
    """
    p = expected.partition
    kept = {
        (size, start_ms)
        for size, start_ms in found.user_panes
        if is_kept(start_ms, size, expected.h, SKETCH_KEPT_MS[size])
    }
    for size, start_ms in sorted(kept | expected.users.keys()):
        want = expected.users.get((size, start_ms), {})
        have = found.users.get((size, start_ms), set())
        for name in sorted(want.keys() | have):
            if gone.hides(origin_of_users(name.partition(":")[0]), start_ms):
                continue
            where = f"p={p} {name} {size}:{start_ms}"
            report.check(
                "users", where, presence(name in want, "a sketch"), presence(name in have, "a sketch")
            )
            estimate = found.estimates.get((size, start_ms, name))
            if name in want and estimate is not None:
                report.check_near("users", where, len(want[name]), estimate)
    for size, start_ms in sorted(found.unlisted_indexes):
        report.check("users", f"p={p} {size}:{start_ms}", "gone with their pane", "an index without pane")
    for size, start_ms, name in sorted(found.unlisted_users):
        report.check("users", f"p={p} {name} {size}:{start_ms}", "named by its pane", "a sketch without name")
