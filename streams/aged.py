"""What of a sum is old enough: the part in panes that ended so long before "as of". Pure arithmetic.

It stands beside the sheet of one scope, which reads it and puts it among the totals. The border is taken from
the clock, as far back as "as of" of an answer that is not stale can be: so one reading is enough. Where
"as of" is further behind, nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streams.answer import Scope, by_measure
from streams.figures import MEASURES
from streams.kpi import Aged
from streams.reading import Moment, Reader, View
from streams.requests import CellsRequest, cells
from streams.trust import STALE_AFTER_MS
from streams.window import WindowError

# So far behind the clock "as of" may be before an answer is stale.
BEHIND_MS = STALE_AFTER_MS
_ALL: Sequence[Aged] = tuple(measure for measure in MEASURES if isinstance(measure, Aged))


class AgedParts:
    """All aged measures of one scope over one range.

    Attributes:
        requests: what has to be read.
    """

    def __init__(self, reader: Reader, scope: Scope, range_ms: tuple[int, int], moment: Moment) -> None:
        self._reader = reader
        self._kind = scope.kind
        measures = reader.figures.measures
        self._parts = {
            aged.name: _Part(reader, aged, scope, range_ms, moment)
            for aged in _ALL
            if scope.kind in aged.kinds and aged.name in measures
        }
        self.requests = tuple(part.request for part in self._parts.values() if part.request is not None)

    def added_to(self, own: Mapping[str, int], view: View) -> Mapping[str, int]:
        """The totals of the whole range, and beside them the aged ones that are known."""
        as_of_ms = self._reader.as_of_ms(view, self._kind) if self._parts else None
        if as_of_ms is None:
            return own
        found = {name: part.total(view, own, as_of_ms) for name, part in self._parts.items()}
        return {**own, **{name: total for name, total in found.items() if total is not None}}


class _Part:
    """One aged measure of one scope over one range.

    Attributes:
        request: what has to be read; None where the whole range is on one side of the border, or the border
            lies where no such panes are kept.
    """

    def __init__(
        self, reader: Reader, aged: Aged, scope: Scope, range_ms: tuple[int, int], moment: Moment
    ) -> None:
        self._aged = aged
        self._scope = scope
        self._from_ms, self._to_ms = range_ms
        border_ms = moment.now_ms - aged.age_ms - BEHIND_MS
        self._border_ms = border_ms - border_ms % aged.border_ms
        self.request: CellsRequest | None = None
        if self._from_ms < self._border_ms < self._to_ms:
            try:
                panes = reader.range((self._from_ms, self._border_ms), moment).panes
            except WindowError:
                return
            self.request = cells(scope.kind, panes, [f"{aged.of.name}|{scope.value}"])

    def total(self, view: View, own: Mapping[str, int], as_of_ms: int) -> int | None:
        """The part; None if it is not known. `own` are the totals of the whole range."""
        old_ms = as_of_ms - self._aged.age_ms
        if self._to_ms <= old_ms:
            return own.get(self._aged.of.name, 0)
        if self._border_ms > old_ms:
            return None
        if self._border_ms <= self._from_ms:
            return 0
        if self.request is None:
            return None
        return by_measure(view.sums(self.request), self._scope.value).get(self._aged.of.name, 0)
