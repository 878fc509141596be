"""`python -m tests.bench.attack`: somebody sends a million product ids that do not exist. What does it cost?

First honest sessions alone, then honest ones among views, impressions and taps of random products, some of
them with random lives and creators, some with ids chosen to confuse. Memory of worker, read service and Redis
is told before, at the peak and after. It has to be bounded by the cap on values, and what the shop earned has
to be what was sent, to the cent: for the whole shop in the API, for every product in Redis.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlencode
from urllib.request import urlopen

import click
from prometheus_client.parser import text_string_to_metric_families

from schemas.events import INPUT_TOPICS, TYPES_OF_TOPIC, event_type
from streams.errors import PulseError
from streams.local.commands import Command, ReadService
from streams.local.ports import free_port
from streams.local.processes import end
from streams.settings import Settings
from streams.sources.record import Record
from streams.topics import create
from tests.bench.data import CURRENCY, MINUTE_MS, Dataset
from tests.bench.data import Totals as NoTotals
from tests.bench.harness import Place, Servers, bench_folder, expect_equal, servers
from tests.bench.machine import described, peak_rss_mib, rss_mib
from tests.bench.sessions import (
    DAY_MS,
    MIB,
    PARTITIONS,
    PRODUCTS,
    SESSION_MS,
    Running,
    Shoppers,
    Totals,
    spread_over,
    stored,
    used_memory,
)

BEFORE_MS: Final = 3 * MINUTE_MS
ATTACK_MS: Final = 6 * MINUTE_MS
HEARTBEAT_MS: Final = 10_000
# Longer than all of it takes.
WINDOW: Final = "1h"
HONEST_USERS: Final = 5_000
ATTACKERS: Final = 5_000
# Honest sessions before, and as many again during the attack.
IDS_PER_SESSION: Final = 25
ASKED_PRODUCTS: Final = 3
# Views are two thirds of the attack, over 6 minutes and 4 partitions: a minute of one holds an id in 36.
IDS_PER_VALUE: Final = 40
API_PATIENCE_S: Final = 120.0
OTHER: Final = "other"
SENT: Final = (("views", "product_impression"), ("views", "product_view"), ("tag-taps", "tag_tap"))
# Of the attack's events, those with a random live, and those with a random creator.
ROOM_SHARE: Final = 0.05
# Every so many ids is one of these, mostly with its number: ids that look like a part of a key, a field, a
# scope or a line, and the longest that there are.
UGLY_EVERY: Final = 500
UGLY: Final = ("a|b", "live:L1,product:", "}:{", "line\nbreak", "\x00", '"', "-inf", "\U0001f6cd" * 56)

CAPPED_KINDS: Final = ("product", "live", "creator", "live,product")
# By the stored count of each type; what the order service sends has no cap.
TOPIC_OF: Final = {
    f"events.{event_type(cls)}": topic
    for topic, types in TYPES_OF_TOPIC.items()
    for cls in types
    if topic != "purchases"
}
# The steps of sketches, with the number of topics that each comes from; purchases have no cap.
TOPICS_OF_STEP: Final = {"view": 2, "tag_tap": 1, "add_to_cart": 1}


def attack(ids: int, start_ms: int, events: Counter[str]) -> Iterator[Record]:
    """One event for each of so many products, spread over ATTACK_MS; counted in `events` by type."""
    rng = random.Random(ids)
    draw = rng.random
    for number, time_ms in enumerate(spread_over(start_ms, ATTACK_MS, ids)):
        topic, kind = SENT[int(draw() * len(SENT))]
        user = int(draw() * ATTACKERS)
        product = f'"{rng.getrandbits(64):016x}"' if number % UGLY_EVERY else _ugly(number // UGLY_EVERY)
        live = f'"live_id":"{rng.getrandbits(64):016x}",' if draw() < ROOM_SHARE else ""
        creator = f'"creator_id":"{rng.getrandbits(64):016x}",' if draw() < ROOM_SHARE else ""
        value = (
            f'{{"event_id":"attack-{number:x}","event_type":"{kind}","event_time_ms":{time_ms},'
            f'"platform":"other","user_id":"attacker-{user}","session_id":"{user}",{live}{creator}'
            f'"product_id":{product}}}'
        )
        events[kind] += 1
        yield Record(time_ms, topic, b"attacker-%d" % user, value.encode())


def heartbeats(start_ms: int, span_ms: int) -> Iterator[Record]:
    """Of every source, to every partition: before all have been heard `/metrics` shows no figure."""
    for time_ms in range(start_ms, start_ms + span_ms, HEARTBEAT_MS):
        for topic in INPUT_TOPICS:
            for p in range(PARTITIONS):
                value = (
                    f'{{"event_id":"beat-{time_ms}","event_type":"source_heartbeat","platform":"other",'
                    f'"event_time_ms":{time_ms},"source":"{topic}"}}'
                )
                yield Record(time_ms, topic, None, value.encode(), p)


def _ugly(number: int) -> str:
    """As JSON."""
    return json.dumps(f"{UGLY[number % len(UGLY)]}{number}" if number % (len(UGLY) + 1) else OTHER)


@dataclass(frozen=True)
class Shop:
    """The pipeline under attack: worker and read service in a place, and the cap on values."""

    running: Running
    serve: ReadService
    values_max: int

    def get(self, path: str, **query: str) -> bytes:
        """What the read service answers. Raises PulseError if it does not, or with an error."""
        try:
            with urlopen(f"{self.serve.url}{path}?{urlencode(query)}", timeout=API_PATIENCE_S) as response:
                return cast(bytes, response.read())
        except OSError as error:
            raise PulseError(f"{path} with {query}: {error} (log: {self.serve.log})") from error

    def kpis(self, scope: str) -> dict[str, Any]:
        """The figures of a scope."""
        return cast("dict[str, Any]", json.loads(self.get("/api/v1/kpis", scope=scope, window=WINDOW)))

    def reading(self) -> dict[str, Any]:
        """What is held now, in MiB, and what `/metrics` says."""
        began_s = time.perf_counter()
        text = self.get("/metrics").decode()
        took_s = time.perf_counter() - began_s
        return {
            "worker_rss_mib": round(rss_mib(self.running.worker.pid), 1),
            "serve_rss_mib": round(rss_mib(self.serve.pid), 1),
            "redis_mib": round(used_memory(self.running.client) / MIB, 1),
            "metrics_bytes": len(text.encode()),
            "metrics_lines": len(text.splitlines()),
            "metrics_values": _named_values(text),
            "metrics_s": round(took_s, 2),
            "redis": stored(self.running.client, self.running.place.name),
        }

    def peaks(self) -> dict[str, float]:
        """The most that was held so far, in MiB."""
        return {
            "worker_rss_mib": round(peak_rss_mib(self.running.worker.pid), 1),
            "serve_rss_mib": round(peak_rss_mib(self.serve.pid), 1),
            "redis_mib": round(used_memory(self.running.client, "used_memory_peak") / MIB, 1),
        }


def _named_values(text: str) -> dict[str, int]:
    """By kind of scope, how many values `/metrics` names, `other` among them."""
    named: defaultdict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "scope" in sample.labels:
                named[sample.labels["scope_kind"]].add(sample.labels["scope"])
    return {kind: len(values) for kind, values in sorted(named.items())}


def expect(what: str, found: object, wanted: object) -> None:
    """Raises PulseError if they differ."""
    if found != wanted:
        raise PulseError(f"attack: {what} is {found}, not {wanted}")


def check_answers(shop: Shop, totals: Totals, orders: int, sent: int, *, attacked: bool) -> None:
    """Raises PulseError unless the API says what was sent.

    Counts and money are exact in any case; ratios of an attacked product are null, but not the order value.
    """
    answer = shop.kpis("all")
    expect("capped of all", answer["capped"], False)
    events = {kind: totals.events[kind] for kind in answer["events"]}
    events["view"] += totals.events["live_join"]
    expect("events of all", answer["events"], events)
    for group in ("sessions", "checkouts"):
        wanted = {step: totals.steps[f"{group}.{step}"] for step in answer[group]}
        expect(f"{group} of all", answer[group], wanted)
    expect("items of all", answer["items"], totals.items.total())
    _check_money(answer, orders, totals.gmv_minor.total())
    counted = {name: number for name, number in answer["quality"].items() if number}
    expect("verdicts", counted, {"accepted": sent})
    for product, gmv_minor in totals.gmv_minor.most_common(ASKED_PRODUCTS):
        answer = shop.kpis(f"product:{product}")
        _check_money(answer, totals.orders[product], gmv_minor)
        expect(f"items of {product}", answer["items"], totals.items[product])
        expect(f"capped of {product}", answer["capped"], attacked)
        money, ratios = answer["money"][CURRENCY], answer["ratios"]
        of_events = [ratios["tag_taps_per_view_events"], ratios["orders_per_tag_tap"]]
        of_events += [money["gmv_per_1000_view_events_minor"], money["gmv_per_buyer_minor"]]
        expect(f"which ratios of {product} are null", [each is None for each in of_events], [attacked] * 4)


def _check_money(answer: Mapping[str, Any], orders: int, gmv_minor: int) -> None:
    scope, money = answer["scope"], answer["money"][CURRENCY]
    expect(f"orders of {scope}", answer["orders"], orders)
    expect(f"GMV of {scope}", money["gmv_paid_minor"], gmv_minor)
    expect(f"AOV of {scope}", money["aov_minor"], round(gmv_minor / orders))


def check_cells(shop: Shop, totals: Totals, since_ms: int) -> None:
    """Raises PulseError unless every product has its money, and no event of a product is lost or doubled."""
    products, events = Counter[tuple[str, str]](), Counter[str]()
    for start_ms in range(since_ms - since_ms % DAY_MS, time.time_ns() // 1_000_000 + 1, DAY_MS):
        for cell, amount in shop.running.cells("product", start_ms).items():
            measure, _, product = cell.partition("|")
            if measure in (f"gmv_paid:{CURRENCY}", f"orders:{CURRENCY}", "items"):
                products[measure.partition(":")[0], product] += amount
            elif measure in TOPIC_OF:
                events[measure.removeprefix("events.")] += amount
    sold = {"gmv_paid": totals.gmv_minor, "orders": totals.orders, "items": totals.items}
    wanted = {(name, product): n for name, by_product in sold.items() for product, n in by_product.items()}
    expect_equal("attack", "sums of products", products, wanted)
    of_products = (*(kind for _, kind in SENT), "add_to_cart", "begin_checkout", "view")
    expect_equal("attack", "events of products", events, {kind: totals.events[kind] for kind in of_products})


def bounds(shop: Shop) -> dict[str, Any]:
    """How full the fullest panes are. Raises PulseError where a cap is exceeded or a sketch has no index."""
    client, prefix = shop.running.client, shop.running.place.name
    fields, values_of = defaultdict[str, int](int), defaultdict[str, int](int)
    for kind in CAPPED_KINDS:
        for key in client.scan_iter(match=f"{prefix}:{{*}}:cells:{kind}:*"):
            size, names = key.split(":")[-2], cast("list[str]", client.hkeys(key))
            fullest = max(map(len, _by_topic(names).values()), default=0)
            _check_cap(key, fullest, shop.values_max)
            values_of[f"{kind} {size}"] = max(values_of[f"{kind} {size}"], fullest)
            if kind == "product":
                fields[size] = max(fields[size], len(names))
    indexed, sketches_of = 0, defaultdict[str, int](int)
    for key in client.scan_iter(match=f"{prefix}:{{*}}:usersindex:*"):
        size, names = key.split(":")[-2], [*client.sscan_iter(key, count=1_000)]
        indexed += len(names)
        for (step, kind), values in _by_step(names).items():
            _check_cap(f"{key} {step} {kind}", values, shop.values_max * TOPICS_OF_STEP[step])
            sketches_of[f"{kind} {size}"] = max(sketches_of[f"{kind} {size}"], values)
    sketches = sum(1 for _ in client.scan_iter(match=f"{prefix}:{{*}}:users:*", count=10_000))
    expect("the number of sketches in indexes", indexed, sketches)
    return {
        "product_fields_a_pane": dict(fields),
        "values_a_topic_and_pane": dict(values_of),
        "sketches_a_step_and_pane": dict(sketches_of),
        "sketches": sketches,
    }


def _by_topic(names: Iterable[str]) -> Mapping[str, set[str]]:
    """Distinct values of cells by topic, without `other`."""
    values: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        measure, _, value = name.partition("|")
        if measure in TOPIC_OF and value != OTHER:
            values[TOPIC_OF[measure]].add(value)
    return values


def _by_step(names: Iterable[str]) -> Counter[tuple[str, str]]:
    """Sketches by step and kind of scope where there is a cap, without `other`."""
    parts = (name.split(":", 2) for name in names)
    return Counter(
        (step, kind)
        for step, kind, value in parts
        if step in TOPICS_OF_STEP and kind in CAPPED_KINDS and value != OTHER
    )


def _check_cap(where: str, found: int, most: int) -> None:
    if found > most:
        raise PulseError(f"attack: {where} keeps {found} values apart, more than {most}")


def measure(started: Servers, folder: Path, ids: int, values_max: int, seed: int = 1) -> dict[str, Any]:
    """The whole attack; what `--json` prints. Raises PulseError if a figure or a bound does not hold."""
    if ids < IDS_PER_VALUE * values_max:
        raise PulseError(
            f"{ids} ids do not meet a cap of {values_max} within a minute: give at least "
            f"{IDS_PER_VALUE * values_max} --ids, or a lower --values-max"
        )
    asyncio.run(create(started.settings("attack.")))
    place = Place(started, Dataset("attack.", PARTITIONS, NoTotals(), 0.0), "attack", folder)
    environment = place.environment(SCOPE_VALUES_MAX=str(values_max), API_PORT=str(port := free_port()))
    worker = Command("worker", ["worker"], folder / "worker.log", environment)
    serve = ReadService(folder / "serve.log", environment, "127.0.0.1", port)
    shop = Shop(Running(place, worker), serve, values_max)
    shoppers = Shoppers(seed, HONEST_USERS, min(PRODUCTS, values_max // 2))
    sessions = max(ids // IDS_PER_SESSION, 1_000)
    totals, since_ms = shoppers.totals, _since_ms(time.time_ns() // 1_000_000)
    with ExitStack() as stack:
        stack.callback(end, [worker, serve])
        for program in (worker, serve):
            program.launch()
        serve.wait_ready()
        honest = shop.running.send(_part(shoppers, since_ms, BEFORE_MS, sessions))
        shop.running.wait_saved(honest)
        check_answers(shop, totals, totals.events["purchase"], honest, attacked=False)
        before = shop.reading()
        since_attack_ms = since_ms + BEFORE_MS
        part = _part(shoppers, since_attack_ms, ATTACK_MS, sessions)
        attacked = attack(ids, since_attack_ms, totals.events)
        sent = honest + shop.running.send(heapq.merge(part, attacked, key=itemgetter(0)))
        shop.running.wait_saved(sent)
        check_answers(shop, totals, totals.events["purchase"], sent, attacked=True)
        check_cells(shop, totals, since_ms)
        peak = shop.peaks()
        after = shop.reading()
        found = bounds(shop)
    return {
        "ids": ids,
        "values_max": values_max,
        "records": {"before": honest, "honest": sent - ids, "all": sent},
        "before": before,
        "peak": peak,
        "after": after,
        **found,
        "seed": seed,
    }


def _since_ms(now_ms: int) -> int:
    """Where the traffic begins for it to end now, or with the day before: a pane of a day holds all of it."""
    until_ms = now_ms if now_ms % DAY_MS >= BEFORE_MS + ATTACK_MS else now_ms - now_ms % DAY_MS
    return until_ms - BEFORE_MS - ATTACK_MS


def _part(shoppers: Shoppers, start_ms: int, span_ms: int, sessions: int) -> Iterator[Record]:
    """Honest traffic: so many sessions, which are over within the span."""
    honest = shoppers.records(spread_over(start_ms, span_ms - SESSION_MS, sessions))
    return heapq.merge(heartbeats(start_ms, span_ms), honest, key=itemgetter(0))


def as_table(result: Mapping[str, Any]) -> str:
    """The same as lines for a terminal, also good as Markdown."""
    before, peak, after = (result[name] for name in ("before", "peak", "after"))
    lines = [
        f"| {result['ids']:,} products, cap {result['values_max']:,} | before | peak | after |",
        "|---|---|---|---|",
    ]
    for name, label in (
        ("worker_rss_mib", "worker RSS MiB"),
        ("serve_rss_mib", "read service RSS MiB"),
        ("redis_mib", "Redis used_memory MiB"),
        ("metrics_bytes", "/metrics bytes"),
        ("metrics_lines", "/metrics lines"),
        ("metrics_s", "/metrics seconds"),
    ):
        shown = [f"{each[name]:,}" if name in each else "–" for each in (before, peak, after)]
        lines.append(f"| {label} | {' | '.join(shown)} |")
    sketches = before["redis"]["users"]["keys"], after["redis"]["users"]["keys"]
    lines.append(f"| sketches and their indexes | {sketches[0]:,} | – | {sketches[1]:,} |")
    of = ("records", "product_fields_a_pane", "values_a_topic_and_pane", "sketches_a_step_and_pane")
    keys = {name: round(each["bytes"] / MIB, 1) for name, each in after["redis"].items()}
    lines += ["", *(f"{name}: {result[name]}" for name in of), f"MiB in Redis after it, by key: {keys}"]
    return "\n".join([*lines, "money exact, caps held"])


@click.command()
@click.option(
    "--ids", type=click.IntRange(1), default=1_000_000, show_default=True, help="Products that don't exist."
)
@click.option(
    "--values-max",
    type=click.IntRange(2),
    default=Settings().scope_values_max,
    show_default=True,
    help="The cap, SHOP_PULSE_SCOPE_VALUES_MAX; fewer ids need a lower one to meet it.",
)
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(ids: int, values_max: int, json_wanted: bool) -> None:
    """Measure an attack on the number of values, on servers started for it, money verified."""
    with bench_folder() as folder, servers(folder) as started:
        machine = described(cast("dict[str, str]", started.client().info("server"))["redis_version"])
        result = measure(started, folder, ids, values_max) | {"machine": machine}
    shown = ", ".join(f"{name} {value}" for name, value in machine.items())
    click.echo(json.dumps(result) if json_wanted else f"{as_table(result)}; {shown}")


if __name__ == "__main__":
    command()
