"""The servers that `up` and the tests start: they keep their data, and never outlive who started them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.errors import PulseError
from streams.local import kafka as kafka_module
from streams.local import prometheus
from streams.local.kafka import KafkaServer
from streams.local.ports import free_port, is_free
from streams.local.processes import Program
from streams.local.prometheus import PrometheusServer, answers
from streams.local.redis import RedisServer

REPOSITORY = Path(__file__).parents[2]


def _ask(server: RedisServer, line: str) -> str:
    """Redis's answer to one inline command, read without a client library."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(line.encode() + b"\r\n")
        return connection.recv(65_536).decode()


async def _topics(server: KafkaServer, create: str | None = None) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
    await admin.start()
    try:
        if create:
            answer = await admin.create_topics([NewTopic(create, num_partitions=2, replication_factor=1)])
            assert [code for _, code, _ in answer.topic_errors] == [0]
            # The controller knows of it before the broker that is asked does.
            async with asyncio.timeout(15):
                while create not in await admin.list_topics():
                    await asyncio.sleep(0.05)
        return list(await admin.list_topics())
    finally:
        await admin.close()


class _Script(Program):
    """A Python one-liner as a program."""

    grace_s = 0.5

    def __init__(self, folder: Path, code: str) -> None:
        super().__init__("script", folder / "script.log")
        self._code = code

    def command(self) -> list[str]:
        return [sys.executable, "-c", self._code]


def _gone(pid: int, within_s: float = 5.0) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_free_port_is_free_and_never_the_systems_own() -> None:
    """A server that starts again finds its port: no outgoing connection can have been given it."""
    port = free_port()
    assert 10_000 <= port < 32_768 and is_free(port)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert not is_free(port)


def test_redis_is_set_as_the_figures_need_it(redis_server: RedisServer) -> None:
    """On disk within a second, never evicting, and only on loopback."""
    assert "noeviction" in _ask(redis_server, "CONFIG GET maxmemory-policy")
    assert "yes" in _ask(redis_server, "CONFIG GET appendonly")
    assert "everysec" in _ask(redis_server, "CONFIG GET appendfsync")
    assert "\r\n127.0.0.1\r\n" in _ask(redis_server, "CONFIG GET bind")


@pytest.mark.parametrize("crash", [False, True])
def test_redis_keeps_its_data_and_port(crash: bool, new_redis: Callable[..., RedisServer]) -> None:
    """After an orderly restart, and after a kill -9 that comes a second after the write."""
    server = new_redis()
    url = server.url
    assert _ask(server, "SET a 1") == "+OK\r\n"
    if crash:
        time.sleep(1.5)  # appendfsync everysec
        server.kill()
        assert not server.running and not server.ready() and server.exit_code == -signal.SIGKILL
        server.start()
    else:
        server.restart()
    assert (server.url, _ask(server, "GET a")) == (url, "$1\r\n1\r\n")


def test_redis_takes_further_directives(new_redis: Callable[..., RedisServer]) -> None:
    """A test can have a wrong one."""
    server = new_redis(options={"maxmemory-policy": "allkeys-lru"})
    assert "allkeys-lru" in _ask(server, "CONFIG GET maxmemory-policy")


def test_kafka_keeps_its_topics_and_port_over_restart_and_crash(
    new_kafka: Callable[..., KafkaServer],
) -> None:
    """The same folder is the same broker, however it ended."""
    server = new_kafka()
    bootstrap = server.bootstrap
    assert asyncio.run(_topics(server, create="kept")) == ["kept"]
    server.restart()
    assert asyncio.run(_topics(server)) == ["kept"]
    server.kill()
    assert not server.ready()
    server.start()
    assert (server.bootstrap, asyncio.run(_topics(server))) == (bootstrap, ["kept"])


def test_kafka_is_ready_only_when_topics_can_be_created(kafka: KafkaServer) -> None:
    """Readiness means a live broker, not an open port."""
    assert kafka.ready()
    assert "made-at-once" in asyncio.run(_topics(kafka, create="made-at-once"))


def test_prometheus_reads_its_target(tmp_path: Path) -> None:
    """It answers, and asks the target with the token."""
    assert prometheus.installed()
    server = PrometheusServer(tmp_path, "127.0.0.1:1", token="secret")
    server.start()
    try:
        assert answers(server.port, "/api/v1/targets") and not answers(server.port, "/nowhere")
        config = tmp_path / "prometheus.yml"
        assert '"credentials": "secret"' in config.read_text()
        assert config.stat().st_mode & 0o077 == 0
    finally:
        server.stop()
    assert not server.ready()


def test_a_program_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    """Here: Redis on a port that is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = RedisServer(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(
            PulseError, match=r"^Redis ended while starting: Failed listening on port \d+"
        ) as raised:
            server.start()
    assert "\n" not in str(raised.value)


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No jars, no Java, no Redis."""
    with monkeypatch.context() as patched:
        patched.setattr(kafka_module, "JARS", tmp_path)
        with pytest.raises(PulseError, match=r"jars are missing; run `make setup`"):
            KafkaServer(tmp_path / "k").launch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PulseError, match=r"java is missing; run `make setup`"):
        KafkaServer(tmp_path / "k").launch()
    with pytest.raises(PulseError, match=r"redis-server is missing; run `make setup`"):
        RedisServer(tmp_path / "r").launch()


@pytest.mark.parametrize(
    "code",
    [
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
        "print('up', flush=True); os.kill(os.getpid(), signal.SIGSTOP); time.sleep(60)",
    ],
    ids=["deaf", "stopped"],
)
def test_stop_ends_what_does_not_want_to_end(code: str, tmp_path: Path) -> None:
    """A program that ignores SIGTERM is killed; one that is stopped is woken to end."""
    script = _Script(tmp_path, f"import os, signal, time; {code}")
    script.start()
    until = time.monotonic() + 10
    while script.last_line() != "up" and time.monotonic() < until:
        time.sleep(0.02)
    script.stop()
    assert not script.running and script.exit_code in (-signal.SIGKILL, -signal.SIGTERM)


def test_nothing_is_left_when_we_are_killed(tmp_path: Path) -> None:
    """After kill -9 of the process that started it, a server is gone too."""
    code = (
        "import sys, time; from pathlib import Path; from streams.local.redis import RedisServer\n"
        "server = RedisServer(Path(sys.argv[1])); server.start()\n"
        "print(server.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)  # it lives
        parent.kill()
    assert _gone(pid)
