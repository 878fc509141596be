"""A Redis Cluster of three primaries, as an operator would make one, and moving slots between them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from redis import Redis

from streams.local.ports import free_port
from streams.local.redis import RedisServer
from tests.integration.pipeline import wait_until

NODE_TIMEOUT_MS = 2_000
KEYS_AT_ONCE = 50


class ClusterNode(RedisServer):
    """One node; its address is that of the whole cluster."""

    def __init__(self, folder: Path) -> None:
        self._bus_port = free_port()
        super().__init__(
            folder,
            options={
                "cluster-enabled": "yes",
                "cluster-port": str(self._bus_port),
                "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            },
        )

    @property
    def url(self) -> str:
        """Where clients of the cluster begin."""
        return f"redis+cluster://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """As redis-cli wants it."""
        return f"127.0.0.1:{self.port}@{self._bus_port}"

    @property
    def client(self) -> Any:
        """A client of this node alone; the client's own types are unions over its two decodings."""
        return Redis(port=self.port, decode_responses=True)


class Cluster:
    """Three primaries that divide the slots evenly."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [ClusterNode(folder / f"node-{number}") for number in range(3)]

    def start(self) -> None:
        """All nodes, until each knows that every slot is served."""
        for node in self.nodes:
            node.start()
        addresses = [node.address for node in self.nodes]
        command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Returns when every node says that all slots are served."""
        wait_until(
            lambda: all(node.client.cluster("INFO")["cluster_state"] == "ok" for node in self.nodes),
            "the cluster",
        )

    def stop(self) -> None:
        """Ends all nodes."""
        for node in self.nodes:
            node.stop()

    def node_of(self, key: str) -> ClusterNode:
        """The node that serves a key."""
        slot = self._slot(key)
        slots = self.nodes[0].client.cluster("SLOTS")
        port = next(primary[1] for low, high, primary, *_ in slots if low <= slot <= high)
        return next(node for node in self.nodes if node.port == port)

    def _slot(self, key: str) -> int:
        return int(self.nodes[0].client.cluster("KEYSLOT", key))

    def move(self, key: str, target: ClusterNode) -> int:
        """Moves the slot of a key to another node, key by key, as `redis-cli --cluster reshard` does.

        How many keys it held.
        """
        slot, source = self._slot(key), self.node_of(key)
        ids = {node.port: node.client.cluster("MYID") for node in (source, target)}
        target.client.cluster("SETSLOT", slot, "IMPORTING", ids[source.port])
        source.client.cluster("SETSLOT", slot, "MIGRATING", ids[target.port])
        moved = 0
        while keys := source.client.cluster("GETKEYSINSLOT", slot, KEYS_AT_ONCE):
            source.client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 10_000, "KEYS", *keys)
            moved += len(keys)
        for node in (target, source, *self.nodes):
            node.client.cluster("SETSLOT", slot, "NODE", ids[target.port])
        return moved
