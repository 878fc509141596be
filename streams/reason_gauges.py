"""Gauges of why payments fail and money goes back: the most frequent reasons of the whole shop.

It stands between the read model and the exporter. Reasons are words without a closed list, so only as many
are named as an answer names; the others add up as `other`. Read at most every REFRESH_MS.
"""

from __future__ import annotations

from collections import Counter

from streams.read_model import ReadModel
from streams.reason_view import PAYMENTS, REFUNDS, Subject, largest, read_rows
from streams.room_gauges import REFRESH_MS
from streams.samples import Remembered, Samples
from streams.scopes import OTHER
from streams.window import WindowError

WINDOW = "30m"
# In the place of a reason, or a kind, that no event names: an empty label is no label at all.
UNSAID = "none"


class ReasonGauges:
    """The most frequent reasons of the last half hour."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._found = Remembered(model.clock, REFRESH_MS, self._read)

    async def families(self) -> tuple[Samples, ...]:
        """Both families, none where reasons or their window are not kept. Raises StoreUnavailableError."""
        return await self._found.get() if PAYMENTS.kind in self._model.figures.kinds else ()

    async def _read(self) -> tuple[Samples, ...]:
        try:
            payments, refunds = await self._samples(PAYMENTS), await self._samples(REFUNDS)
        except WindowError:
            return ()
        return (
            Samples(
                "payment_failures",
                "Attempts that were declined or ended in an error or time-out, by the reason they name.",
                ("window", "outcome", "reason"),
                payments,
            ),
            Samples(
                "refunds_by_reason",
                "Refunds by their kind and the reason they name.",
                ("window", "refund_kind", "reason"),
                refunds,
            ),
        )

    async def _samples(self, subject: Subject) -> dict[tuple[str, ...], float]:
        shown, rest = largest(await read_rows(self._model, subject, WINDOW))
        samples: Counter[tuple[str, ...]] = Counter()
        for (second, reason), counts in (*shown, *(((kind, OTHER), counts) for (kind, _), counts in rest)):
            for column, count in counts.items():
                of = (second or UNSAID) if subject.second else column
                samples[WINDOW, of, reason or UNSAID] += count
        return dict(samples)
