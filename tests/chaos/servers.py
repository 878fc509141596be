"""Kafka and two Redis servers as chaos needs them: reached through proxies, and hard to please.

Workers and read service go through the proxies; the source, the watch and the comparison do not.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path

from redis import Redis

from streams.local.kafka import KafkaServer
from streams.local.ports import free_port
from streams.local.redis import RedisServer
from tests.chaos.proxy import Background, Proxy

_AOF = "appendonlydir"


class ChaosRedis(RedisServer):
    """A Redis that gets an error where a file may not grow, as on a full disk, and not a deadly signal."""

    def __init__(self, name: str, folder: Path) -> None:
        # A replica is filled at once, and without a file: tests wait for it.
        super().__init__(folder, options={"repl-diskless-sync-delay": "0", "repl-diskless-load": "swapdb"})
        self.name = name

    def command(self) -> list[str]:
        """What a shell ignores, the program that takes its place ignores too."""
        return ["sh", "-c", 'trap "" XFSZ; exec "$@"', "redis", *super().command()]

    def client(self) -> Redis:
        """A client, straight to the server, that gives up soon."""
        return Redis.from_url(self.url, decode_responses=True, socket_timeout=5, socket_connect_timeout=1)

    @property
    def aof(self) -> Path | None:
        """The file to which writes are appended at the moment."""
        found = sorted(
            (self.folder / _AOF).glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3])
        )
        return found[-1] if found else None

    def limit_files(self) -> None:
        """No file of its process may grow beyond what the AOF is now."""
        aof = self.aof
        size = aof.stat().st_size if aof is not None else 0
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def free_files(self) -> None:
        """There is room again."""
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, unlimited)


class RedisPair:
    """A primary and its replica, whose roles change; clients come through `proxy`, the replica by `link`."""

    def __init__(self, folder: Path, background: Background) -> None:
        self.primary = ChaosRedis("redis-a", folder / "redis-a")
        self.replica = ChaosRedis("redis-b", folder / "redis-b")
        self.proxy = Proxy(background, self.primary.port)
        self.link = Proxy(background, self.primary.port)

    @property
    def url(self) -> str:
        """Where workers and read service connect."""
        return f"redis://127.0.0.1:{self.proxy.port}/0"

    def start(self) -> None:
        """Both, and the one becomes the replica of the other."""
        for each in (self.primary, self.replica):
            each.start()
        self.follow()

    def follow(self) -> None:
        """The replica takes what the primary has, and whatever comes."""
        with self.replica.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", str(self.link.port))

    def promote(self) -> None:
        """The replica becomes the primary, and the other one (which must be down) the replica."""
        self.primary, self.replica = self.replica, self.primary
        with self.primary.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        for proxy in (self.proxy, self.link):
            proxy.retarget(self.primary.port)


class ChaosKafka(KafkaServer):
    """A broker with a second listener, which tells clients to come through the proxy."""

    def __init__(self, folder: Path, background: Background) -> None:
        port, behind, ruling = free_port(), free_port(), free_port()
        self.proxy = Proxy(background, behind)
        here = "127.0.0.1"
        listeners = {
            "listeners": f"PLAINTEXT://{here}:{port},PROXIED://{here}:{behind},CONTROLLER://{here}:{ruling}",
            "advertised.listeners": f"PLAINTEXT://{here}:{port},PROXIED://{here}:{self.proxy.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.voters": f"1@{here}:{ruling}",
        }
        super().__init__(folder, port=port, options=listeners)

    def environment(self) -> Mapping[str, str]:
        """It is started again and again: what the compiler makes for months costs more than all else."""
        return {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"} | os.environ

    @property
    def proxied(self) -> str:
        """Where workers connect."""
        return f"127.0.0.1:{self.proxy.port}"
