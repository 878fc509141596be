"""Live rooms: what each sells, who watches, whether what it shows can be bought."""

from __future__ import annotations

from dashboards.alerts_business import HEARTBEAT_S
from dashboards.grafana_panels import (
    BLUE,
    CONTRACT,
    COUNT,
    FIGURES,
    GREEN,
    NONE_NOW,
    RED,
    RUNBOOK,
    SECONDS,
    YELLOW,
    Board,
    Choice,
    Kind,
    Panel,
    Query,
    Row,
    Text,
    kpi_column,
    kpi_lines,
)
from dashboards.grafana_parts import (
    CURRENCY,
    MARKS,
    SHOPS,
    STEP,
    TRUST,
    conversion,
    session_funnel,
    watch_states,
    windows_of,
)
from dashboards.grafana_queries import age, each, figure, lowest
from dashboards.promql import Aggregation
from dashboards.uids import LIVES

# Two lists of lives: figures are told of those with most GMV, and watched are those with most views.
LIVE = Choice(
    "live",
    "Live",
    'label_values({__name__=~"shop_pulse_orders|shop_pulse_cohort_state", env="$env", shop="$shop", '
    'scope_kind="live", scope!~"other|unattributed"}, scope)',
)
PAGES = Text(
    "pulse_url",
    "Read service",
    "http://127.0.0.1:8080",
    "Address of Shop Pulse's pages, for the links to a live's own page.",
)
OF_LIVES = {"scope_kind": "live"}
THE_LIVE = {"scope_kind": "live", "scope": "$live"}
SOON, HALF_HOUR = {"window": "5m"}, {"window": "30m"}
_MINUTES = 5
_LARGEST = (
    "The largest lives of the last half hour are named, the others are summed as other; unattributed is what "
    "belongs to no live."
)

_ROOMS = Panel(
    kind=Kind.TABLE,
    title="Rooms, the last half hour",
    means=f"{_LARGEST} A click on a live opens its own page, which is up to the second and knows more. "
    "A live's orders have at least one line of it, so they do not add up to the shop's. GMV in $currency.",
    more=f"{CONTRACT}#live-rooms",
    unit=COUNT,
    queries=(
        kpi_column("money.*.gmv_paid_minor", "scope", **OF_LIVES, **HALF_HOUR),
        kpi_column("orders", "scope", **OF_LIVES, **HALF_HOUR),
        Query(figure("orders", "scope", **OF_LIVES, **SOON) / _MINUTES, "Orders a minute"),
        Query(each("viewers_now", "scope", **OF_LIVES), "Viewers"),
        kpi_column("ratios.purchases_per_view_sessions", "scope", **OF_LIVES, **HALF_HOUR),
        kpi_column("sessions.view", "scope", **OF_LIVES, **HALF_HOUR),
    ),
    columns={"scope": "Live"},
    width=24,
    height=9,
    links=(
        ("Open the live's page", "${pulse_url}/live/${__data.fields.Live:percentencode}"),
        (
            "Show it below",
            f"/d/{LIVES}?${{__url_time_range}}&${{env:queryparam}}&${{shop:queryparam}}"
            "&var-live=${__data.fields.Live:percentencode}",
        ),
    ),
)
_HEARTBEAT = Panel(
    kind=Kind.LINES,
    title="Last heartbeat",
    means="Seconds since each room last told how many watch. Every 10 s is right; a room that ended is not "
    "shown. Without heartbeats viewers are unknown, sales still count.",
    more=f"{RUNBOOK}#shoppulseliveheartbeatlost",
    unit=SECONDS,
    queries=(Query(age(each("live_heartbeat_timestamp_seconds", "live")), "{{live}}"),),
    steps=(GREEN, (HEARTBEAT_S, RED)),
    width=8,
    low=0,
)
_PINNED = Panel(
    kind=Kind.LINES,
    title="Stock of pinned products",
    means="Units left of what each room shows now, where stock is known: the latest stock_set less what was "
    "sold since. A product without a stock_set is not shown, and has no alert.",
    more=f"{RUNBOOK}#shoppulsepinnedproductout",
    unit=COUNT,
    queries=(Query(each("pinned_stock_units", "live", "product"), "{{product}} in {{live}}"),),
    steps=(RED, (1, YELLOW), (10, GREEN)),
    width=8,
)
_OVERSOLD = Panel(
    kind=Kind.LINES,
    title="Oversold units",
    means="Units sold beyond the stock that is known. A stock_set that came late looks the same until it "
    "comes; it is a signal, not a reservation.",
    more=f"{RUNBOOK}#shoppulseoversold",
    unit=COUNT,
    queries=(Query(each("oversold_units", "product"), "{{product}}"),),
    steps=(GREEN, (1, RED)),
    width=8,
    low=0,
    empty=NONE_NOW,
)
_ORDERS = Panel(
    kind=Kind.LINES,
    title="Orders a minute, $live",
    means="Orders with a line of this live, over the last 5 minutes. A room sells in bursts after each pin: "
    "compare with the pins on its page before calling it a fall.",
    more=FIGURES,
    unit=COUNT,
    queries=(Query(figure("orders", **THE_LIVE, **SOON) / _MINUTES, "orders a minute"),),
    low=0,
)
_VIEWERS = Panel(
    kind=Kind.LINES,
    title="Viewers, $live",
    means="As heartbeats tell: now, and average and peak of the last half hour. No line means no heartbeat, "
    "not an empty room.",
    more=f"{CONTRACT}#live-rooms",
    unit=COUNT,
    queries=(
        Query(each("viewers_now", **THE_LIVE), "now"),
        Query(figure("viewers.average", **THE_LIVE, **HALF_HOUR), "average"),
        Query(figure("viewers.peak", **THE_LIVE, **HALF_HOUR), "peak"),
    ),
    low=0,
)
_FUNNEL = session_funnel(
    "Session funnel, 30 min, $live",
    "Sessions of this live by their first view of it in the last 30 minutes, and how far they came. "
    "The youngest have not had their time yet.",
    12,
    **THE_LIVE,
    **HALF_HOUR,
)
_ALL_ROOMS = Panel(
    kind=Kind.STAT,
    title="Rooms with a heartbeat",
    means="Rooms that told of their viewers within the last minute, among those that have not ended.",
    more=f"{CONTRACT}#live-rooms",
    unit=COUNT,
    queries=(
        Query(
            Aggregation(
                "count", (), age(each("live_heartbeat_timestamp_seconds", "live")).below(HEARTBEAT_S)
            ),
            "rooms",
        ),
    ),
    width=6,
    height=4,
    steps=(BLUE,),
)
_OLDEST = Panel(
    kind=Kind.STAT,
    title="Longest without a heartbeat",
    means="Seconds since the last heartbeat of the room that has been quiet longest and has not ended.",
    more=f"{RUNBOOK}#shoppulseliveheartbeatlost",
    unit=SECONDS,
    queries=(Query(age(lowest(each("live_heartbeat_timestamp_seconds", "live"))), "seconds"),),
    width=6,
    height=4,
    steps=(GREEN, (HEARTBEAT_S // 2, YELLOW), (HEARTBEAT_S, RED)),
)

BOARD = Board(
    uid=LIVES,
    title="Shop Pulse: live rooms",
    means="What live rooms sell, who watches, and whether what they show can be bought.",
    since="now-3h",
    variables=(*SHOPS, CURRENCY, LIVE, STEP, windows_of("$step", "live"), PAGES),
    rows=(
        Row("Can I trust this?", (*TRUST[:4], _ALL_ROOMS, _OLDEST)),
        Row("All rooms", (_ROOMS, _HEARTBEAT, _PINNED, _OVERSOLD)),
        Row(
            "One room: $live",
            (
                kpi_lines("money.*.gmv_paid_minor", "$live, 5 min", _LARGEST, **THE_LIVE, **SOON),
                _ORDERS,
                _VIEWERS,
                _FUNNEL,
                conversion(
                    "Conversion",
                    "Of this live, against its own beginning, or the creator's lives of four weeks.",
                    12,
                    **THE_LIVE,
                    step="$step",
                    window="$window",
                ),
                watch_states("What can be watched in $live", 12, **THE_LIVE),
            ),
        ),
    ),
    marks=MARKS,
)
