"""Real servers for the integration tests, on free ports of loopback, ended with the session.

`kafka` and `redis_server` are shared by the session, and Redis is emptied for each file: give each test its
own topic prefix and key prefix.
Whoever stops or kills a server takes a fresh one from `new_kafka` or `new_redis`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from streams.local.kafka import KafkaServer
from streams.local.processes import Program, end
from streams.local.redis import RedisServer


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker for the whole session, ready."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def one_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the whole session, ready."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def redis_server(one_redis: RedisServer) -> Iterator[RedisServer]:
    """The session's Redis, empty: who looks for his keys does not walk through those of other files."""
    with Redis.from_url(one_redis.url) as client:
        client.flushall()
    yield one_redis


@pytest.fixture
def new_kafka(tmp_path: Path) -> Iterator[Callable[..., KafkaServer]]:
    """Makes brokers for one test alone, ready; arguments as of KafkaServer."""
    yield from _factory(KafkaServer, tmp_path)


@pytest.fixture
def new_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Makes Redis servers for one test alone, ready; arguments as of RedisServer."""
    yield from _factory(RedisServer, tmp_path)


def _factory(kind: Callable[..., Any], folder: Path) -> Iterator[Callable[..., Any]]:
    made: list[Program] = []

    def make(**options: Any) -> Any:
        server = kind(folder / f"{kind.__name__}-{len(made)}", **options)
        made.append(server)
        server.start()
        return server

    yield make
    end(made)
