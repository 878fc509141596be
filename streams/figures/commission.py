"""Commission: earned, taken back by refunds, estimated, final, clawed back. What is earned adds up from them.

Each amount stands in the pane of its purchase; when commission is final, `streams.commission` says.
"""

from __future__ import annotations

from streams.catalogue import COMMISSION
from streams.kpi import Formula, Keeping, Kpi, Measure, Sum
from streams.scopes import WITH_COMMISSION

_SOURCE = "TikTok affiliate commission: estimated, then paid"


def _minor(name: str, help_text: str, keeping: Keeping = Keeping.SUM) -> Measure:
    return Measure(name=name, help=help_text, kinds=WITH_COMMISSION, per_currency=True, keeping=keeping)


REVERSED = _minor("reversed", "Commission that refunds before it was final took back.")
CLAWED_BACK = _minor("clawed_back", "Commission that refunds took back after it was final.")
CLAW_BACKS = _minor("claw_backs", "The same, at the time of the refund.")
FINAL = _minor("final", "Commission that is final by as-of, before claw-backs.", Keeping.DUE)

MEASURES = (REVERSED, CLAWED_BACK, CLAW_BACKS, FINAL)


def _kpi(name: str, formula: Formula, help_text: str, *, takes_days: bool = False) -> Kpi:
    return Kpi(
        path=f"commission.*.{name}_minor",
        formula=formula,
        unit="minor",
        help=help_text,
        source=_SOURCE,
        kinds=WITH_COMMISSION,
        takes_days=takes_days,
    )


KPIS = (
    _kpi(
        "earned", Sum((COMMISSION, CLAWED_BACK, REVERSED)), "Commission on what was bought, before refunds."
    ),
    _kpi("reversed", REVERSED, REVERSED.help),
    _kpi(
        "estimated",
        Sum((COMMISSION, CLAWED_BACK), (FINAL,)),
        "Commission on what is left of orders that can still be returned.",
    ),
    # Of purchases of today nothing is final; what refunds of today claw back is told by `claw_backs`.
    _kpi("final", FINAL, FINAL.help, takes_days=True),
    _kpi("clawed_back", CLAWED_BACK, CLAWED_BACK.help, takes_days=True),
    _kpi("claw_backs", CLAW_BACKS, CLAW_BACKS.help),
)
