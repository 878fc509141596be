"""The platform's take: fees on what is left of the orders, commission, and what campaigns were charged."""

from __future__ import annotations

from streams.catalogue import COMMISSION
from streams.kpi import Formula, Kpi, Measure, Sum
from streams.scopes import WITH_ADS, WITH_TAKE

_SOURCE = "Marketplace take rate: fees, commission, advertising"

FEES = Measure(
    name="fees",
    help="Platform fees on what is left of the lines, at purchase time.",
    kinds=WITH_TAKE,
    per_currency=True,
)
ADS = Measure(
    name="ads",
    help="What advertising campaigns were charged, at the time of the charge.",
    kinds=WITH_ADS,
    per_currency=True,
)

MEASURES = (FEES, ADS)


def _kpi(path: str, formula: Formula, help_text: str, kinds: frozenset[str] = WITH_TAKE) -> Kpi:
    return Kpi(path=path, formula=formula, unit="minor", help=help_text, source=_SOURCE, kinds=kinds)


KPIS = (
    _kpi("take.*.fees_minor", FEES, FEES.help),
    _kpi("take.*.commission_minor", COMMISSION, COMMISSION.help),
    _kpi("take.*.ads_minor", ADS, ADS.help),
    _kpi("take.*.total_minor", Sum((FEES, COMMISSION, ADS)), "Fees, commission and ads together."),
    _kpi("ads.*.charged_minor", ADS, ADS.help, WITH_ADS),
)
