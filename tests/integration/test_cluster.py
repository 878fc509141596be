"""Figures in a Redis Cluster: each partition number lies on one node, and every promise holds there too."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.local.kafka import KafkaServer
from streams.local.ports import free_port
from tests.integration.cluster_kit import Cluster
from tests.integration.pipeline import Pipeline, last_line, wait_until
from tests.integration.test_rebuild import fill, run_rebuild, serve

PARTITIONS = 4


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three primaries."""
    made = Cluster(tmp_path / "cluster")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def pipeline(kafka: KafkaServer, cluster: Cluster, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline of four partition numbers on the cluster."""
    made = Pipeline(kafka, cluster.nodes[0], tmp_path, partitions=PARTITIONS, api_port=free_port())
    made.create_topics()
    yield made
    made.end()


def meta_key(pipeline: Pipeline, partition: int) -> str:
    """The key that every write of a partition number names first."""
    return f"{pipeline.settings['SHOP_PULSE_REDIS_PREFIX']}:{{{partition}}}:meta"


def test_partition_numbers_lie_apart_and_every_answer_is_exact(pipeline: Pipeline, cluster: Cluster) -> None:
    """Two workers, all figures, all three nodes: Redis and the API equal the log, also after a rebuild."""
    pipeline.worker("worker-0")
    pipeline.worker("worker-1")
    serve(pipeline)
    traffic = pipeline.traffic(seconds=6, rate=1_000)
    wait_until(lambda: not traffic.running, "the generator's end")
    pipeline.assert_exact()
    assert {cluster.node_of(meta_key(pipeline, p)).port for p in range(PARTITIONS)} == {
        node.port for node in cluster.nodes
    }
    before: int = sum(node.client.dbsize() for node in cluster.nodes)
    assert run_rebuild(pipeline)["generation"].endswith(".1")
    deleted = run_rebuild(pipeline, "--delete-old")["deleted"]
    assert before * 0.9 < sum(deleted.values())
    api = f"http://127.0.0.1:{pipeline.settings['SHOP_PULSE_API_PORT']}"
    done = pipeline.run("verify", "--api", api, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["mismatches"], found["notes"]) == (0, 0, []), found


def test_a_node_that_dies_is_waited_for(pipeline: Pipeline, cluster: Cluster) -> None:
    """Nothing is counted around it: it comes back, without its last writes perhaps, and all is exact."""
    worker = pipeline.worker()
    fill(pipeline, 2_000, seed=1)
    pipeline.assert_exact()
    node = cluster.node_of(meta_key(pipeline, 0))
    node.kill()
    traffic = pipeline.traffic(seconds=4, rate=1_000, seed=2)
    wait_until(lambda: "waits:" in worker.said(), "the worker to say that it waits")
    wait_until(lambda: not traffic.running, "the generator's end")
    node.start()
    cluster.wait_until_whole()
    pipeline.assert_exact()
    assert worker.running


def test_slots_move_while_figures_are_written(pipeline: Pipeline, cluster: Cluster) -> None:
    """Whoever makes the cluster larger stops nothing: writes wait for a slot on its way, none is half."""
    worker = pipeline.worker()
    fill(pipeline, 2_000, seed=1)
    pipeline.assert_exact()
    traffic = pipeline.traffic(seconds=8, rate=500, seed=2)
    for p in range(PARTITIONS):
        source = cluster.node_of(meta_key(pipeline, p))
        target = next(node for node in cluster.nodes if node is not source)
        assert cluster.move(meta_key(pipeline, p), target) > 100
        assert cluster.node_of(meta_key(pipeline, p)) is target
    wait_until(lambda: not traffic.running, "the generator's end")
    pipeline.assert_exact()
    assert worker.running


def test_a_node_named_as_a_single_redis_is_told(pipeline: Pipeline, cluster: Cluster) -> None:
    """The one line names the address that would be right."""
    pipeline.settings["SHOP_PULSE_REDIS"] = f"redis://127.0.0.1:{cluster.nodes[0].port}"
    worker = pipeline.worker()
    wait_until(lambda: "write it redis+cluster://host:port" in worker.said(), "the worker's line")
    worker.send(signal.SIGTERM)
    wait_until(lambda: not worker.running, "its end")


def test_a_node_that_evicts_is_refused(pipeline: Pipeline, cluster: Cluster) -> None:
    """Any one of the primaries would lose figures."""
    cluster.nodes[2].client.config_set("maxmemory-policy", "allkeys-lru")
    assert "Redis evicts keys (maxmemory-policy allkeys-lru)" in last_line(pipeline.worker())
