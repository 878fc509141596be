"""Commission of a log that ended weeks ago: as-of went on by the clock, its last minutes are still there."""

from __future__ import annotations

import pytest

from streams.local.redis import RedisServer
from tests.commission_kit import of_story, written
from tests.driver import run
from tests.redis_kit import Shop
from tests.scenario_kit import DAY, MINUTE, NOON, Scenario, Sent, line, purchase, refund
from tests.scenarios_commission import status
from verify.recompute import recompute
from verify.rules import Rules
from verify.totals import Totals


def _order(order_id: str, at: int) -> Sent:
    """An order with a commission of 100 for a1."""
    return purchase(order_id, at, line("p1", 1, 1_000, commission_bps=1_000, affiliate_id="a1"))


@pytest.mark.parametrize(("days", "finals"), [(20, (90, 90, 0)), (46, (190, 190, 0)), (62, (190, 190, 100))])
def test_of_minutes_it_is_final_once_all_of_it_must_be(
    redis_server: RedisServer, days: int, finals: tuple[int, int, int]
) -> None:
    """Of days and hours it is known when commission becomes final, of minutes that it is by now. `verify`
    expects just that of the last day, the last hours and the last minutes."""
    log = (
        _order("o1", NOON),
        status("e1", "o1", NOON + MINUTE),
        _order("o2", NOON + 17 * MINUTE),
        refund("r1", "o1", NOON + 18 * MINUTE, 100),
    )
    records = Scenario(name="", fact="", records=log, cells={}).log()
    expected, as_of_ms = recompute(records, Rules(partitions=1)), NOON + days * DAY
    totals = Totals(max(expected.h.values()), Rules(partitions=1))
    for part in expected.partitions.values():
        totals.add(part)
    shop = written(run(records), Shop(redis_server.url, partitions=1), as_of_ms)
    day, hours, minutes, _ = (totals.whole(), *totals.recent())
    assert day is not None
    for span, final in zip((day, hours, minutes), finals, strict=True):
        answer, report = of_story(shop, totals, ("affiliate", "a1"), span, as_of_ms)
        assert answer["commission"]["USD"]["final_minor"] == final
        assert report.differences == []
