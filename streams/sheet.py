"""One scope over one range: what is read for it, and the figures made of that. No I/O.

It stands between a question and the reading of it. A sheet belongs to a moment: it knows the panes that
were kept then. Everything that shows the figures of a scope fills in such a sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams.aged import AgedParts
from streams.answer import (
    Group,
    Scope,
    Totals,
    beside_users,
    by_measure,
    capped_cells,
    sketches_of,
    sketches_of_days,
)
from streams.answer_body import body
from streams.figures import SKETCHES
from streams.finals import Finals
from streams.reading import Moment, Reader, View
from streams.requests import CellsRequest, Request, SketchRequest, cells, distinct
from streams.scopes import PIPELINE, WITH_SESSIONS
from streams.trust import Trust
from streams.users_range import UsersRange, complete_days, sizes_of, users_range
from streams.virality import add_maturity
from streams.window import DAY_MS, Pane, WindowError


class Sheet:
    """What is asked and answered about one scope over one range at one moment.

    Attributes:
        scope: what it is about.
        range: the panes of the asked range.
        users: the panes over which users are counted; None where nothing is known about users.
        requests: what has to be read.
    """

    def __init__(self, reader: Reader, scope: Scope, range_ms: tuple[int, int], moment: Moment) -> None:
        """Raises WindowError for a range that is not kept."""
        self.scope = scope
        self.range = reader.range(range_ms, moment)
        self.users: UsersRange | None = None
        self._reader = reader
        self._moment = moment
        self._capped = capped_cells(scope.kind, reader.figures)
        measures = reader.measures(scope.kind, moment.currencies)
        fields = (*(f"{name}|{scope.value}" for name in measures), *self._capped)
        self._cells = cells(scope.kind, self.range.panes, fields)
        self._quality = cells(PIPELINE.name, self.range.panes)
        self._finals = Finals(reader, scope, self.range.panes, moment)
        self._sketches: SketchRequest | None = None
        self._beside: CellsRequest | None = None
        # Which figures a met cap spoils, by where it shows: each is admitted pane by pane of its own size.
        self._caps: list[tuple[Group, CellsRequest]] = []
        self._steps = sketches_of(scope.kind, reader.figures)
        if self._steps:
            newest_ms = max(moment.now_ms, moment.high_ms)
            self.users = users_range(*range_ms, newest_ms, sizes_of(scope.kind))
        if self.users is not None:
            self._sketches = distinct(self._steps, scope.kind, scope.value, self.users.panes)
            self._beside = self._set_beside(self.users)
            self._watch_caps(Group.USERS, self.users.panes)
        if scope.kind in WITH_SESSIONS:
            self._watch_caps(Group.SESSIONS, self._days())
        self._aged = AgedParts(reader, scope, range_ms, moment)
        self._of_days = self._ask_days(range_ms[1])
        asked = (
            *(self._cells, self._quality, self._sketches, self._beside),
            *(request for _, request in self._of_days.values()),
            *(each for _, each in self._caps),
            *self._finals.requests,
            *self._aged.requests,
        )
        self.requests: tuple[Request, ...] = tuple(request for request in asked if request is not None)

    @property
    def range_ms(self) -> tuple[int, int]:
        """[from_ms, to_ms) of the asked range."""
        return self.range.from_ms, self.range.to_ms

    def _watch_caps(self, group: Group, panes: Iterable[Pane]) -> None:
        if self._capped:
            self._caps.append((group, cells(self.scope.kind, panes, self._capped)))

    def _days(self) -> list[Pane]:
        """The days that the range touches: by these a session's lives and creators are admitted."""
        days = [size for size in self._reader.sizes if size.size_ms == DAY_MS]
        return [
            Pane(size, start_ms)
            for size in days
            for start_ms in range(size.start_of(self.range.from_ms), self.range.to_ms, size.size_ms)
        ]

    def _ask_days(self, to_ms: int) -> dict[int, tuple[tuple[str, ...], SketchRequest]]:
        """By a number of complete days before `to_ms`, the steps whose users are counted over them."""
        found: dict[int, tuple[tuple[str, ...], SketchRequest]] = {}
        newest_ms = max(self._moment.now_ms, self._moment.high_ms)
        for days, steps in sketches_of_days(self.scope.kind, self._reader.figures).items():
            span = complete_days(days, to_ms, newest_ms)
            if span is not None:
                found[days] = steps, distinct(steps, self.scope.kind, self.scope.value, span.panes)
                self._watch_caps(Group.USERS, span.panes)
        return found

    def _set_beside(self, users: UsersRange) -> CellsRequest | None:
        """What is set against users, over their range; None where it is not kept in these borders."""
        if (users.from_ms, users.to_ms) == self.range_ms:
            return self._cells
        try:
            kept = self._reader.range((users.from_ms, users.to_ms), self._moment)
        except WindowError:
            return None
        names = beside_users(self.scope.kind, self._reader.figures, self._moment.currencies)
        if not names:
            return None  # An empty list of fields would mean all of them.
        return cells(self.scope.kind, kept.panes, [f"{name}|{self.scope.value}" for name in names])

    def sums(self, view: View) -> Mapping[str, int]:
        """What the scope has in cells over the range, by stored measure."""
        return view.values(self._cells).get(self.scope.value, {})

    def totals(self, view: View, as_of_ms: int | None = None) -> Totals:
        """What the scope's figures are made of."""
        own = {**self.sums(view), **self._finals.totals(view)}
        users = None
        if self._sketches is not None:
            counts = view.counts(self._sketches)
            users = {measure.name: n for measure, n in zip(self._steps.values(), counts, strict=True)}
            if self._beside is not None:
                users |= view.values(self._beside).get(self.scope.value, {})
        days = {
            number: {SKETCHES[step].name: n for step, n in zip(steps, view.counts(request), strict=True)}
            for number, (steps, request) in self._of_days.items()
        }
        are_days = all(pane.size.size_ms == DAY_MS for pane in self.range.panes)
        return Totals(
            self._aged.added_to(own, view),
            users,
            self.capped(view),
            days,
            has_beside=self._beside is not None,
            days_to_ms=self.range.to_ms if are_days else None,
            as_of_ms=as_of_ms,
        )

    def capped(self, view: View) -> frozenset[Group]:
        """The figures of which a part is counted under ``other``."""
        if self._is_met(view, self._cells):
            return frozenset(Group)
        return frozenset(group for group, request in self._caps if self._is_met(view, request))

    def _is_met(self, view: View, request: CellsRequest) -> bool:
        sums = view.sums(request)
        return any(sums.get(cell, 0) for cell in self._capped)

    def answer(self, view: View, trusted: Trust) -> dict[str, object]:
        """The answer of CONTRACT §4, without what only one kind of scope has."""
        totals = self.totals(view, trusted.as_of_ms)
        users = self.users
        answer: dict[str, object] = {
            "scope": str(self.scope),
            "from_ms": self.range.from_ms,
            "to_ms": self.range.to_ms,
            "as_of_ms": trusted.as_of_ms,
            "completeness": trusted.completeness,
            "state": trusted.state.value,
            "capped": bool(totals.capped),
            **body(
                self.scope.kind,
                totals,
                by_measure(view.sums(self._quality)),
                self._moment.currencies,
                self._reader.figures,
                users_range_ms=None if users is None else (users.from_ms, users.to_ms),
            ),
        }
        add_maturity(answer, self.range_ms, trusted.as_of_ms)
        return answer
