"""Alerts about what looks at the shop: figures that are old, missing, incomplete or refused.

They stand beside the alerts about the shop and have no guard: when one of these holds, those are silent.
"""

from __future__ import annotations

from dashboards.alert import About, Alert, Fact, Severity
from dashboards.promql import TIME, Aggregation, Call, Expr, Metric, constant, highest, total
from dashboards.recorded import (
    AS_OF_AGE,
    CURRENT_S,
    LAG,
    SHOP,
    TOPIC_VERDICTS,
    TRUSTED,
    TRUSTED_FOR,
    VERDICTS,
    WATCHED,
    gauge,
)
from dashboards.uids import OVERVIEW, PIPELINE

CANARY_S = 60
LAG_RECORDS = 10_000
# Workers write every second, and tell lag when they write: of one that hangs it stays as it was.
_WRITTEN_S = 60
# Silences of a source within the time below that make it one that flaps, and the time.
_SILENCES = 3
_FLAPPING_IN = "30m"
_DEAD_PART = 0.01
_DEAD_MIN = 10
# Bytes that nobody can read come from a broken producer, not from a shopper: many at once are news.
_UNREADABLE = "~not_json|too_large"
_UNREADABLE_MIN = 100
_LATE_PART = 0.005
# Of one topic: a small one that is refused as a whole is nothing beside the views.
_TOPIC_PART = 0.05
_TOPIC_MIN = 100
_ORDERS_TOPIC = "purchases"
_ORDERS_MIN = 10
_REMEMBERED = "1d"

_CURRENCY = (*SHOP, "currency")
_TOPIC = (*SHOP, "topic")

_BUILD = gauge("build_info")
_REDIS_ANSWERS = highest(gauge("redis_up"), *SHOP).equal(1)
_AS_OF_KNOWN = highest(gauge("as_of_timestamp_seconds"), *SHOP)
_GONE = highest(_BUILD.over("last_over_time", _REMEMBERED), *SHOP).unless(highest(_BUILD, *SHOP), *SHOP)
_CANARY_AGE = TIME - Aggregation("min", _TOPIC, gauge("canary_timestamp_seconds"))
_WRITTEN_AGE = TIME - Aggregation("min", SHOP, gauge("last_write_timestamp_seconds"))
_WATCHED_SILENT = gauge("source_silent", **WATCHED)
# Each silence is told twice: by its beginning and by its end.
_TURNS = highest(_WATCHED_SILENT.over("changes", _FLAPPING_IN), *_TOPIC)


def _told(**labels: str) -> Expr:
    """Whether the watch tells such a state of anything."""
    return highest(gauge("cohort_state", **labels), *SHOP).equal(1)


_STATE = (
    Alert(
        name="ShopPulseStale",
        severity=Severity.CRITICAL,
        about=About.PIPELINE,
        labels=SHOP,
        expr=AS_OF_AGE.series.above(CURRENT_S).otherwise(_REDIS_ANSWERS.unless(_AS_OF_KNOWN, *SHOP)),
        hold="1m",
        summary="Figures are not current: the pipeline is behind",
        text="Shop Pulse does not know what happens now. This says nothing about sales.",
        facts=(
            Fact(expr=AS_OF_AGE.series, sentence="Figures are as of {duration} ago.", by=SHOP),
            Fact(
                expr=LAG.series.where(_WRITTEN_AGE.below(_WRITTEN_S), *SHOP),
                sentence="Records that wait in Kafka: {count}.",
                by=SHOP,
            ),
            Fact(
                expr=_WRITTEN_AGE.at_least(_WRITTEN_S),
                sentence="No worker has written some partition for {duration}, so what waits is not known.",
                by=SHOP,
            ),
        ),
        dashboard=OVERVIEW,
        panel="As of",
    ),
    Alert(
        name="ShopPulseNotWatched",
        severity=Severity.CRITICAL,
        about=About.PIPELINE,
        labels=SHOP,
        # Where figures are kept that nobody can watch (no sessions), no state is told, and this is quiet.
        expr=TRUSTED.series.over("min_over_time", TRUSTED_FOR)
        .equal(1)
        .where(_told(state="not_current"), *SHOP)
        .unless(_told(state="!~not_current"), *SHOP),
        hold="5m",
        summary="Figures are current, but nobody judges them",
        text="The watch of the read service finds nothing: no alert on conversion, payments, GMV or refunds"
        " fires.",
        dashboard=OVERVIEW,
        panel="What can be watched",
    ),
    Alert(
        name="ShopPulseMetricsAbsent",
        severity=Severity.CRITICAL,
        about=About.PIPELINE,
        labels=SHOP,
        expr=_GONE.otherwise(_BUILD.over("absent_over_time", _REMEMBERED)),
        hold="2m",
        summary="The read service tells nothing: no metrics",
        text="Prometheus gets no metrics of Shop Pulse: no other alert of it can fire.",
        dashboard=PIPELINE,
        panel="Read services",
    ),
    Alert(
        name="ShopPulseRedisDown",
        severity=Severity.CRITICAL,
        about=About.PIPELINE,
        labels=SHOP,
        expr=(1 - highest(gauge("redis_up"), *SHOP)).above(0),
        hold="1m",
        summary="Redis does not answer",
        text="There are no figures until it does. Nothing is lost: the worker waits, Kafka keeps the events.",
        dashboard=PIPELINE,
        panel="Redis",
    ),
    Alert(
        name="ShopPulseSourceSilent",
        severity=Severity.CRITICAL,
        about=About.PIPELINE,
        labels=_TOPIC,
        expr=highest(gauge("source_silent"), *_TOPIC).above(0),
        hold="1m",
        summary="Nothing comes from the source of {topic}",
        text="Whoever sends this topic has stopped. Figures that need it are too low until it is back.",
        dashboard=OVERVIEW,
        panel="Silent sources",
    ),
    Alert(
        name="ShopPulseSourceFlapping",
        severity=Severity.WARNING,
        about=About.PIPELINE,
        labels=_TOPIC,
        expr=_TURNS.at_least(2 * _SILENCES),
        hold="10m",
        summary="The source of {topic} falls silent again and again",
        text=f"After each silence, however short, alerts about the shop keep quiet for {TRUSTED_FOR}.",
        facts=(
            Fact(
                expr=Call("ceil", (_TURNS / 2,)),
                sentence="Silences in the last half hour: {count}.",
                by=_TOPIC,
            ),
        ),
        dashboard=PIPELINE,
        panel="Sources",
    ),
    Alert(
        name="ShopPulseCanaryMissing",
        severity=Severity.CRITICAL,
        about=About.PIPELINE,
        labels=_TOPIC,
        # While figures are old for all to see, a canary that is old too says nothing new.
        expr=_CANARY_AGE.above(CANARY_S).unless(AS_OF_AGE.series.above(CANARY_S), *SHOP),
        hold="1m",
        summary="Canaries of {topic} do not arrive in the figures",
        text="Figures say that they are current, but a test event of the last minute is not in them.",
        facts=(
            Fact(
                expr=_CANARY_AGE,
                sentence="The oldest partition's last one is {duration} old.",
                by=_TOPIC,
            ),
        ),
        dashboard=OVERVIEW,
        panel="Canary",
    ),
)

_DEAD = Metric(VERDICTS.name, {"verdict": "dead_letter"})


def _dead(reason: str = "") -> Expr:
    labels = {"verdict": "dead_letter", **({"reason": reason} if reason else {})}
    return highest(gauge("records_last_hour", **labels), *_TOPIC, "reason")


_MANY_DEAD = total(_DEAD, *SHOP).at_least(_DEAD_MIN)
_TOO_MANY_DEAD = _MANY_DEAD.where(
    total(_DEAD, *SHOP).above(total(VERDICTS.series, *SHOP) * _DEAD_PART), *SHOP
)


def _of_topic(**labels: str) -> Expr:
    return total(Metric(TOPIC_VERDICTS.name, labels), *_TOPIC)


def _much_of_topic(verdict: str) -> Expr:
    """Where a topic has much of a verdict, in number and in part."""
    many = _of_topic(verdict=verdict, topic=f"!~{_ORDERS_TOPIC}").at_least(_TOPIC_MIN)
    orders = _of_topic(verdict=verdict, topic=_ORDERS_TOPIC).at_least(_ORDERS_MIN)
    return many.otherwise(orders).above(_of_topic() * _TOPIC_PART)


def _how_much_of_topic(verdict: str) -> tuple[Fact, ...]:
    found = _of_topic(verdict=verdict)
    return (
        Fact(expr=found, sentence="{count} in the last hour,", by=_TOPIC),
        Fact(expr=found / _of_topic(), sentence="{percent} of what came.", by=_TOPIC),
    )


_MISPLACED = highest(gauge("misplaced_records_last_hour"), *_TOPIC)
_LATE = highest(gauge("late_gmv_last_hour_minor"), *_CURRENCY)
_GMV = highest(gauge("gmv_last_hour_minor", scope_kind="all"), *_CURRENCY)

_RECORDS = (
    Alert(
        name="ShopPulseLagGrowing",
        severity=Severity.WARNING,
        about=About.PIPELINE,
        labels=SHOP,
        expr=LAG.series.above(LAG_RECORDS).where(
            total(gauge("lag_records").over("deriv", "10m"), *SHOP).above(0), *SHOP
        ),
        hold="5m",
        summary="Records come faster than they are counted",
        text="The worker falls behind; at this pace figures will soon be stale.",
        facts=(Fact(expr=LAG.series, sentence="Records that wait in Kafka: {count}.", by=SHOP),),
        dashboard=PIPELINE,
        panel="Lag",
    ),
    Alert(
        name="ShopPulseDeadLetters",
        severity=Severity.WARNING,
        about=About.PIPELINE,
        labels=SHOP,
        expr=_TOO_MANY_DEAD.otherwise(total(_dead(_UNREADABLE), *SHOP).at_least(_UNREADABLE_MIN)),
        hold="1m",
        summary="Events are rejected",
        text="They are in no figure; their bytes lie in the dead-letter topic.",
        facts=(
            Fact(expr=total(_DEAD, *SHOP), sentence="{count} in the last hour.", by=SHOP),
            Fact(
                expr=Aggregation("topk", SHOP, _dead(), 1),
                sentence="Most: {.reason} in {.topic}, {count}.",
                by=SHOP,
            ),
        ),
        dashboard=PIPELINE,
        panel="Dead letters by reason",
        watches=("quality.dead_letters",),
    ),
    Alert(
        name="ShopPulseTopicDeadLetters",
        severity=Severity.WARNING,
        about=About.PIPELINE,
        labels=_TOPIC,
        expr=_much_of_topic("dead_letter"),
        hold="1m",
        summary="Events of {topic} are rejected",
        text="They are in no figure; their bytes lie in the dead-letter topic.",
        facts=(
            *_how_much_of_topic("dead_letter"),
            Fact(
                expr=Aggregation("topk", _TOPIC, _dead(), 1), sentence="Most: {.reason}, {count}.", by=_TOPIC
            ),
        ),
        dashboard=PIPELINE,
        panel="Dead letters by topic",
        watches=("quality.dead_letters",),
    ),
    Alert(
        name="ShopPulseTopicLate",
        severity=Severity.WARNING,
        about=About.PIPELINE,
        labels=_TOPIC,
        expr=_much_of_topic("late"),
        hold="1m",
        summary="Events of {topic} come too late to be counted",
        text="They are older than the lateness limit: in the late topic, and in no figure.",
        facts=_how_much_of_topic("late"),
        dashboard=PIPELINE,
        panel="Late records by topic",
        watches=("quality.late",),
    ),
    Alert(
        name="ShopPulseMisplaced",
        severity=Severity.WARNING,
        about=About.PIPELINE,
        labels=_TOPIC,
        expr=_MISPLACED.above(0),
        hold="5m",
        summary="Events of {topic} lie in the wrong partition",
        text="Their producer partitions otherwise: sessions, users and duplicates of them are not exact.",
        facts=(Fact(expr=_MISPLACED, sentence="{count} in the last hour.", by=_TOPIC),),
        dashboard=PIPELINE,
        panel="Misplaced records",
        watches=("quality.misplaced",),
    ),
    Alert(
        name="ShopPulseLateMoney",
        severity=Severity.WARNING,
        about=About.PIPELINE,
        labels=_CURRENCY,
        # Also where nobody knows the GMV: a currency that came late only, a watch that judges nothing.
        expr=_LATE.above(0).unless((_GMV * _LATE_PART).above(_LATE), *_CURRENCY),
        hold="10m",
        summary="Purchases come too late to be counted ({currency})",
        text="Orders older than the lateness limit are in the late topic and in no figure.",
        facts=(
            Fact(
                expr=_LATE / _GMV.above(0),
                sentence="Their value is {percent} of the last hour's GMV.",
                by=_CURRENCY,
            ),
        ),
        dashboard=PIPELINE,
        panel="Late GMV",
        watches=("quality.late",),
    ),
    Alert(
        name="ShopPulseTrafficCapped",
        severity=Severity.WARNING,
        about=About.PIPELINE,
        labels=(*SHOP, "scope_kind"),
        expr=highest(gauge("capped", window="5m"), *SHOP, "scope_kind").above(0),
        hold="5m",
        summary="More values of {scope_kind} than are counted apart",
        text="What is above the cap is counted as other; ratios of this kind are withheld, money is whole.",
        dashboard=PIPELINE,
        panel="Capped kinds",
    ),
    Alert(
        name="ShopPulseWatchdog",
        severity=Severity.NONE,
        about=About.PIPELINE,
        labels=(),
        expr=constant(1),
        hold="0s",
        summary="Alerts are evaluated and sent",
        text="It always fires. Whoever hears nothing of it has no alerting.",
        dashboard=OVERVIEW,
        panel="Firing alerts",
    ),
)

PIPELINE_ALERTS = (*_STATE, *_RECORDS)
