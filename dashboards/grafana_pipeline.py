"""The pipeline itself: how old the figures are, what is rejected, who writes, what the read service tells."""

from __future__ import annotations

from dashboards.alerts_pipeline import CANARY_S, LAG_RECORDS
from dashboards.grafana_panels import (
    AMOUNT,
    BLUE,
    CONTRACT,
    COUNT,
    GREEN,
    NONE_NOW,
    NUMBER,
    RATIO,
    RED,
    RUNBOOK,
    SECONDS,
    STALE,
    YELLOW,
    Board,
    Kind,
    Panel,
    Query,
    Row,
)
from dashboards.grafana_parts import CURRENCY, MARKS, SHOPS, TRUST, silent_sources
from dashboards.grafana_queries import age, asked, each, lowest, money, ruled, summed
from dashboards.promql import highest
from dashboards.recorded import CURRENT_S, VERDICTS
from dashboards.uids import PIPELINE

_PER_PLACE = ("topic", "partition")


def _ages(title: str, means: str, anchor: str, gauge: str, *steps: tuple[float, str]) -> Panel:
    """The age of a timestamp on each topic's slowest partition."""
    return Panel(
        kind=Kind.LINES,
        title=title,
        means=means,
        more=f"{RUNBOOK}#{anchor}",
        unit=SECONDS,
        queries=(Query(age(lowest(each(gauge, *_PER_PLACE), "topic")), "{{topic}}"),),
        steps=(GREEN, *steps),
        low=0,
        empty=STALE,
    )


def _by_partition(title: str, means: str, gauge: str, unit: str = COUNT) -> Panel:
    return Panel(
        kind=Kind.LINES,
        title=title,
        means=means,
        more="docs/engine.md",
        unit=unit,
        queries=(Query(each(gauge, "partition"), "partition {{partition}}"),),
        width=8,
        low=0,
        empty=STALE,
    )


def _of_an_hour(title: str, means: str, anchor: str, query: Query) -> Panel:
    return Panel(
        kind=Kind.LINES,
        title=title,
        means=f"{means} Records of the last hour at each point, by when they were read.",
        more=f"{RUNBOOK}#{anchor}",
        unit=COUNT,
        queries=(query,),
        width=8,
        low=0,
        empty=NONE_NOW,
    )


_FRESH = (
    _ages(
        "Age of watermarks",
        "How far behind the clock each topic is counted, its slowest partition. One topic alone: its "
        "source or "
        "a partition. All alike: the worker, Redis or Kafka.",
        "shoppulsestale",
        "watermark_timestamp_seconds",
        (60, YELLOW),
        (CURRENT_S, RED),
    ),
    _ages(
        "Age of the newest record",
        "Since the newest record that was read of each topic, its quietest partition. A quiet topic is old "
        "here and well: only its usual rate, or heartbeats, tell silence from quiet.",
        "shoppulsesourcesilent",
        "ingest_timestamp_seconds",
    ),
    _ages(
        "Age of source heartbeats",
        "Since each source last said that it lives. Sources need not send heartbeats; those that do not are "
        "not shown, and their silence is judged by their usual rate.",
        "shoppulsesourcesilent",
        "source_heartbeat_timestamp_seconds",
        (30, RED),
    ),
    _ages(
        "Age of canaries",
        "Since the newest canary that came the whole way, by topic. It grows with the watermarks when all "
        "stands still; alone, when canaries are not sent or are lost on their way.",
        "shoppulsecanarymissing",
        "canary_timestamp_seconds",
        (CANARY_S, RED),
    ),
    Panel(
        kind=Kind.LINES,
        title="Lag",
        means="Records in Kafka that are in no figure yet, by topic, as workers told when they last wrote: "
        "of one that hangs it stays as it was. What counts is whether it falls: after a restart it may be "
        "large and shrink by thousands a second.",
        more=f"{RUNBOOK}#shoppulselaggrowing",
        unit=COUNT,
        queries=(Query(summed("lag_records", ("topic",), ("partition",)), "{{topic}}"),),
        steps=(GREEN, (LAG_RECORDS, RED)),
        low=0,
        empty=STALE,
    ),
    Panel(
        kind=Kind.LINES,
        title="Lag by partition",
        means="The same by partition number: one that stands out has no worker, or a subject that sends far "
        "more than others.",
        more="docs/engine.md",
        unit=COUNT,
        queries=(Query(summed("lag_records", ("partition",), ("topic",)), "partition {{partition}}"),),
        low=0,
        empty=STALE,
    ),
    Panel(
        kind=Kind.LINES,
        title="Completeness by window",
        means="Part of each window that is counted, over all topic-partitions. A long window forgives a "
        "short "
        "stop that the short one shows.",
        more=f"{CONTRACT}#answers",
        unit=RATIO,
        queries=(Query(each("completeness", "window"), "{{window}}"),),
        low=0,
        high=1,
        empty=STALE,
    ),
    silent_sources(12),
)
_VERDICTS = (
    _of_an_hour(
        "Verdicts",
        "What became of every record: each has exactly one verdict, so they add up to what was read.",
        "shoppulsedeadletters",
        Query(highest(ruled(VERDICTS), "verdict"), "{{verdict}}"),
    ),
    _of_an_hour(
        "Dead letters by reason",
        "Records that could not be read or broke a rule, with their reason. `shop-pulse dead-letters` shows "
        "them, `shop-pulse replay --dead-letters` sends them again.",
        "shoppulsedeadletters",
        Query(
            summed("records_last_hour", ("reason",), ("topic", "verdict"), verdict="dead_letter"),
            "{{reason}}",
        ),
    ),
    _of_an_hour(
        "Dead letters by topic",
        "The same by topic: whose producer it is.",
        "shoppulsetopicdeadletters",
        Query(
            summed("records_last_hour", ("topic",), ("verdict", "reason"), verdict="dead_letter"), "{{topic}}"
        ),
    ),
    _of_an_hour(
        "Late records by topic",
        "Records that were older than the lateness limit when they came: in the late topic and in no figure. "
        "A backlog that a source sends after a stop, or a wrong clock.",
        "shoppulsetopiclate",
        Query(summed("records_last_hour", ("topic",), ("verdict", "reason"), verdict="late"), "{{topic}}"),
    ),
    _of_an_hour(
        "Misplaced records",
        "Records whose key belongs to another partition: their producer partitions otherwise. Money is right "
        "all the same; sessions, users and duplicates of these are not.",
        "shoppulsemisplaced",
        Query(each("misplaced_records_last_hour", "topic"), "{{topic}}"),
    ),
    _of_an_hour(
        "Events of sessions that are gone",
        "Events of a session that began more than a day before: in no funnel. Ids of sessions that live for "
        "days belong to a client that never makes new ones.",
        "shoppulsedeadletters",
        Query(each("sessions_expired_last_hour", "topic"), "{{topic}}"),
    ),
    Panel(
        kind=Kind.LINES,
        title="Late GMV",
        means="In $currency: value of purchases of the last hour that came more than 7 days late, and so are "
        "in no figure. They lie in the late topic.",
        more=f"{RUNBOOK}#shoppulselatemoney",
        unit=AMOUNT,
        queries=(Query(money("late_gmv_last_hour_minor"), "late"),),
        width=8,
        low=0,
        empty=NONE_NOW,
    ),
)
_WRITERS = (
    _by_partition(
        "Time of a write",
        "How long the last guarded write of each partition took in Redis. Above a tenth of a second lag "
        "grows "
        "with any burst: look at Redis' disk and at the number of partitions per Redis.",
        "write_duration_seconds",
        SECONDS,
    ),
    Panel(
        kind=Kind.LINES,
        title="Since the last write",
        means="Seconds since each partition was last written, by its worker's clock. Workers write at least "
        "every second, also when nothing comes; a partition that is not written has no worker.",
        more=f"{RUNBOOK}#shoppulsestale",
        unit=SECONDS,
        queries=(Query(age(each("last_write_timestamp_seconds", "partition")), "partition {{partition}}"),),
        steps=(GREEN, (15, RED)),
        width=8,
        low=0,
        empty=STALE,
    ),
    _by_partition(
        "Writes",
        "Guarded writes of each partition's worker since it began: a line that is level stands still, one "
        "that falls back to nothing is a new worker.",
        "writes",
    ),
    _by_partition(
        "Refused writes",
        "Writes that Redis refused because another worker wrote: a worker that came back after its "
        "partitions "
        "had moved. Nothing is counted twice; a line that climbs on and on is two workers that fight.",
        "writes_refused",
    ),
    _by_partition(
        "Rebalances",
        "Rebalances that each partition's worker has been through. A step at a deployment is right; steps "
        "without one are workers that Kafka takes for dead.",
        "rebalances",
    ),
    _by_partition(
        "Takeovers",
        "Times that a worker loaded the partition's state: after a rebalance or a refused write.",
        "takeovers",
    ),
    Panel(
        kind=Kind.TABLE,
        title="Who writes",
        means="Which worker writes which partition. A name that changes without a deployment is a worker "
        "that died, or "
        "that Kafka took for dead.",
        more="docs/engine.md",
        unit=NUMBER,
        queries=(Query(each("owner_info", "partition", "owner"), "Writes"),),
        columns={"partition": "Partition", "owner": "Worker"},
        width=12,
        empty=STALE,
    ),
    Panel(
        kind=Kind.STATES,
        title="Capped kinds",
        means="Kinds of scope with more values than are counted apart, in the last 5 minutes: what is "
        "above is "
        "counted as other, and ratios of the kind are withheld. Money is never capped.",
        more=f"{RUNBOOK}#shoppulsetrafficcapped",
        unit=NUMBER,
        queries=(Query(each("capped", "scope_kind", window="5m"), "{{scope_kind}}"),),
        words={0: ("whole", GREEN), 1: ("capped", YELLOW)},
        empty=STALE,
    ),
)
_READERS = (
    Panel(
        kind=Kind.TABLE,
        title="Read services",
        means="Which read services answer Prometheus, and their version. None: nothing else here can be "
        "known.",
        more=f"{RUNBOOK}#shoppulsemetricsabsent",
        unit=NUMBER,
        queries=(Query(each("build_info", "instance", "version"), "Answers"),),
        columns={"instance": "Address", "version": "Version"},
        width=8,
        empty="no read service answers",
    ),
    Panel(
        kind=Kind.STATES,
        title="State of the figures",
        means="The worst that could be said of each window: a silent source, stale, open, or final. Open is "
        "right for windows that end now.",
        more=f"{CONTRACT}#answers",
        unit=NUMBER,
        queries=(
            Query(
                (each("state", "window", state="source_silent").equal(1) * 0)
                .otherwise(each("state", "window", state="stale").equal(1) * 1)
                .otherwise(each("state", "window", state="open").equal(1) * 2)
                .otherwise(each("state", "window", state="final").equal(1) * 3),
                "{{window}}",
            ),
        ),
        words={
            0: ("source silent", RED),
            1: ("stale", RED),
            2: ("open", GREEN),
            3: ("final", BLUE),
        },
        width=8,
        empty=STALE,
    ),
    Panel(
        kind=Kind.LINES,
        title="Open streams",
        means="Pages that are kept current by a stream, and the different questions they ask: a question is "
        "read once, however many watch it.",
        more="docs/engine.md",
        unit=COUNT,
        queries=(
            Query(asked("stream_clients"), "streams at {{instance}}"),
            Query(asked("stream_questions"), "questions at {{instance}}"),
        ),
        width=8,
        low=0,
        empty=STALE,
    ),
    Panel(
        kind=Kind.LINES,
        title="Streams refused or cut off",
        means="Streams that were refused because too many were open, and those cut off because a client did "
        "not read, since the read service began.",
        more="docs/engine.md",
        unit=COUNT,
        queries=(
            Query(asked("stream_refused_total"), "refused at {{instance}}"),
            Query(asked("stream_dropped_total"), "cut off at {{instance}}"),
        ),
        low=0,
        empty=STALE,
    ),
    Panel(
        kind=Kind.LINES,
        title="Messages to streams",
        means="Messages written to streams a second. Each stream gets at most one a second.",
        more="docs/engine.md",
        unit="cps",
        queries=(Query(asked("stream_messages_total").over("rate", "5m"), "{{instance}}"),),
        low=0,
        empty=STALE,
    ),
)

BOARD = Board(
    uid=PIPELINE,
    title="Shop Pulse: pipeline",
    means="How old the figures are, what is rejected, who writes, and what the read service tells.",
    since="now-3h",
    variables=(*SHOPS, CURRENCY),
    rows=(
        Row("Can I trust this?", TRUST),
        Row("How current?", _FRESH),
        Row("What became of the records?", _VERDICTS),
        Row("Who counts?", _WRITERS),
        Row("Who tells?", _READERS),
    ),
    marks=MARKS,
)
