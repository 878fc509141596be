"""A year of real purchases through the whole pipeline: the API says what a plain data frame says.

`make test` sends the baskets of every tenth household, through the whole year; `make long` sends all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from subprocess import CompletedProcess
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from streams.local.kafka import KafkaServer
from streams.local.redis import RedisServer
from tests.complete_journey_oracle import CENTS, END_DAY, FIRST_DAY, ORDERS, per_day, transactions
from tests.complete_journey_oracle import per_day_and_store as of_store
from tests.integration.pipeline import Pipeline, wait_until

DAY_MS = 86_400_000
STORE = 367
TENTH = 10
# The command as it is, but for the data that it loads.
SEND_A_TENTH = f"""
from streams.sources import complete_journey as source
everything = source.load()
source.load = lambda: everything[everything["household_id"] % {TENTH} == 0]
source.command()
"""


@cache
def baskets(every: int) -> Any:
    """The data frame of the households whose number `every` divides."""
    frame = transactions()
    return frame[frame["household_id"] % every == 0]


def start_of(day: str) -> int:
    """Start of a day (UTC), in milliseconds."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000


class Api:
    """The read service of a pipeline that has counted the year of the households that `every` divides."""

    def __init__(self, base: str, every: int) -> None:
        self._base = base
        self.every = every
        self.expected = (int(baskets(every)["basket_id"].nunique()), int(baskets(every)["cents"].sum()))

    def money(self, scope: str, from_ms: int, to_ms: int) -> tuple[int, int]:
        """(orders, GMV in cents) of a range."""
        url = f"{self._base}/api/v1/kpis?scope={scope}&from_ms={from_ms}&to_ms={to_ms}"
        with urlopen(url, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        usd = found["money"].get("USD", {"gmv_paid_minor": 0})
        return found["orders"], usd["gmv_paid_minor"]

    def year(self) -> tuple[int, int]:
        """(orders, cents) of all the data's days."""
        return self.money("all", start_of(FIRST_DAY), start_of(END_DAY))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(TENTH, id="tenth"),
        pytest.param(1, id="all", marks=pytest.mark.long),
    ],
)
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Imports the year once, on servers of its own."""
    folder = tmp_path_factory.mktemp("journey")
    kafka, redis = KafkaServer(folder / "kafka"), RedisServer(folder / "redis")
    kafka.start()
    redis.start()
    pipeline = Pipeline(kafka, redis, folder, api_port=0)
    try:
        yield _imported(pipeline, request.param)
    finally:
        pipeline.end()
        redis.stop()
        kafka.stop()


def _imported(pipeline: Pipeline, every: int) -> Api:
    """The read service, once every order of the year is counted."""
    pipeline.create_topics()
    pipeline.worker()
    serve = pipeline.start("serve", "serve")
    sent = _sent(pipeline, every)
    assert sent.returncode == 0, sent.stderr
    wait_until(lambda: "http://" in serve.said(), "the read service's address")
    address = next(word for word in serve.said().split() if word.startswith("http://"))
    made = Api(address.rstrip("/"), every)
    wait_until(lambda: _has_all(made), "the year's last order", patience_s=2_400)
    return made


def _has_all(made: Api) -> bool:
    try:
        return made.year()[0] == made.expected[0]
    except HTTPError as error:
        # A busy machine: it had no time for the question, or for looking into Redis.
        if error.code != 503:
            raise
        return False


def _sent(pipeline: Pipeline, every: int) -> CompletedProcess[str]:
    if every == 1:
        return pipeline.run("complete-journey")
    return pipeline.run_program("-c", SEND_A_TENTH)


def test_the_year(api: Api) -> None:
    """All orders and cents from 2016-12-31 to 2018-01-03: 155 848 orders of 4 596 039.58 USD in all."""
    if api.every == 1:
        assert api.expected == (ORDERS, CENTS)
    assert api.year() == api.expected


def test_every_day(api: Api) -> None:
    """Each day's orders and cents equal the data frame's; 2017-01-02 has 12 168.21 USD of all households."""
    days = per_day(baskets(api.every))
    start, end = datetime.fromisoformat(FIRST_DAY), datetime.fromisoformat(END_DAY)
    for number in range((end - start).days):
        day = (start + timedelta(days=number)).strftime("%Y-%m-%d")
        expected = tuple(days.get(day, (0, 0)))
        assert (day, api.money("all", start_of(day), start_of(day) + DAY_MS)) == (day, expected)
    if api.every == 1:
        assert days["2017-01-02"].cents == 1_216_821


def test_a_store(api: Api) -> None:
    """A store is a creator: its days add up to the data frame's."""
    days = of_store(baskets(api.every), STORE)
    total = (sum(day.orders for day in days.values()), sum(day.cents for day in days.values()))
    assert total[0] > 0
    assert api.money(f"creator:{STORE}", start_of(FIRST_DAY), start_of(END_DAY)) == total
