"""Commission in a real Redis: a shop that a random log was counted into, and what `verify` makes of it."""

from __future__ import annotations

import random
from typing import Any

from schemas.events import INPUT_TOPICS
from streams.local.redis import RedisServer
from tests.driver import PipelineDriver, run
from tests.redis_kit import Shop
from tests.scenario_kit import DAY, MONDAY, Sent, line, purchase, refund
from tests.scenarios_commission import status
from verify.api import compare_answer
from verify.compare import Report
from verify.model import LogRecord
from verify.recompute import recompute
from verify.rules import Rules
from verify.totals import Range, Totals

DAYS = 140
END = MONDAY + DAYS * DAY
AFFILIATES = ("a1", "a2", "=a3")


def random_log(seed: int) -> list[LogRecord]:
    """Orders over 140 days: delivered sooner, later, twice or never, and refunded."""
    rng = random.Random(seed)
    sent: list[Sent] = []
    for number in range(180):
        order, at = f"o{number}", MONDAY + rng.randrange(135 * DAY)
        lines = [
            line(
                f"p{rng.randrange(3)}",
                1,
                100 * rng.randint(1, 50) + rng.randrange(100),
                commission_bps=rng.choice((0, 333, 1_500)),
                platform_fee_bps=500,
                affiliate_id=rng.choice(AFFILIATES),
                creator_id=rng.choice(("c1", "c2")),
                brand_id="b1",
            )
            for _ in range(rng.randint(1, 3))
        ]
        currency = rng.choice(("USD", "USD", "EUR"))
        left = sum(each["unit_price_minor"] for each in lines)
        sent.append(purchase(order, at, *lines, currency=currency))
        for times in range(rng.choice((0, 1, 1, 2))):
            when = at + rng.choice((2, 5, 30, 44, 46)) * DAY + rng.randrange(DAY)
            sent.append(status(f"d{number}-{times}", order, when))
        for times in range(rng.choice((0, 0, 1, 3))):
            amount = rng.randint(1, left) if left and rng.random() < 0.8 else left
            left -= amount
            when = at + rng.choice((1, 10, 17, 46, 61)) * DAY + rng.randrange(DAY)
            if amount:
                sent.append(refund(f"r{number}-{times}", order, when, amount, currency=currency))
    # Refunds and deliveries may come before their order in the log, and up to six days late.
    sent = [each for each in sent if each.value["event_time_ms"] < END]  # type: ignore[index,call-overload]
    ordered = sorted(sent, key=lambda each: each.at + rng.choice((0, 0, 0, 6 * DAY)))
    now, records = 0, list[LogRecord]()
    for each in ordered:
        now = max(now, each.at)
        records.append(LogRecord("purchases", 0, len(records), now, each.key, each.data))
    return records


def written(driver: PipelineDriver, shop: Shop, as_of_ms: int) -> Shop:
    """What the driver saved, in Redis, with this as-of everywhere."""
    shop.healthy(as_of_ms, " ".join(sorted(driver.states[0].service.currencies)))
    shop.meta(0, h=driver.states[0].high_ms)
    with shop.client.pipeline() as pipe:
        for (kind, pane), fields in driver.saved[0].cells.items():
            name = f"{pane.size.name}:{pane.start_ms}"
            if fields:
                pipe.hset(
                    f"{shop.prefix}:{{0}}:cells:{kind}:{name}",
                    mapping={field: n for field, n in fields.items()},
                )
                pipe.zadd(f"{shop.prefix}:{{0}}:panes", {name: 1})
        pipe.execute()
    return shop


class EveryPane(Totals):
    """Keeps what `verify` has no room for: line-level scopes of any day."""

    def _recent_from(self, _size: str) -> int:
        return 0


def told_of(server: RedisServer, days: int) -> tuple[Shop, Totals]:
    """A shop that the first days of a random log were counted into, and what `verify` makes of these."""
    log = [record for record in random_log(11) if record.timestamp_ms < MONDAY + days * DAY]
    driver = run(log)
    assert driver.dead_letters == frozenset()
    expected = recompute(log, Rules(partitions=1))
    assert driver.cells() == expected.cells
    totals = EveryPane(max(expected.h.values()), Rules(partitions=1))
    for part in expected.partitions.values():
        totals.add(part)
    return written(driver, Shop(server.url, partitions=1), MONDAY + days * DAY), totals


def set_as_of(shop: Shop, as_of_ms: int) -> None:
    """Everything is read up to then."""
    for topic in INPUT_TOPICS:
        shop.client.hset(f"{shop.prefix}:{{0}}:meta", f"wm:{topic}", as_of_ms)


def of_story(
    shop: Shop, totals: Totals, scope: tuple[str, str], span: Range, now_ms: int = END
) -> tuple[dict[str, Any], Report]:
    """An answer, and how it compares with what `verify` expects of commission, take and the rest."""
    text = scope[0] + (f":{scope[1]}" if scope[1] else "")
    answer = shop.ask(lambda model: model.kpis(text, None, span.from_ms, span.to_ms), now_ms)
    report = Report()
    compare_answer(report, totals, scope, span, answer, now_ms=now_ms)
    # The driver keeps whole sets in place of sketches: users are not in Redis here.
    report.differences = [
        each for each in report.differences if "user" not in each.what and "buyer" not in each.what
    ]
    return answer, report
