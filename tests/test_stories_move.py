"""The simulated shop tells every story: no figure of the whole shop stands still in front of a newcomer."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from unittest.mock import patch

from streams.answer import Totals, flat_figures
from streams.figures import SKETCHES
from streams.kpis import FIGURE_SETS
from tests.driver import run
from tests.simulation_kit import records
from verify.model import LogRecord

SECONDS = 1_800
# What minutes of the whole shop cannot show.
NOT_YET = {
    # Refunds wait a week for an order that never comes; of several currencies buyers are not divided.
    *("money.*.unattributed_refunds_minor", "money.*.gmv_per_buyer_minor"),
    # Days pass before commission is final, users come back, and orders are complete or a month old.
    *(f"commission.*.{name}_minor" for name in ("final", "clawed_back", "claw_backs")),
    *(f"returns.{name}" for name in ("next_day", "next_day_per_opened", "day_7", "day_7_per_opened")),
    *("after_purchase.completed", "ratios.orders_past_30_days_per_orders"),
    # Told by age, which only a reading of panes knows.
    *("payments.pending_past_120s", "payments.failure_rate"),
    # The simulated order service says of what kind a refund is, and its buyers ask no bank.
    *("refunds.by_kind.none", "refunds.by_kind.chargeback"),
}


@cache
def _figures() -> dict[str, int | float | None]:
    """Minutes of the shop through the pipeline, then every figure of all of it."""
    offsets: Counter[str] = Counter()
    log = []
    for record in records(SECONDS, partitions=1):
        offset = offsets[record.topic]
        offsets[record.topic] += 1
        log.append(LogRecord(record.topic, 0, offset, record.timestamp_ms, record.key, record.value))
    with patch("tests.driver.CHUNK", 2_000):
        driver = run(log)
    own: Counter[str] = Counter()
    for (kind, _, size, _, measure), amount in driver.cells().items():
        if (kind, size) == ("all", "1d"):
            own[measure] += amount
    people = {
        SKETCHES[step].name: n
        for (kind, _, size, _, step), n in driver.user_counts().items()
        if (kind, size) == ("all", "1d")
    }
    currencies = sorted({name.partition(":")[2] for name in own if name.startswith("gmv_paid:")})
    return flat_figures("all", Totals(own, people | dict(own), days_to_ms=0), currencies, FIGURE_SETS["all"])


def test_every_figure_of_the_shop_moves() -> None:
    """Within minutes each figure has a value that is not 0, in some currency, but those that take days."""
    moving: Counter[str] = Counter()
    for path, figure in _figures().items():
        moving[re.sub(r"\.[A-Z]{3}\.", ".*.", path)] += bool(figure)
    assert {path for path, n in moving.items() if not n} == NOT_YET
