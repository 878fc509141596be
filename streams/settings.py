"""Every setting of Shop Pulse, read once from the environment (`SHOP_PULSE_*`).

It stands before the way of an event: a command loads a `Settings` and hands it on; nothing else reads the
environment. A name that does not exist is an error, because a setting with a typing error that is silently
left out is found only when its effect is missed.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from streams.errors import PulseError

PREFIX = "SHOP_PULSE_"
# So much longer than minutes are kept it takes, at least, until commission is final.
HALF_A_DAY_MS = 43_200_000
# By what a client is to be told: a name alone does not say whether a cluster is behind it.
CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
REDIS_SCHEMES = frozenset({"redis", "rediss", "unix", *CLUSTER_SCHEMES})
DEFAULT_PLATFORMS = ("tiktok", "douyin", "kuaishou", "wechat", "taobao", "instagram", "youtube", "other")


def _text(default: str, doc: str, *, choices: tuple[str, ...] = (), secret: bool = False) -> str:
    """A setting that is text; with `choices` only one of these."""
    return dataclasses.field(default=default, repr=not secret, metadata={"doc": doc, "choices": choices})


def _count(default: int, doc: str, *, low: int = 1, high: int = 2**53 - 1) -> int:
    """A setting that is a whole number within [low, high]."""
    return dataclasses.field(default=default, metadata={"doc": doc, "low": low, "high": high})


def _names(default: tuple[str, ...], doc: str) -> tuple[str, ...]:
    """A setting that is a list of names, separated by commas in the environment."""
    return dataclasses.field(default=default, metadata={"doc": doc})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an operator may change. The comment of each is its line in docs/settings.md."""

    kafka: str = _text("localhost:9092", "Kafka bootstrap servers, `host:port`, separated by commas")
    redis: str = _text(
        "redis://localhost:6379/0",
        "URL of the Redis that holds all figures and offsets; `redis+cluster://host:port` (with TLS "
        "`rediss+cluster://`) names any node of a Redis Cluster",
    )
    redis_prefix: str = _text(
        "sp", "first part of every Redis key; rebuilds count under `PREFIX.1`, `PREFIX.2`, …"
    )
    topic_prefix: str = _text("shop.", "first part of every Kafka topic name")
    partitions: int = _count(4, "partitions of every topic; equal for all", high=10_000)
    consumer_group: str = _text("shop-pulse", "Kafka consumer group of the workers")
    api_host: str = _text("127.0.0.1", "address of the read service; any other than loopback needs a token")
    api_port: int = _count(8080, "port of the read service; 0 takes a free one", low=0, high=65_535)
    public_url: str = _text(
        "", "address of the read service in links of alerts; empty: its own host and port"
    )
    alerts: str = _text(
        "prometheus",
        "which set of alert rules is active: Prometheus', Grafana's, or none",
        choices=("prometheus", "grafana", "none"),
    )
    token: str = _text("", "secret that the read service asks for (`Authorization: Bearer`)", secret=True)
    platforms: tuple[str, ...] = _names(
        DEFAULT_PLATFORMS, "platforms that are told apart, separated by commas; all else becomes `other`"
    )
    figures: str = _text(
        "all", "figures that the worker keeps; `funnel-gmv` is the bench's set", choices=("all", "funnel-gmv")
    )
    flush_interval_ms: int = _count(200, "longest time between two guarded writes of a partition")
    traffic_lateness_ms: int = _count(
        300_000, "how far a traffic event may lie behind its topic-partition before it is late"
    )
    purchase_lateness_ms: int = _count(604_800_000, "the same for `purchases`")
    retention_10s_ms: int = _count(3_600_000, "how long panes of 10 seconds are kept, in event time")
    retention_1m_ms: int = _count(93_600_000, "how long panes of a minute are kept")
    retention_1h_ms: int = _count(3_024_000_000, "how long panes of an hour are kept")
    retention_1d_ms: int = _count(69_120_000_000, "how long panes of a day (UTC) are kept")
    order_horizon_days: int = _count(90, "how long an order can be refunded, in event time", high=3_650)
    commission_final_after_delivery_days: int = _count(
        15, "how long after delivery commission is final", high=365
    )
    commission_final_after_purchase_days: int = _count(
        45, "how long after the purchase it is final where no delivery comes by then", high=365
    )
    unknown_order_wait_ms: int = _count(604_800_000, "how long a refund waits for its order, in ingest time")
    cohort_horizon_ms: int = _count(
        900_000, "how long after its first view a session's steps count for alerts on conversion"
    )
    on_time_days: int = _count(
        7, "up to how many days after its purchase an order is delivered on time", high=60
    )
    scope_values_max: int = _count(
        20_000,
        "values of a kind of scope (products, lives, …) that a topic counts apart, by partition and pane; "
        "what is above is counted under `other`",
    )
    held_out_percent: int = _count(
        50, "share of the users of a redirection rule that are meant to be held out, in percent", high=99
    )
    max_dirty_cells: int = _count(20_000, "cells that may wait for a guarded write before reading pauses")
    watchdog_ms: int = _count(
        60_000, "lag without progress, or a question without an answer, for so long ends the worker"
    )
    session_timeout_ms: int = _count(
        8_000, "how long Kafka waits for a silent worker before its partitions move"
    )
    instance_id: str = _text("", "Kafka static membership: a name of this worker; empty takes a random one")
    top_k: int = _count(
        20,
        "values of a kind (lives, products, apps, brands, …) that `/metrics` names; the rest are summed",
        low=0,
        high=1_000,
    )
    fetch_max_bytes: int = _count(1_048_576, "bytes of a partition that one fetch may bring")
    data_dir: str = _text(".pulse", "folder of what `shop-pulse up` starts: data, logs, `up.json`")


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this environment.

    Raises PulseError for a `SHOP_PULSE_*` name that does not exist and for a value that cannot be meant.
    """
    fields = {PREFIX + each.name.upper(): each for each in dataclasses.fields(Settings)}
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in fields)
    if unknown:
        near = difflib.get_close_matches(unknown[0].upper(), fields, n=1, cutoff=0.0)
        raise PulseError(f"{unknown[0]} is not a setting; did you mean {near[0]}? (all: docs/settings.md)")
    values = {
        each.name: _parse(name, each, environ[name]) for name, each in fields.items() if name in environ
    }
    settings = Settings(**values)  # type: ignore[arg-type]  # _parse gives each field its own type
    _check_addresses(settings)
    _check_settlement(settings)
    return settings


def _check_addresses(settings: Settings) -> None:
    """PulseError for addresses that no client could use; clients say it in fifty lines."""
    for server in settings.kafka.split(","):
        host, _, port = server.rpartition(":")
        # A name, an IPv4 address, or an IPv6 address in brackets.
        if not re.fullmatch(r"\[[^\[\]]+\]|[^\[\]:]+", host) or not _is_port(port):
            raise PulseError(f"{PREFIX}KAFKA has {server!r}: give host:port, several separated by commas")
    try:
        url = urlsplit(settings.redis)
        usable = url.scheme in REDIS_SCHEMES and (url.port is None or url.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise PulseError(
            f"{PREFIX}REDIS is no URL of a Redis: give redis://host:port/0, or redis+cluster://host:port"
        )


def _check_settlement(settings: Settings) -> None:
    """PulseError where commission could be final of a pane of a minute: only hours and days tell when."""
    fine_ms = max(settings.retention_10s_ms, settings.retention_1m_ms)
    least_days = -(-(fine_ms + HALF_A_DAY_MS) // (2 * HALF_A_DAY_MS))
    for name in ("commission_final_after_delivery_days", "commission_final_after_purchase_days"):
        days: int = getattr(settings, name)
        if days < least_days:
            raise PulseError(
                f"{PREFIX}{name.upper()} is {days}: give at least {least_days}, "
                "or keep minutes for a shorter time"
            )


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) < 65_536


def given(environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The names of the fields that this environment sets (whoever set one wants it as it is)."""
    return frozenset(
        each.name for each in dataclasses.fields(Settings) if PREFIX + each.name.upper() in environ
    )


def _parse(name: str, field: dataclasses.Field[object], value: str) -> object:
    """The value of one environment variable in the type of its field."""
    if isinstance(field.default, int):
        low, high = field.metadata["low"], field.metadata["high"]
        # isdecimal: int() alone would also take "1_000", " 7" and Arabic digits, none of which is meant.
        if not (value.isascii() and value.isdecimal() and low <= int(value) <= high):
            raise PulseError(f"{name} is {value!r}: give a whole number from {low} to {high}")
        return int(value)
    if isinstance(field.default, tuple):
        names = tuple(part.strip() for part in value.split(","))
        if not all(names):
            raise PulseError(f"{name} is {value!r}: give names separated by commas")
        return names
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise PulseError(f"{name} is {value!r}: give one of {', '.join(choices)}")
    return value


def reference() -> str:
    """The page docs/settings.md, generated so that it cannot differ from the code."""
    lines = [
        "# Settings",
        "",
        "Read from the environment by every command; a `SHOP_PULSE_*` name that is not listed is an error.",
        "Written by `python -m streams.settings`; a test compares it with the code.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for each in dataclasses.fields(Settings):
        default = ",".join(each.default) if isinstance(each.default, tuple) else str(each.default)
        shown = f"`{default}`" if default else "(empty)"
        lines.append(f"| `{PREFIX}{each.name.upper()}` | {shown} | {each.metadata['doc']} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
