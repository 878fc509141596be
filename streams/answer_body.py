"""The figures of an answer in the contract's shape and order. Pure.

It stands between the figures of a scope and whoever sends them: what is nested where, and which keys every
answer has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams.answer import Totals, evaluate, flat_figures
from streams.catalogue import SESSION_STEPS, USERS
from streams.kpi import FigureSet, nest
from streams.kpis import QUALITY
from streams.scopes import PIPELINE

USERS_STANDARD_ERROR = 0.0081

# Keys that every answer has, null where the kind of scope does not keep them.
_SESSION_KEYS = tuple(measure.name.removeprefix("sessions.") for measure in SESSION_STEPS)
_USER_KEYS = tuple(USERS)


def body(
    kind: str,
    totals: Totals,
    quality: Mapping[str, int],
    currencies: Iterable[str],
    figures: FigureSet,
    *,
    users_range_ms: tuple[int, int] | None = None,
) -> dict[str, object]:
    """The figures of an answer in the contract's order; `quality` are totals over all topics, the range of
    users is [from, to) in ms, None where nothing is known about users."""
    kept = nest(flat_figures(kind, totals, currencies, figures))
    from_ms, to_ms = users_range_ms or (None, None)
    of_quality = {kpi.path: evaluate(kpi, PIPELINE.name, Totals(quality), None, figures) for kpi in QUALITY}
    return {
        "events": kept.pop("events", None),
        "users": kept.pop("users", dict.fromkeys(_USER_KEYS)),
        "sessions": kept.pop("sessions", dict.fromkeys(_SESSION_KEYS)),
        "orders": kept.pop("orders", None),
        "items": kept.pop("items", None),
        "money": kept.pop("money", {}),
        "ratios": kept.pop("ratios", {}),
        "users_from_ms": from_ms,
        "users_to_ms": to_ms,
        "users_standard_error": USERS_STANDARD_ERROR if users_range_ms or totals.days else None,
        **nest(of_quality),
        **kept,
    }
