"""An upgrade with two real versions: the newer program goes on from what the older one has read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from streams.local.kafka import KafkaServer
from streams.local.redis import RedisServer
from tests.integration.pipeline import Pipeline, wait_until
from tests.integration.test_rebuild import fill, refusal, run_rebuild

# The last commit whose worker writes schema 3.
OLDER = "e3474e19a91584dabf07be6b58370b64d3d18056"
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A folder with the older program, from the repository's history."""
    folder = tmp_path / "older"
    folder.mkdir()
    packed = subprocess.run(
        ["git", "-C", str(PROJECT), "archive", OLDER, "schemas", "streams"], capture_output=True, check=False
    )
    assert packed.returncode == 0, f"run `git fetch --unshallow`: {packed.stderr.decode()}"
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    return folder


# Not in CI: it may have a shallow clone.
@pytest.mark.long
def test_from_schema_3(kafka: KafkaServer, redis_server: RedisServer, tmp_path: Path, older: Path) -> None:
    """The newer worker refuses and names a command; after it all that both versions read is counted once."""
    pipeline = Pipeline(kafka, redis_server, tmp_path, partitions=2)
    pipeline.create_topics()
    fill(pipeline, 3_000, seed=1)
    before = subprocess.Popen([sys.executable, "-m", "streams", "worker"], cwd=older,
                              env=os.environ | pipeline.settings | {"PYTHONPATH": str(older)})  # fmt: skip
    try:
        _wait_until_read(pipeline)
    finally:
        before.terminate()
        before.wait()
    line = refusal(pipeline, "worker")
    assert "has schema 3, this program writes 4" in line and "`shop-pulse rebuild`" in line
    assert run_rebuild(pipeline)["generation"].endswith(".1")
    pipeline.worker()
    fill(pipeline, 500, seed=2)
    pipeline.assert_exact()
    pipeline.end()


def _wait_until_read(pipeline: Pipeline) -> None:
    """Returns when the older worker has saved state of every partition."""
    with Redis.from_url(pipeline.redis.url, decode_responses=True) as client:
        keys = [f"{pipeline.settings['SHOP_PULSE_REDIS_PREFIX']}:{{{p}}}:meta" for p in range(2)]
        wait_until(lambda: {client.hget(key, "schema") for key in keys} == {"3"}, "the older worker's state")
