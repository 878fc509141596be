"""Gauges of the refund rate by the age of the purchases: how much goes back of what had the time to.

It stands between the read model and the exporter. Of the purchases of one day hardly anything is refunded
yet, so a rate over the last 24 h would always look well.
"""

from __future__ import annotations

from collections.abc import Mapping

from streams.answer import Totals, evaluate
from streams.figures.refund_rate import AGES, LEAST_ORDERS, RATE, RATE_BY_AGE, age_of
from streams.kpi import measures_of
from streams.read_model import ReadModel
from streams.reading import Moment, Range, complete_up_to_ms
from streams.requests import CellsRequest, cells
from streams.samples import Remembered, Samples
from streams.scopes import ALL, OTHER, PLATFORM
from streams.trust import topics_read_by
from streams.window import DAY_MS, MINUTE_MS, WindowError

REFRESH_MS = MINUTE_MS

_READ = tuple(dict.fromkeys(measures_of(RATE.formula)))


class RefundGauges:
    """The refund rate of the whole shop and of platforms, by age."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._enabled = {each.name for each in _READ} <= model.figures.measures
        platforms = dict.fromkeys((*model.settings.platforms, OTHER))
        self._values: Mapping[str, tuple[str, ...]] = {ALL.name: ("",), PLATFORM.name: tuple(platforms)}
        self._found = Remembered(model.clock, REFRESH_MS, self._read)

    async def families(self) -> tuple[Samples, ...]:
        """The family, read again if the last reading is REFRESH_MS old. Raises StoreUnavailableError."""
        return (await self._found.get(),) if self._enabled else ()

    async def _read(self) -> Samples:
        as_of_ms = complete_up_to_ms(await self._model.metas(), topics_read_by(ALL.name))
        samples = {} if as_of_ms is None else await self._by_age(as_of_ms - as_of_ms % DAY_MS)
        return Samples(
            RATE_BY_AGE,
            f"Refund rate of purchases so many whole UTC days old, of {LEAST_ORDERS} orders or more.",
            ("scope_kind", "scope", "age", "currency"),
            samples,
        )

    async def _by_age(self, to_ms: int) -> dict[tuple[str, ...], float]:
        samples: dict[tuple[str, ...], float] = {}
        for near, far in AGES:
            rates = await self._rates((to_ms - far * DAY_MS, to_ms - near * DAY_MS))
            samples |= {
                (kind, of, age_of(near, far), currency): rate for (kind, of, currency), rate in rates.items()
            }
        return samples

    async def _rates(self, span: tuple[int, int]) -> dict[tuple[str, str, str], float]:
        """By kind, scope and currency; without those of too few orders. Nothing of days that are not kept."""
        try:
            view, asked = await self._model.over(lambda _moment: span, self._requests)
        except WindowError:
            return {}
        found: dict[tuple[str, str, str], float] = {}
        requests = self._requests(asked, view.moment)
        for (kind, values), request in zip(self._values.items(), requests, strict=True):
            for of in values:
                totals = Totals(view.values(request).get(of, {}))
                for currency in view.moment.currencies:
                    rate = evaluate(RATE, kind, totals, currency, self._model.figures)
                    if rate is not None:
                        found[kind, of, currency] = rate
        return found

    def _requests(self, asked: Range, moment: Moment) -> list[CellsRequest]:
        """For each kind what its rates are made of."""
        names = [each.stored_as(currency) for currency in moment.currencies for each in _READ]
        return [
            # Without a currency there is nothing to ask; an empty list of fields would mean all of them.
            cells(kind, asked.panes if names else (), [f"{name}|{of}" for of in values for name in names])
            for kind, values in self._values.items()
        ]
