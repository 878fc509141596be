"""Virality: what is shared, who comes by it, and whether these share in their turn."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from schemas.events import Share, ShareOpen
from streams.catalogue import EVENT_COUNTS, USERS
from streams.kpi import Distinct, Formula, Keeping, Kpi, Measure, Product, Quantile, Ratio
from streams.scopes import ALL, CHANNEL, MINI_PROGRAM_CHANNEL, PLATFORM

_SOURCE = "K-factor: invitations per user x conversion per invitation"
SHARE_STEP = "share"

# Whose users are counted; what a channel is part of has users, the channel has none of its own.
_WITH_ACTIVE = frozenset({ALL.name, PLATFORM.name, "mini_program"})
_WITH_SHARERS = _WITH_ACTIVE | {CHANNEL.name}
_KINDS = _WITH_SHARERS | {MINI_PROGRAM_CHANNEL.name}

_SHARES, _OPENS = EVENT_COUNTS[Share], EVENT_COUNTS[ShareOpen]
_ACTIVE = USERS["view"]
NEW_USERS = Measure(
    name="new_users", help="New users that came through a share (share_convert).", kinds=_KINDS
)
_SHARERS = Measure(
    name=f"users.{SHARE_STEP}",
    help="Distinct users who shared, estimated (standard error 0.81 %).",
    kinds=_WITH_SHARERS,
    keeping=Keeping.SKETCH,
)
# From a user's share_convert to the first share: upper ends of the buckets, in seconds, up to a week.
CYCLE_BUCKETS_S = (
    *(30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200),
    *(86_400, 172_800, 259_200, 432_000, 604_800),
)
CYCLES: Mapping[int, Measure] = MappingProxyType(
    {
        upper_s: Measure(
            name=f"cycles.{upper_s}",
            help=f"First shares of new users at most {upper_s} s after they came, in no lower bucket.",
            kinds=_WITH_SHARERS,
        )
        for upper_s in CYCLE_BUCKETS_S
    }
)

DISTINCT = (Distinct(SHARE_STEP, frozenset({Share}), _SHARERS),)
# Made of events of traffic by a book: a cap on values spoils what rests on them.
OF_TRAFFIC = (NEW_USERS, *CYCLES.values())
MEASURES = OF_TRAFFIC


def _kpi(  # noqa: PLR0917 - a declaration names each part, in one order
    name: str, formula: Formula, unit: str, help_text: str, kinds: frozenset[str], of_users: bool = False
) -> Kpi:
    return Kpi(
        path=f"virality.{name}",
        formula=formula,
        unit=unit,
        help=help_text,
        source=_SOURCE,
        kinds=kinds,
        over_users_range=of_users,
    )


KPIS = (
    _kpi("active_users", _ACTIVE, "count", "Distinct users with a view or an open.", _WITH_ACTIVE, True),
    _kpi("shares", _SHARES, "count", "Shares.", _KINDS),
    _kpi("opens", _OPENS, "count", "Shares that were opened.", _KINDS),
    _kpi("new_users", NEW_USERS, "count", NEW_USERS.help, _KINDS),
    _kpi("sharers", _SHARERS, "count", _SHARERS.help, _WITH_SHARERS, True),
    _kpi(
        "new_users_per_sharer",
        Ratio(NEW_USERS, _SHARERS),
        "ratio",
        "New users over those who shared.",
        _WITH_SHARERS,
        True,
    ),
    _kpi(
        "k_factor",
        Product((Ratio(_SHARES, _ACTIVE), Ratio(NEW_USERS, _SHARES))),
        "ratio",
        "Shares over active users, times new users over shares.",
        _WITH_SHARERS,
        True,
    ),
    _kpi(
        "cycle_p50_seconds",
        Quantile(tuple(CYCLES.items()), 0.5),
        "seconds",
        "Median time from when a new user came to the user's first share, of those who shared within 7 days.",
        _WITH_SHARERS,
    ),
)
