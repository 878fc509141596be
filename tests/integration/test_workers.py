"""Several workers under one command, as `shop-pulse worker --processes N` runs them."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from streams.local.kafka import KafkaServer
from streams.local.redis import RedisServer
from tests.integration.pipeline import Child, Pipeline, last_line, wait_until

PARTITIONS = 4


@pytest.fixture
def pipeline(kafka: KafkaServer, new_redis: Callable[..., RedisServer], tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline of four partition numbers."""
    made = Pipeline(kafka, new_redis(), tmp_path, partitions=PARTITIONS)
    made.create_topics()
    yield made
    made.end()


def owners(pipeline: Pipeline) -> list[str]:
    """Who has written each partition number last."""
    client = Redis.from_url(pipeline.redis.url, decode_responses=True)
    keys = [f"{pipeline.settings['SHOP_PULSE_REDIS_PREFIX']}:{{{p}}}:meta" for p in range(PARTITIONS)]
    return [str(client.hget(key, "owner")) for key in keys]


def started(pipeline: Pipeline) -> Child:
    """The command, once each partition number was written, half of them by either worker."""

    def shared() -> bool:
        written = Counter(owners(pipeline))
        return "None" not in written and list(written.values()) == [PARTITIONS // 2] * 2

    child = pipeline.start("workers", "worker", "--processes", "2")
    wait_until(shared, "each worker to write its half")
    return child


def children_of(child: Child) -> list[int]:
    """The process ids of its workers."""
    found = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text(encoding="ascii")
    return list(map(int, found.split()))


def test_several_workers_share_the_partition_numbers_and_end_together(pipeline: Pipeline) -> None:
    """Each owns a half and all figures are exact; SIGTERM has all of them save and end in order."""
    pipeline.settings["SHOP_PULSE_INSTANCE_ID"] = "host"
    child = started(pipeline)
    assert sorted(owners(pipeline)) == ["host-1", "host-1", "host-2", "host-2"]
    sent = pipeline.run("generate", "--events", "4000", "--max-speed")
    assert sent.returncode == 0, sent.stderr
    pipeline.assert_exact()
    workers = children_of(child)
    child.send(signal.SIGTERM)
    wait_until(lambda: not child.running, "the end of all")
    assert child.exit_code == 0, child.said()
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


TWO = """
import sys
from streams import settings
from streams.workers import Workers
Workers(settings.load(), 2, [sys.executable, "-c", sys.argv[1]]).run()
"""
# The second has the command end once both are there; neither heeds the signal.
BEGINS = """
import os, signal, time
if os.environ["SHOP_PULSE_INSTANCE_ID"].endswith("-2"):
    os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""
# As above, but the second takes longer than a look for its way out, on which it heeds no signal any more.
LEAVES = """
import os, signal, time
def leave(*_):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(1.0)
    print("left in order", flush=True)
    os._exit(0)
if os.environ["SHOP_PULSE_INSTANCE_ID"].endswith("-2"):
    signal.signal(signal.SIGTERM, leave)
    os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""


def ended(pipeline: Pipeline, program: str) -> str:
    """What two workers of this program say, which are told to end."""
    pipeline.settings["SHOP_PULSE_INSTANCE_ID"] = "host"
    done = pipeline.run_program("-c", TWO, program)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_worker_that_just_begins_may_be_ended(pipeline: Pipeline) -> None:
    """It heeds no signal yet, and has nothing to save: it ends by SIGTERM, and that is in order."""
    assert ended(pipeline, BEGINS) == ""


def test_a_worker_on_its_way_out_is_not_told_again(pipeline: Pipeline) -> None:
    """A second SIGTERM would kill it, and what it had to say last would be lost."""
    assert ended(pipeline, LEAVES) == "left in order\n"


def test_where_one_worker_ends_all_end(pipeline: Pipeline) -> None:
    """One line says which one, and how; whoever starts services again starts all of them."""
    child = started(pipeline)
    workers = children_of(child)
    os.kill(workers[1], signal.SIGKILL)
    assert "worker 2 of 2 ended by itself (killed by SIGKILL)" in last_line(child)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_more_workers_than_partition_numbers_are_refused(pipeline: Pipeline) -> None:
    """The fifth of four would wait for ever for something to do."""
    done = pipeline.run("worker", "--processes", "5")
    assert done.returncode == 1
    assert "--processes 5 is more than SHOP_PULSE_PARTITIONS (4)" in done.stderr
