"""What several dashboards show alike: variables, marks, how far figures can be trusted, conversion.

It stands between the words of `grafana_panels` and the boards.
"""

from __future__ import annotations

from dashboards.alerts_pipeline import CANARY_S, LAG_RECORDS
from dashboards.grafana_panels import (
    BLUE,
    CONTRACT,
    COUNT,
    GREEN,
    GREY,
    NONE_NOW,
    RATIO,
    RED,
    RUNBOOK,
    SECONDS,
    STALE,
    YELLOW,
    Choice,
    Kind,
    Look,
    Mark,
    Options,
    Panel,
    Query,
)
from dashboards.grafana_queries import age, asked, each, figure, lowest, ruled, summed
from dashboards.promql import Expr, Metric, highest
from dashboards.recorded import CURRENT_S, LAG, TRUSTED, UPPER
from dashboards.recorded import RATIO as NOW_RATIO
from streams.catalogue import SESSION_STEPS
from streams.cohorts import DROP_TO, STEPS

_OF_SHOP = '{env="$env", shop="$shop"'
SHOPS = (
    Choice("env", "Environment", "label_values(shop_pulse_build_info, env)"),
    Choice("shop", "Shop", 'label_values(shop_pulse_build_info{env="$env"}, shop)'),
)
CURRENCY = Choice("currency", "Currency", f"label_values(shop_pulse_gmv_paid_minor{_OF_SHOP}}}, currency)")
STEP = Options("step", "Step", tuple(step.name for step in STEPS), STEPS[-1].name)


def windows_of(step: str, kind: str) -> Choice:
    """A choice among the cohorts that hold enough to say something, shortest first."""
    cohorts = f'shop_pulse_cohort_size{_OF_SHOP}, scope_kind="{kind}", step="{step}"}}'
    return Choice("window", "Cohort window", f"label_values({cohorts}, window)", by_number=True)


# Only where figures could be trusted, now and before: a pipeline that stood still says nothing of lives.
_BEFORE = "2m"
_TRUSTED = ruled(TRUSTED).equal(1)
_TRUSTED_BEFORE = Metric(f"{ruled(TRUSTED).text()} offset {_BEFORE}").equal(1)
_LIVES = each("live_heartbeat_timestamp_seconds", "env", "shop", "live")
_LIVES_BEFORE = highest(
    Metric(f"{asked('live_heartbeat_timestamp_seconds').text()} offset {_BEFORE}"), "env", "shop", "live"
)


def _of_live(lives: Expr) -> Expr:
    known = lives.where(_TRUSTED, "env", "shop").where(_TRUSTED_BEFORE, "env", "shop")
    return known.is_above(0)


MARKS = (
    Mark(
        "Changes and incidents",
        each("change_timestamp_seconds", "kind", "title") * 1000,
        "{{kind}}",
        "{{title}}",
        "purple",
        at_value=True,
    ),
    Mark(
        "Firing alerts",
        Metric(
            "ALERTS",
            {
                "env": "$env",
                "shop": "$shop",
                "alertname": "~ShopPulse.*",
                "alertstate": "firing",
                "severity": "!~none",
            },
        ),
        "{{alertname}}",
        "{{severity}} {{scope}} {{step}}",
        RED,
    ),
    Mark("Live begun", _of_live(_LIVES.unless(_LIVES_BEFORE, "live")), "live begun", "{{live}}", GREEN),
    Mark("Live ended", _of_live(_LIVES_BEFORE.unless(_LIVES, "live")), "live ended", "{{live}}", GREY),
)


def _number(
    title: str,
    means: str,
    more: str,
    unit: str,
    query: Expr,
    *steps: tuple[float, str],
    base: str = GREEN,
    empty: str = STALE,
    words: dict[float, tuple[str, str]] | None = None,
) -> Panel:
    return Panel(
        kind=Kind.STAT,
        title=title,
        means=means,
        more=more,
        unit=unit,
        queries=(Query(query, title),),
        width=3,
        height=4,
        empty=empty,
        steps=(base, *steps),
        words=words or {},
    )


YES_NO: dict[float, tuple[str, str]] = {1: ("yes", GREEN), 0: ("no", RED)}
_LATEST = each("as_of_timestamp_seconds", window="5m")
_CANARY = each("canary_timestamp_seconds", "topic", "partition")
_ALL_RECORDS = summed("records_last_hour", (), ("topic", "verdict", "reason"))
_LETTERS = summed("records_last_hour", (), ("topic", "verdict", "reason"), verdict="dead_letter")

TRUST = (
    _number(
        "Trusted",
        "Whether business alerts may speak: figures are current, no source is silent, Redis answers. "
        "While it "
        "says no, every figure below may be too low, and a missing figure is not a missing sale.",
        f"{RUNBOOK}#shoppulsestale",
        "none",
        ruled(TRUSTED),
        words=YES_NO,
    ),
    _number(
        "As of",
        "Seconds since the event time up to which everything is counted: the slowest topic-partition. About "
        "10 s is as good as it gets, as watermarks stand that far behind the clock.",
        f"{RUNBOOK}#shoppulsestale",
        SECONDS,
        age(_LATEST),
        (60, YELLOW),
        (CURRENT_S, RED),
    ),
    _number(
        "Completeness",
        "Part of the last 5 minutes that is counted, over all topic-partitions. Late events within their "
        "limit may still come: what is complete is not final.",
        f"{CONTRACT}#answers",
        RATIO,
        each("completeness", window="5m"),
        (0.9, YELLOW),
        (0.99, GREEN),
        base=RED,
    ),
    _number(
        "Lag now",
        "Records in Kafka that are in no figure yet, as workers told when they last wrote. A burst lags for "
        "seconds; what matters is whether it falls again. Records, not time: the age beside it says how late "
        "figures are.",
        f"{RUNBOOK}#shoppulselaggrowing",
        COUNT,
        ruled(LAG),
        (LAG_RECORDS // 10, YELLOW),
        (LAG_RECORDS, RED),
    ),
    _number(
        "Dead letters in an hour",
        "Records of the last hour that could not be read or broke a rule: kept in the dead-letter topic, in "
        "no figure. A new app version that sends something wrong shows here first.",
        f"{RUNBOOK}#shoppulsedeadletters",
        COUNT,
        # No dead letter has no series: that is a zero only while there are records at all.
        _LETTERS.otherwise(_ALL_RECORDS * 0),
        (1, YELLOW),
        (100, RED),
    ),
    _number(
        "Silent sources",
        "Topics whose source has stopped sending. A quiet night is no silence: heartbeats, or the usual rate "
        "of the topic, tell them apart.",
        f"{RUNBOOK}#shoppulsesourcesilent",
        COUNT,
        summed("source_silent", (), ("topic",)),
        (1, RED),
    ),
    _number(
        "Canary",
        "Seconds since the newest canary that came the whole way, on the worst topic-partition. It is sent "
        "every 10 s, so it shows a stop even where a shop has no traffic.",
        f"{RUNBOOK}#shoppulsecanarymissing",
        SECONDS,
        age(lowest(_CANARY)),
        (CANARY_S // 2, YELLOW),
        (CANARY_S, RED),
        empty="no canary runs",
    ),
    _number(
        "Redis",
        "Whether the store of all figures answers. Without it nothing is shown, rather than something wrong.",
        f"{RUNBOOK}#shoppulseredisdown",
        "none",
        lowest(asked("redis_up")),
        words=YES_NO,
    ),
)

ALERTS = Panel(
    kind=Kind.ALERTS,
    title="Firing alerts",
    means="What fires or is about to, of whichever set of rules is active, the worst first. An empty list "
    "means nothing while the line above says that figures can't be trusted.",
    more=RUNBOOK,
    unit="none",
    queries=(),
    width=8,
    empty=NONE_NOW,
)


def session_funnel(title: str, means: str, width: int, **labels: str) -> Panel:
    """How far the sessions of one scope and window came."""
    return Panel(
        kind=Kind.BARS,
        title=title,
        means=means,
        more=f"{CONTRACT}#sessions",
        unit=COUNT,
        queries=tuple(
            Query(figure(measure.name, **labels), measure.name.removeprefix("sessions."))
            for measure in SESSION_STEPS
        ),
        width=width,
        low=0,
    )


NOW, USUAL, AT_MOST, PAGE = "now", "usual", "at most (Wilson bound)", "page below"
USUAL_LOOK = Look(BLUE, dashed=True, down_to=PAGE)


def conversion(title: str, means: str, width: int, **labels: str) -> Panel:
    """Sessions that went on to the chosen step against what is usual, of one scope and window."""
    usual = each("cohort_baseline_ratio", **labels)
    return Panel(
        kind=Kind.LINES,
        title=title,
        means=f"{means} Sessions first seen in the window, each with the same time to go on; so the window "
        "ends 15 minutes ago. It pages when even the upper bound lies below the lower edge of the band, in "
        "two windows at once; one point below it is chance.",
        more=f"{RUNBOOK}#shoppulseconversiondrop",
        unit=RATIO,
        queries=(
            Query(highest(ruled(NOW_RATIO, **labels)), NOW),
            Query(highest(ruled(UPPER, **labels)), AT_MOST),
            Query(usual, USUAL),
            Query(usual * DROP_TO, PAGE),
        ),
        looks={
            NOW: Look(GREEN),
            AT_MOST: Look(YELLOW, dashed=True),
            USUAL: USUAL_LOOK,
            PAGE: Look(RED, dashed=True),
        },
        width=width,
        low=0,
        empty="not enough traffic in this window, or no data yet",
    )


STATES_OF_WATCH: dict[float, tuple[str, str]] = {
    3: ("watched", GREEN),
    2: ("not enough traffic", YELLOW),
    1: ("no baseline yet", YELLOW),
    0: ("not current", RED),
}


def watch_states(title: str, width: int, **labels: str) -> Panel:
    """What the watch can say of each step and scope, over time."""
    codes = {"watched": 3, "not_enough_traffic": 2, "no_baseline": 1, "not_current": 0}
    states = [
        each("cohort_state", "scope", "step", state=state, **labels).equal(1) * code
        for state, code in codes.items()
    ]
    first, *others = states
    shown = first
    for other in others:
        shown = shown.otherwise(other)
    return Panel(
        kind=Kind.STATES,
        title=title,
        means="Whether a drop could be seen at all. Little traffic takes longer windows by itself; where not "
        "even a total stop would show within 6 hours nobody is paged, and it says so here.",
        more=f"{RUNBOOK}#shoppulseconversiondrop",
        unit="none",
        queries=(Query(shown, "{{scope}} {{step}}"),),
        width=width,
        words=STATES_OF_WATCH,
        empty=STALE,
    )


def silent_sources(width: int) -> Panel:
    """Which source has stopped sending, and when."""
    return Panel(
        kind=Kind.STATES,
        title="Sources",
        means="Which topic's source has stopped sending, and since when. While one that a figure needs is "
        "silent, business alerts are held back and its own alert speaks.",
        more=f"{RUNBOOK}#shoppulsesourcesilent",
        unit="none",
        queries=(Query(each("source_silent", "topic"), "{{topic}}"),),
        width=width,
        words={0: ("sends", GREEN), 1: ("silent", RED)},
        empty=STALE,
    )
