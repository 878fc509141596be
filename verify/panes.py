"""Bookings into panes: which panes there are, which of them are kept, and the sums.

Last step of a recomputation: it needs the highest event time of the whole log, so everything is collected
first and added up here.
"""

from __future__ import annotations

from collections.abc import Iterable

from verify.model import Booking, Panes
from verify.rules import SIZE_MS, Rules


def pane_start(time_ms: int, size: str) -> int:
    """Start of the pane of this size that holds `time_ms`."""
    return time_ms - time_ms % SIZE_MS[size]


def is_kept(start_ms: int, size: str, h: int | None, rules: Rules) -> bool:
    """Whether a pane of a partition exists while its highest accepted event time is `h`.

    It goes when its end lies before h - retention; with nothing accepted nothing goes.
    """
    return h is None or start_ms + SIZE_MS[size] >= h - rules.retention_ms(size)


def is_kept_for_answers(start_ms: int, size: str, h: int, rules: Rules) -> bool:
    """Whether an answer may use the pane, `h` being the highest event time over all partitions."""
    return start_ms >= h - rules.retention_ms(size)


def sum_into_panes(bookings: Iterable[Booking], h: int | None, rules: Rules) -> Panes:
    """The sums of all bookings, per kept pane; fields whose sum is zero are left out."""
    panes: Panes = {}
    kept: dict[tuple[int, str], bool] = {}
    for time_ms, scopes, amounts in bookings:
        changes = [
            (kind, measure, f"{measure}|{value}", change)
            for kind, value in scopes
            for measure, change in amounts
        ]
        for size in SIZE_MS:
            start_ms = pane_start(time_ms, size)
            if (start_ms, size) not in kept:
                kept[start_ms, size] = is_kept(start_ms, size, h, rules)
            if not kept[start_ms, size]:
                continue
            for kind, measure, name, change in changes:
                if rules.figures == "all" or is_figure(kind, size, measure, rules.figures):
                    fields = panes.setdefault((kind, size, start_ms), {})
                    fields[name] = fields.get(name, 0) + change
    return _without_zeros(panes)


def is_figure(kind: str, size: str, measure: str, figures: str) -> bool:
    """Whether the figure set `figures` has this measure for this kind of scope and size of pane."""
    if figures == "all":
        return True
    business = kind == "live" and measure.startswith(("events.", "gmv_paid:"))
    return size == "1m" and (business or kind == "pipeline")


def _without_zeros(panes: Panes) -> Panes:
    """Absent and zero are the same; one of the two is compared."""
    for fields in panes.values():
        for name in [name for name, amount in fields.items() if not amount]:
            del fields[name]
    return {key: fields for key, fields in panes.items() if fields}
