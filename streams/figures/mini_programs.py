"""Mini-programs: how they are opened, what is done in them, and who comes back to them."""

from __future__ import annotations

from typing import get_args

from schemas.events import MiniProgramAction, MiniProgramOpen, ProductView, Purchase, Share
from schemas.fields import Entry
from streams.catalogue import EVENT_COUNTS
from streams.kpi import Formula, Kpi, Measure, Part, Ratio
from streams.scopes import ON_ORDERS, ON_TRAFFIC, QR

_SOURCE = "WeChat mini-program analytics"
_DAY_MS = 86_400_000

OPENS = EVENT_COUNTS[MiniProgramOpen]
_ACTIONS, _PRODUCT_VIEWS = EVENT_COUNTS[MiniProgramAction], EVENT_COUNTS[ProductView]
_ORDERS, _SHARES = EVENT_COUNTS[Purchase], EVENT_COUNTS[Share]
# Of whole orders: no line says how the program was opened in which it was bought.
_KINDS = ON_ORDERS & ON_TRAFFIC
_OF_ONE = frozenset({"mini_program"})

_BY_ENTRY = {
    entry: Measure(name=f"entries.{entry}", help=f"Mini-program opens by {entry}.", kinds=ON_TRAFFIC)
    for entry in get_args(Entry)
}
# Of (mini-program, user), by UTC day of the open: a program that was opened often that day counts once.
RETURN_KINDS = frozenset({"all", "mini_program"})
OPENED = Measure(
    name="returns.opened",
    help="Users of a mini-program on a UTC day, each once a day and program.",
    kinds=RETURN_KINDS,
)
# After how many days.
RETURNS = {
    1: Measure(
        name="returns.next_day",
        help="Those of them that opened it on the next UTC day, too.",
        kinds=RETURN_KINDS,
    ),
    7: Measure(
        name="returns.day_7",
        help="Those of them that opened it on the seventh UTC day after, too.",
        kinds=RETURN_KINDS,
    ),
}
# By name: after so many days. Whoever has seen the cohort's last day needs the day of the return whole, too.
RIPE_DAYS = {measure.name.removeprefix("returns."): days for days, measure in RETURNS.items()}

PARTS = (Part(MiniProgramOpen, "entry", _BY_ENTRY),)
# Made of events of traffic by books: a cap on values spoils what rests on them.
OF_TRAFFIC = (OPENED, *RETURNS.values())
MEASURES = OF_TRAFFIC


def _kpi(path: str, formula: Formula, help_text: str, kinds: frozenset[str] = _KINDS) -> Kpi:
    unit = "ratio" if isinstance(formula, Ratio) else "count"
    return Kpi(path=path, formula=formula, unit=unit, help=help_text, source=_SOURCE, kinds=kinds)


def _return_kpi(path: str, formula: Formula, help_text: str, ripe_after_ms: int = 0) -> Kpi:
    return Kpi(
        path=f"returns.{path}",
        formula=formula,
        unit="ratio" if isinstance(formula, Ratio) else "count",
        help=help_text,
        source="retention by cohort, day n exactly",
        kinds=RETURN_KINDS,
        of_whole_days=True,
        ripe_after_ms=ripe_after_ms,
    )


KPIS = (
    *(_kpi(f"entries.{entry}", measure, measure.help) for entry, measure in _BY_ENTRY.items()),
    _kpi("mini_program.opens", OPENS, "Mini-program opens.", _KINDS | {QR.name}),
    _kpi("mini_program.actions", _ACTIONS, "What was done in mini-programs."),
    _kpi("mini_program.actions_per_open", Ratio(_ACTIONS, OPENS), "Actions over opens."),
    *(
        # Elsewhere most views, orders and shares are of no mini-program, while opens are of nothing else.
        _kpi(f"mini_program.{name}", ratio, help_text, _OF_ONE)
        for name, ratio, help_text in (
            ("product_views_per_open", Ratio(_PRODUCT_VIEWS, OPENS), "Product views over opens."),
            ("orders_per_open", Ratio(_ORDERS, OPENS), "Paid orders (transactions) over opens."),
            ("shares_per_order", Ratio(_SHARES, _ORDERS), "Shares over paid orders."),
        )
    ),
    _return_kpi("opened", OPENED, OPENED.help),
    *(
        kpi
        for name, days in RIPE_DAYS.items()
        for kpi in (
            _return_kpi(name, RETURNS[days], RETURNS[days].help, days * _DAY_MS),
            _return_kpi(
                f"{name}_per_opened",
                Ratio(RETURNS[days], OPENED),
                f"Part of a day's users that came back on day {days} after it.",
                days * _DAY_MS,
            ),
        )
    ),
)
