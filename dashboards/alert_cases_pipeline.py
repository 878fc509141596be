"""One case for each alert about the pipeline, as in `alert_cases`."""

from __future__ import annotations

from dashboards.alert_case import Case, Series, moving, series

_BEHIND = moving("as_of_timestamp_seconds", 540, window="5m")
_LAG = {"topic": "views", "partition": "0"}
_USD = {"currency": "USD"}
_WORKER = {"partition": "0"}
_BUILD = {"version": "1", "instance": "a:1", "job": "shop-pulse"}

_WHOLE = {"scope_kind": "all", "scope": "", "step": "purchase_per_view"}
_TIKTOK = {"scope_kind": "platform", "scope": "tiktok", "step": "purchase_per_view"}


def _watch(well: float | None, bad: float | None, **step: str) -> tuple[Series, ...]:
    """The states of a step: 1 where it can be judged, 0 where the watch finds nothing."""
    return (
        series("cohort_state", well, bad, **step, state="watched"),
        series(
            "cohort_state",
            None if well is None else 1 - well,
            None if bad is None else 1 - bad,
            **step,
            state="not_current",
        ),
    )


_STATE = (
    Case(
        alert="ShopPulseStale",
        series=(
            _BEHIND,
            series("lag_records", 0, 12_345, **_LAG),
            moving("last_write_timestamp_seconds", "600+60", **_WORKER),
        ),
        summary="Figures are not current: the pipeline is behind",
        description=(
            "Shop Pulse does not know what happens now. This says nothing about sales."
            " Figures are as of 36m 0s ago. Records that wait in Kafka: 12345."
        ),
        quiet={
            "Redis is down, which has a page of its own": (
                series("as_of_timestamp_seconds", None, None, window="5m"),
                series("redis_up", 0, 0),
            )
        },
    ),
    Case(
        alert="ShopPulseStale",
        series=(
            _BEHIND,
            series("lag_records", 0, 0, **_LAG),
            moving("last_write_timestamp_seconds", 540, **_WORKER),
        ),
        summary="Figures are not current: the pipeline is behind",
        description=(
            "Shop Pulse does not know what happens now. This says nothing about sales."
            " Figures are as of 36m 0s ago."
            " No worker has written some partition for 36m 0s, so what waits is not known."
        ),
    ),
    Case(
        alert="ShopPulseNotWatched",
        series=(*_watch(1, 0, **_WHOLE), *_watch(1, 0, **_TIKTOK)),
        summary="Figures are current, but nobody judges them",
        description=(
            "The watch of the read service finds nothing:"
            " no alert on conversion, payments, GMV or refunds fires."
        ),
        quiet={
            "one step can be judged": _watch(1, 1, **_TIKTOK),
            "figures are old, which has a page of its own": (_BEHIND,),
            "no sessions are kept": (*_watch(None, None, **_WHOLE), *_watch(None, None, **_TIKTOK)),
        },
    ),
    Case(
        alert="ShopPulseMetricsAbsent",
        series=(series("build_info", 1, None, **_BUILD),),
        summary="The read service tells nothing: no metrics",
        description="Prometheus gets no metrics of Shop Pulse: no other alert of it can fire.",
        quiet={
            "another read service answers": (series("build_info", 1, 1, **{**_BUILD, "instance": "b:1"}),)
        },
    ),
    Case(
        alert="ShopPulseMetricsAbsent",
        series=(),
        summary="The read service tells nothing: no metrics",
        description="Prometheus gets no metrics of Shop Pulse: no other alert of it can fire.",
        of_a_shop=False,
    ),
    Case(
        alert="ShopPulseRedisDown",
        series=(series("redis_up", 1, 0),),
        summary="Redis does not answer",
        description=(
            "There are no figures until it does. Nothing is lost: the worker waits, Kafka keeps the events."
        ),
    ),
    Case(
        alert="ShopPulseSourceSilent",
        series=(series("source_silent", 0, 1, topic="purchases"),),
        labels={"topic": "purchases"},
        summary="Nothing comes from the source of purchases",
        description=(
            "Whoever sends this topic has stopped. Figures that need it are too low until it is back."
        ),
    ),
    Case(
        alert="ShopPulseSourceFlapping",
        # One minute in five: too short for a page of its own, and nothing on the shop can page meanwhile.
        series=(series("source_silent", 0, (0, 0, 1, 0, 0), topic="carts"),),
        labels={"topic": "carts"},
        summary="The source of carts falls silent again and again",
        description=(
            "After each silence, however short, alerts about the shop keep quiet for 5m."
            " Silences in the last half hour: 6."
        ),
        quiet={
            "once, for long": (series("source_silent", 0, 1, topic="carts"),),
            "seldom": (series("source_silent", 0, (*[0] * 15, 1), topic="carts"),),
        },
    ),
    Case(
        alert="ShopPulseCanaryMissing",
        series=(
            moving("canary_timestamp_seconds", 540, topic="views", partition="0"),
            moving("canary_timestamp_seconds", "600+60", topic="views", partition="1"),
        ),
        labels={"topic": "views"},
        summary="Canaries of views do not arrive in the figures",
        description=(
            "Figures say that they are current, but a test event of the last minute is not in them."
            " The oldest partition's last one is 36m 0s old."
        ),
        quiet={"figures are old for all to see": (_BEHIND,)},
    ),
)

_DEAD = {"topic": "views", "verdict": "dead_letter"}
_ACCEPTED = {"topic": "views", "verdict": "accepted", "reason": ""}


def _of_purchases(verdict: str, bad: int, reason: str = "", accepted: int = 188) -> tuple[Series, ...]:
    """Orders beside so many views that their own share of all records is nothing."""
    orders = {"topic": "purchases", "verdict": verdict, "reason": reason}
    return (
        series("records_last_hour", 90_000, 90_000, **_ACCEPTED),
        series("records_last_hour", accepted, accepted, **{**_ACCEPTED, "topic": "purchases"}),
        series("records_last_hour", 0, bad, **orders),
    )


_RECORDS = (
    Case(
        alert="ShopPulseLagGrowing",
        series=(series("lag_records", 100, "20000+500", **_LAG),),
        summary="Records come faster than they are counted",
        description=(
            "The worker falls behind; at this pace figures will soon be stale."
            " Records that wait in Kafka: 37500."
        ),
        quiet={"it catches up": (series("lag_records", 60_000, "60000-500", **_LAG),)},
    ),
    Case(
        alert="ShopPulseDeadLetters",
        series=(
            series("records_last_hour", 990, 990, **_ACCEPTED),
            series("records_last_hour", 0, 15, **_DEAD, reason="bad_field"),
            series("records_last_hour", 0, 5, **_DEAD, reason="not_json"),
        ),
        summary="Events are rejected",
        description=(
            "They are in no figure; their bytes lie in the dead-letter topic."
            " 20 in the last hour. Most: bad_field in views, 15."
        ),
        quiet={
            "less than one in a hundred": (series("records_last_hour", 9_900, 9_900, **_ACCEPTED),),
            "a handful": (
                series("records_last_hour", 0, 4, **_DEAD, reason="bad_field"),
                series("records_last_hour", 10, 10, **_ACCEPTED),
            ),
        },
    ),
    Case(
        alert="ShopPulseTopicDeadLetters",
        series=_of_purchases("dead_letter", 12, "bad_field"),
        labels={"topic": "purchases"},
        summary="Events of purchases are rejected",
        description=(
            "They are in no figure; their bytes lie in the dead-letter topic."
            " 12 in the last hour, 6% of what came. Most: bad_field, 12."
        ),
        quiet={
            "a handful": _of_purchases("dead_letter", 9, "bad_field"),
            "one in twenty": _of_purchases("dead_letter", 12, "bad_field", accepted=228),
        },
    ),
    Case(
        alert="ShopPulseTopicDeadLetters",
        series=(
            series("records_last_hour", 1_000, 800, **_ACCEPTED),
            series("records_last_hour", 0, 150, **_DEAD, reason="bad_field"),
            series("records_last_hour", 0, 50, **_DEAD, reason="future_time"),
        ),
        labels={"topic": "views"},
        summary="Events of views are rejected",
        description=(
            "They are in no figure; their bytes lie in the dead-letter topic."
            " 200 in the last hour, 20% of what came. Most: bad_field, 150."
        ),
        quiet={
            "as many as of orders would be news": (
                series("records_last_hour", 0, 49, **_DEAD, reason="bad_field"),
            )
        },
    ),
    Case(
        alert="ShopPulseTopicLate",
        series=_of_purchases("late", 12),
        labels={"topic": "purchases"},
        summary="Events of purchases come too late to be counted",
        description=(
            "They are older than the lateness limit: in the late topic, and in no figure."
            " 12 in the last hour, 6% of what came."
        ),
        quiet={"a handful": _of_purchases("late", 9)},
    ),
    Case(
        alert="ShopPulseMisplaced",
        series=(series("misplaced_records_last_hour", 0, 7, topic="carts"),),
        labels={"topic": "carts"},
        summary="Events of carts lie in the wrong partition",
        description=(
            "Their producer partitions otherwise: sessions, users and duplicates of them are not exact."
            " 7 in the last hour."
        ),
    ),
    Case(
        alert="ShopPulseLateMoney",
        series=(
            series("late_gmv_last_hour_minor", 0, 2_000, **_USD),
            series("gmv_last_hour_minor", 100_000, 100_000, **_USD, scope_kind="all", scope=""),
        ),
        labels=_USD,
        summary="Purchases come too late to be counted (USD)",
        description=(
            "Orders older than the lateness limit are in the late topic and in no figure."
            " Their value is 2% of the last hour's GMV."
        ),
        quiet={"a little": (series("late_gmv_last_hour_minor", 0, 499, **_USD),)},
    ),
    Case(
        alert="ShopPulseTrafficCapped",
        series=(series("capped", 0, 1, scope_kind="product", window="5m"),),
        labels={"scope_kind": "product"},
        summary="More values of product than are counted apart",
        description=(
            "What is above the cap is counted as other; ratios of this kind are withheld, money is whole."
        ),
    ),
    Case(
        alert="ShopPulseWatchdog",
        series=(),
        summary="Alerts are evaluated and sent",
        description="It always fires. Whoever hears nothing of it has no alerting.",
        of_a_shop=False,
    ),
)

PIPELINE_CASES = (*_STATE, *_RECORDS)
