"""The whole way of an event with the read service at its end: `verify` holds the answers to the log, too."""

from __future__ import annotations

import json
from pathlib import Path

from streams.local.kafka import KafkaServer
from streams.local.redis import RedisServer
from tests.integration.pipeline import Pipeline, wait_until


def test_answers_equal_the_log(kafka: KafkaServer, redis_server: RedisServer, tmp_path: Path) -> None:
    """Every kind of scope, asked of the API over whole panes, says what a recomputation of the log says."""
    pipeline = Pipeline(kafka, redis_server, tmp_path, api_port=0)
    pipeline.create_topics()
    pipeline.worker()
    serve = pipeline.start("serve", "serve")
    traffic = pipeline.traffic(seconds=6, rate=2_000)
    wait_until(lambda: not traffic.running, "the generator's end")
    wait_until(lambda: "http://" in serve.said(), "the read service's address")
    address = next(word for word in serve.said().split() if word.startswith("http://"))
    pipeline.assert_exact()
    done = pipeline.run(
        "verify", "--kafka", kafka.bootstrap, "--redis", redis_server.url, "--api", address, "--json"
    )
    pipeline.end()
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert (done.returncode, found["mismatches"]) == (0, 0), found["differences"]
    assert found["notes"] == []
    assert found["compared"] > 0
