"""Gauges of why payments fail and money goes back: the most frequent reasons of the whole shop.

It stands between the read model and the exporter. Reasons are words without a closed list, so only as many
are named as an answer names; the others add up as `other`. Read at most every REFRESH_MS.
"""

from __future__ import annotations

from collections import Counter

from streams.read_model import ReadModel
from streams.reason_view import PAYMENTS, REFUNDS, Subject, largest, read_rows
from streams.room_gauges import REFRESH_MS, Samples
from streams.scopes import OTHER
from streams.window import WindowError

WINDOW = "30m"
# In the place of a reason, or a kind, that no event names: an empty label is no label at all.
UNSAID = "none"


class ReasonGauges:
    """Reads now and then; between, what was read last is shown."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._found: tuple[Samples, ...] = ()
        self._read_ms: int | None = None

    async def families(self) -> tuple[Samples, ...]:
        """Both families, none where reasons or their window are not kept. Raises StoreUnavailableError."""
        now_ms = self._model.clock()
        if PAYMENTS.kind not in self._model.figures.kinds:
            return ()
        if self._read_ms is None or now_ms - self._read_ms >= REFRESH_MS:
            try:
                self._found = await self._read()
            except WindowError:
                self._found = ()
            self._read_ms = now_ms
        return self._found

    async def _read(self) -> tuple[Samples, ...]:
        return (
            Samples(
                "payment_failures",
                "Attempts that were declined or ended in an error or time-out, by the reason they name.",
                ("window", "outcome", "reason"),
                await self._samples(PAYMENTS),
            ),
            Samples(
                "refunds_by_reason",
                "Refunds by their kind and the reason they name.",
                ("window", "refund_kind", "reason"),
                await self._samples(REFUNDS),
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
