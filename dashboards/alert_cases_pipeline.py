"""One case for each alert about the pipeline, as in `alert_cases`."""

from __future__ import annotations

from dashboards.alert_case import Case, moving, series

_BEHIND = moving("as_of_timestamp_seconds", 540, window="5m")
_LAG = {"topic": "views", "partition": "0"}
_USD = {"currency": "USD"}
_BUILD = {"version": "1", "instance": "a:1", "job": "shop-pulse"}

_STATE = (
    Case(
        alert="ShopPulseStale",
        series=(_BEHIND, series("lag_records", 0, 12_345, **_LAG)),
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
