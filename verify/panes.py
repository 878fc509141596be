"""Bookings into panes: which panes there are, which of them are kept, and the sums.

Last step of a recomputation: it needs the highest event time of the whole log, so everything is collected
first and added up here.
"""

from __future__ import annotations

from collections.abc import Iterable

from verify.model import HIGHEST, Booking, PaneKey, Panes, Scope, Traffic
from verify.parts import is_kept as is_kept_part
from verify.rules import SIZE_MS, Rules
from verify.scopes import (
    DUE,
    DUE_SIZES,
    EVENT_KINDS,
    PLATFORM_CREATOR,
    ROOM_HEAD,
    ROOM_SIZE,
    RULE_ARM,
    WITH_ADS,
)

OF_CREATORS = frozenset({"orders", "gmv_paid", "commission", "live_starts"})
OF_DAYS = ("returns.",)
"""Figures of whole days, in no shorter pane."""


def pane_start(time_ms: int, size: str) -> int:
    """Start of the pane of this size that holds `time_ms`."""
    return time_ms - time_ms % SIZE_MS[size]


def is_kept(start_ms: int, size: str, h: int | None, retention_ms: int) -> bool:
    """Whether a pane of a partition exists while its highest accepted event time is `h`.

    It goes when its end lies before h - retention; with nothing accepted nothing goes.
    """
    return h is None or start_ms + SIZE_MS[size] >= h - retention_ms


def is_kept_for_answers(start_ms: int, size: str, h: int, rules: Rules) -> bool:
    """Whether an answer may use the pane, `h` being the highest event time over all partitions."""
    return start_ms >= h - rules.retention_ms(size)


class PaneSums:
    """The sums of all panes that a partition keeps, its highest accepted event time being `h`."""

    def __init__(self, h: int | None, rules: Rules) -> None:
        self._h = h
        self._rules = rules
        self._panes: Panes = {}
        self._kept: dict[tuple[str, int], bool] = {}

    def keeps(self, size: str, start_ms: int) -> bool:
        """Whether the pane is there."""
        pane = (size, start_ms)
        if pane not in self._kept:
            retention_ms = self._rules.retention_ms(size)
            self._kept[pane] = is_kept(start_ms, size, self._h, retention_ms)
        return self._kept[pane]

    def count(self, event: Traffic, scopes: Iterable[Scope], size: str, start_ms: int) -> None:
        """Counts an event in a pane, if it is there; `scopes` are its own, some of them moved to `other`."""
        if not self.keeps(size, start_ms):
            return
        measure = f"events.{event.kind}"
        for own, scope in zip(event.scopes, scopes, strict=True):
            kind, value = scope
            for each in (measure, *(() if kind in EVENT_KINDS else event.parts)):
                self._add((kind, size, start_ms), each, f"{each}|{value}", 1)
            if event.charge is not None and kind in WITH_ADS:
                charged, amount = event.charge
                self._add((kind, size, start_ms), charged, f"{charged}|{value}", amount)
            if own != scope:
                self._add((kind, size, start_ms), "capped", f"capped|{event.topic}", 1)

    def book(self, bookings: Iterable[Booking]) -> None:
        """Adds each booking in the panes of every size that are there."""
        for time_ms, scopes, amounts in bookings:
            changes = [
                (kind, measure, f"{measure}|{value}", change)
                for kind, value in scopes
                for measure, change in amounts
            ]
            for size in SIZE_MS:
                start_ms = pane_start(time_ms, size)
                if self.keeps(size, start_ms):
                    for kind, measure, name, change in changes:
                        self._add((kind, size, start_ms), measure, name, change)

    def _add(self, pane: PaneKey, measure: str, name: str, change: int) -> None:
        """One field of one pane, which must be there."""
        if not is_figure(pane[0], pane[1], measure, self._rules.figures):
            return
        if pane[0] == DUE and self._h is not None:
            kind_end_ms = pane[2] + SIZE_MS[pane[1]] + self._rules.due_kept_ms
            if kind_end_ms <= self._h:
                return
        fields = self._panes.setdefault(pane, {})
        if measure.startswith(HIGHEST):
            fields[name] = max(fields.get(name, 0), change)
        else:
            fields[name] = fields.get(name, 0) + change

    def panes(self) -> Panes:
        """All panes; absent and zero are the same, so fields that are zero are left out."""
        without_zeros = {
            key: {name: amount for name, amount in fields.items() if amount}
            for key, fields in self._panes.items()
        }
        return {key: fields for key, fields in without_zeros.items() if fields}


def is_figure(kind: str, size: str, measure: str, figures: str) -> bool:
    """Whether the figure set `figures` has this measure for this kind of scope and size of pane."""
    if (kind.startswith(ROOM_HEAD) and size != ROOM_SIZE) or (kind == RULE_ARM and size != "1d"):
        return False
    if not is_kept_part(measure, kind) or (measure.startswith(OF_DAYS) and size != "1d"):
        return False
    if kind == PLATFORM_CREATOR:
        return figures == "all" and size == "1d" and measure.partition(":")[0] in OF_CREATORS
    if figures == "all":
        return kind != DUE or size in DUE_SIZES
    business = kind == "live" and measure.startswith(("events.", "gmv_paid:"))
    return size == "1m" and (business or kind == "pipeline")
