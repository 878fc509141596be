"""How long stock lasts: by what a product sold lately, up to a moment of the reader's clock."""

from __future__ import annotations

from verify.rules import MINUTE_MS, SECOND_MS
from verify.totals import Totals
from verify.windows import Piece, round_up

PACE_MINUTES = (5, 15, 30)
PACE_ORDERS = 5


class Pace:
    """The times of which a rate may be told; the shortest that tells one holds."""

    def __init__(self, totals: Totals, clock_ms: int) -> None:
        self._lately = totals.lately
        to_ms = round_up(clock_ms, 10 * SECOND_MS)
        # (length in ms, panes), the shortest first.
        self._spans: list[tuple[int, list[Piece]]] = []
        for minutes in PACE_MINUTES:
            border = totals.border_before(to_ms - minutes * MINUTE_MS)
            span = None if border is None else totals.pieces(border[0], to_ms)
            if border is not None and span is not None:
                self._spans.append((to_ms - border[0], span))

    def minutes_left(self, product_id: str, units: int) -> float | None:
        """How many minutes so many units last; None where too few orders tell a rate."""
        for length_ms, span in self._spans:
            sums = self._lately.sums("product", product_id, span)
            if sums["events.purchase"] >= PACE_ORDERS:
                items = sums["items"]
                return max(units, 0) * length_ms / (items * MINUTE_MS) if items else None
        return None
