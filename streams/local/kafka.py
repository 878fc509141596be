"""A Kafka broker of our own: one node, KRaft, from the official jars that `make setup` has fetched.

It stands at the very begin of the way of an event, where nobody else's Kafka is named in the settings.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from streams.errors import PulseError
from streams.local.ports import free_port
from streams.local.processes import Program, spawn

JARS = Path(__file__).resolve().parents[2] / ".deps" / "kafka" / "lib"
_CLUSTER_ID = "c2hvcC1wdWxzZS1sb2NhbA"  # 16 bytes in base64; any will do, the data folder is ours

# DescribeCluster v0, asked by hand: a client library would need an event loop and log each vain try.
_DESCRIBE = struct.pack(">hhi h B B B", 60, 0, 1, -1, 0, 0, 0)

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
log.retention.ms={retention_ms}
log.retention.bytes=-1
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
log.cleaner.dedupe.buffer.size=16777216
"""


class KafkaServer(Program):
    """One broker on loopback. Its data lies in `folder`: a second start goes on with it."""

    grace_s = 20.0

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        log: Path | None = None,
        heap_mib: int = 512,
        unlimited_retention: bool = True,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """`options`: further lines of server.properties, which win (a test's second listener)."""
        super().__init__("Kafka", log or folder / "kafka.log")
        self.folder = folder
        self.port = port or free_port()
        self._controller_port = free_port()
        self._heap_mib = heap_mib
        self._retention_ms = -1 if unlimited_retention else 604_800_000
        self._options = dict(options or {})

    @property
    def bootstrap(self) -> str:
        """Where clients connect: `host:port`."""
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """The broker's command line."""
        return [*self._java(self._heap_mib), "kafka.Kafka", str(self._properties)]

    def prepare(self) -> None:
        """Write its configuration and format the data folder, once."""
        _require_java_and_jars()
        self.folder.mkdir(parents=True, exist_ok=True)
        data = self.folder / "data"
        self._properties.write_text(
            _PROPERTIES.format(
                port=self.port,
                controller_port=self._controller_port,
                data=data,
                retention_ms=self._retention_ms,
            )
            + "".join(f"{name}={value}\n" for name, value in self._options.items())
        )
        if (data / "meta.properties").exists():
            return
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id", _CLUSTER_ID]
        # Not subprocess.run: Ctrl-C in the terminal must not reach it, and it must not outlive us.
        process = spawn([*self._java(128), *tool, "--config", str(self._properties)], stdout=subprocess.PIPE)
        output = process.communicate()[0].decode(errors="replace").strip()
        if process.returncode != 0:
            last = output.splitlines()[-1] if output else "no word why"
            raise PulseError(f"Kafka cannot use {data}: {last}")

    def ready(self) -> bool:
        """Whether it answers and counts itself among the live brokers (only then topics can be created)."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.settimeout(1)
                connection.sendall(struct.pack(">i", len(_DESCRIBE)) + _DESCRIBE)
                answer = _receive(connection, struct.unpack(">i", _receive(connection, 4))[0])
        except OSError:
            return False
        return _brokers(answer) > 0

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _java(self, heap_mib: int) -> list[str]:
        return ["java", f"-Xmx{heap_mib}m", "-Dlog4j2.level=WARN", "-cp", f"{JARS}{os.sep}*"]


def _require_java_and_jars() -> None:
    """PulseError that says what to do if there is no Java or there are no jars."""
    if shutil.which("java") is None:
        raise PulseError("java is missing; run `make setup`, or name your Kafka in SHOP_PULSE_KAFKA")
    if not any(JARS.glob("kafka_*.jar")):
        raise PulseError("Kafka's jars are missing; run `make setup`, or name your Kafka in SHOP_PULSE_KAFKA")


def _receive(connection: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes; OSError if the other side ends before."""
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionResetError("Kafka closed the connection")
        received += part
    return received


def _brokers(answer: bytes) -> int:
    """How many live brokers a DescribeCluster v0 answer names; 0 for an error.

    correlation id 4, no tags 1, throttle 4, error 2, message (compact, null: 1 byte 0), cluster id (compact),
    controller id 4, brokers (compact array: length + 1).
    """
    error = struct.unpack_from(">h", answer, 9)[0]
    if error != 0 or answer[11] != 0:
        return 0
    cluster_id_size = answer[12] - 1
    return answer[13 + cluster_id_size + 4] - 1
