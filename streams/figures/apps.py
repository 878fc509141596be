"""Apps and redirection: who uses an app, and who was sent to another one.

Users of an app are sketched by the day: a month of them is the union of thirty days. Users of an app by arm
of a redirection rule, and the assignments, are written by `streams.redirects`.
"""

from __future__ import annotations

from schemas.events import Active
from streams.kpi import Distinct, Keeping, Kpi, Measure
from streams.scopes import ON_APPS, RULE_ARM

MONTH_DAYS = 30
ACTIVE_STEP = "active"

ACTIVE_USERS = Measure(
    name=f"users.{ACTIVE_STEP}",
    help="Distinct users of an app in a UTC day, estimated (standard error 0.81 %).",
    kinds=ON_APPS,
    keeping=Keeping.SKETCH,
)
ASSIGNED = Measure(
    name="assigned",
    help="Users assigned to an arm of a redirection rule, each once.",
    kinds=frozenset({RULE_ARM.name}),
)
CONTRADICTED = Measure(
    name="contradicted",
    help="Assignments to the other arm of users of this one; the first one holds.",
    kinds=frozenset({RULE_ARM.name}),
)

MEASURES = (
    ASSIGNED,
    CONTRADICTED,
)
DISTINCT = (Distinct(ACTIVE_STEP, frozenset({Active}), ACTIVE_USERS, frozenset({"1d"})),)
KPIS = tuple(
    Kpi(
        path=f"active_users.{name}",
        formula=ACTIVE_USERS,
        unit="count",
        help=help_text,
        source="CONTRACT: monthly active users",
        kinds=ON_APPS,
        complete_days=days,
    )
    for name, days, help_text in (
        ("day", 1, "Distinct users of the app in the last UTC day that was over by the end of the range."),
        ("month", MONTH_DAYS, "Distinct users of the app in the last 30 such days."),
    )
)
