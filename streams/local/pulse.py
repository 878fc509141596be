"""A whole Shop Pulse on this machine: its parts, started in order, kept running, ended in order.

The way of an event from end to end, as processes: Kafka, worker, Redis, read service, a source before them,
and who watches behind them. `up` is the command around it; this module knows what belongs together and what
to do when a part dies.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.errors import PulseError
from streams.local import alertmanager, prometheus
from streams.local.alertmanager import AlertmanagerServer
from streams.local.commands import Command, ReadService
from streams.local.kafka import KafkaServer
from streams.local.past import OpenBar, Past
from streams.local.ports import free_port, is_free
from streams.local.processes import Program, Sleep, end
from streams.local.prometheus import PrometheusServer
from streams.local.redis import RedisServer
from streams.settings import PREFIX, Settings

SOURCES: Mapping[str, list[str]] = {
    "none": [],
    "generate": ["generate"],
    "complete-journey": ["complete-journey"],
}
_ONCE = ("complete-journey",)  # sources that end when all is sent
_WITH_HISTORY = ("generate",)  # sources of a shop that had a past

_BACKOFF_FIRST_S = 0.5
_BACKOFF_MOST_S = 30.0
_HEALTHY_S = 60.0


@dataclass
class _Watch:
    """How often a part has died of late, and when it may start again."""

    starts_at: float = 0.0
    backoff_s: float = _BACKOFF_FIRST_S
    started_at: float = 0.0
    waiting: bool = False
    done: bool = False


class Pulse:
    """The parts of one pulse in one data folder.

    `say` gets one line for each thing a user should know, `open_bar` shows what takes a while. `given` are
    the settings that the user has set: a Kafka or Redis named there is used and not started.
    """

    def __init__(
        self,
        settings: Settings,
        given: frozenset[str],
        folder: Path,
        *,
        workers: int,
        source: str,
        say: Callable[[str], None],
        open_bar: OpenBar,
    ) -> None:
        self._settings = settings
        self._open_bar = open_bar
        self._folder = folder
        self._say = say
        logs = folder / "logs"
        self.kafka = None if "kafka" in given else KafkaServer(folder / "kafka", log=logs / "kafka.log")
        self.redis = None if "redis" in given else RedisServer(folder / "redis", log=logs / "redis.log")
        environment = self._environment(api_port := _api_port(settings, given))
        self.workers = [
            Command(
                f"worker-{number}",
                ["worker"],
                logs / f"worker-{number}.log",
                # A name that stays: Kafka gives a worker that starts again its partitions back at once.
                environment | {f"{PREFIX}INSTANCE_ID": f"{settings.instance_id or 'up'}-{number}"},
            )
            for number in range(workers)
        ]
        self.serve = ReadService(logs / "serve.log", environment, settings.api_host, api_port)
        self.alertmanager = (
            AlertmanagerServer(folder / "alertmanager", log=logs / "alertmanager.log")
            if settings.alerts == "prometheus" and prometheus.installed() and alertmanager.binary()
            else None
        )
        self.prometheus = (
            PrometheusServer(
                folder / "prometheus",
                self.serve.address,
                token=settings.token,
                rules=prometheus.rule_files(settings.alerts),
                links={"pulse_url": settings.public_url or self.serve.url},
                alertmanager=self.alertmanager.address if self.alertmanager else None,
                log=logs / "prometheus.log",
            )
            if prometheus.installed()
            else None
        )
        self.canary = Command("canary", ["canary"], logs / "canary.log", environment)
        arguments = SOURCES[source]
        self.source = (
            Command(source, arguments, logs / f"{source}.log", environment, once=source in _ONCE)
            if arguments
            else None
        )
        self._topics = Command("topics", ["topics"], logs / "topics.log", environment, once=True)
        self._past = Past(logs / "history.log", environment) if source in _WITH_HISTORY else None
        self._watches = {part: _Watch() for part in self.parts()}

    def parts(self) -> list[Program]:
        """All that is kept running, in the order of starting."""
        watching = [self.alertmanager, self.prometheus]
        parts = [self.kafka, self.redis, *self.workers, self.serve, self.canary, *watching, self.source]
        return [part for part in parts if part is not None]

    def addresses(self) -> dict[str, object]:
        """What `up --json` prints: every address, and every process id (None: not ours, or not running)."""
        pids: dict[str, object] = {
            "kafka": _pid(self.kafka),
            "redis": _pid(self.redis),
            "worker": [_pid(worker) for worker in self.workers],
            "serve": _pid(self.serve),
            "canary": _pid(self.canary),
            "prometheus": _pid(self.prometheus),
            "alertmanager": _pid(self.alertmanager),
        }
        if self.source is not None:
            pids[self.source.name] = _pid(self.source)
        return {
            "kafka": self.kafka.bootstrap if self.kafka else self._settings.kafka,
            "redis": self.redis.url if self.redis else self._settings.redis,
            "api": self.serve.url,
            "metrics": f"{self.serve.url}/metrics",
            "prometheus": self.prometheus.url if self.prometheus else None,
            "alertmanager": self.alertmanager.url if self.alertmanager else None,
            "pids": pids,
        }

    def start(self, sleep: Sleep) -> None:
        """Start all parts and return when the read service has figures, and the past is in them.

        PulseError if one cannot start.
        """
        servers = [part for part in (self.redis, self.kafka) if part is not None]
        for server in servers:
            self._say(f"starting {server.name}")
            self._launch(server)
        for server in servers:
            server.wait_ready(sleep)
        self._run_once(self._topics, sleep)
        # Who sends what happens now comes last: after that, all of the past would be late.
        senders = [part for part in (self.canary, self.source) if part is not None]
        others = [part for part in self.parts() if part not in servers and part not in senders]
        for part in others:
            self._say(f"starting {part.name}")
            self._launch(part)
        if self._past is not None:
            self._run_once(self._past, sleep)
        self._wait_ready(others, sleep)
        if self._past is not None:
            self._past.wait_counted(
                self.serve, self._open_bar, lambda: _expect_running((*servers, *others)), sleep
            )
        for part in senders:
            self._say(f"starting {part.name}")
            self._launch(part)
        self.publish()

    def _wait_ready(self, parts: Sequence[Program], sleep: Sleep) -> None:
        """Return when all answer; PulseError if one ends before that, or takes too long."""
        while not all(part.ready() for part in parts):
            _expect_running(parts)
            if time.monotonic() - self._watches[self.serve].started_at > self.serve.ready_within_s:
                late = next(part for part in parts if not part.ready())
                raise PulseError(f"{late.name} was not ready in time; see {self._folder / 'logs'}")
            sleep(0.1)

    def tend(self) -> None:
        """Look once at every part: one that died is started again, later each time it dies soon."""
        now = time.monotonic()
        for part, watch in self._watches.items():
            if part.running or watch.done:
                continue
            if not watch.waiting:
                if isinstance(part, Command) and part.once:
                    self._finished(part, watch)
                    continue
                if now - watch.started_at > _HEALTHY_S:
                    watch.backoff_s = _BACKOFF_FIRST_S
                watch.waiting, watch.starts_at = True, now + watch.backoff_s
                self._say(
                    f"{part.name} {_how(part)}; starting it again in {watch.backoff_s:g} s (log: {part.log})"
                )
                watch.backoff_s = min(watch.backoff_s * 2, _BACKOFF_MOST_S)
                self.publish()
            elif now >= watch.starts_at:
                watch.waiting = False
                self._launch(part)
                self.publish()

    def publish(self) -> None:
        """Write `up.json`, whole or not at all."""
        path = self._folder / "up.json"
        draft = path.with_suffix(".json.new")
        draft.write_text(json.dumps(self.addresses()) + "\n")
        draft.replace(path)

    def stop(self) -> None:
        """End everything: those who use Kafka and Redis first."""
        servers = [part for part in (self.redis, self.kafka) if part is not None]
        once = [part for part in (self._topics, self._past) if part is not None]
        end([*once, *(part for part in self.parts() if part not in servers)])
        end(servers)
        (self._folder / "up.json").unlink(missing_ok=True)

    def _launch(self, part: Program) -> None:
        part.launch()
        self._watches[part].started_at = time.monotonic()

    def _run_once(self, program: Command, sleep: Sleep) -> None:
        """Run a command to its end; PulseError with its last line if it fails."""
        program.launch()
        while program.running:
            sleep(0.05)
        if program.exit_code != 0:
            raise _ended(program)

    def _finished(self, part: Command, watch: _Watch) -> None:
        """A source that ends by itself has done so."""
        watch.done = True
        if part.exit_code != 0:
            raise _ended(part)
        self._say(f"{part.name} has sent everything: {part.last_line()}")
        self.publish()

    def _environment(self, api_port: int) -> dict[str, str]:
        """Our environment with the addresses of this pulse."""
        own = {
            "KAFKA": self.kafka.bootstrap if self.kafka else self._settings.kafka,
            "REDIS": self.redis.url if self.redis else self._settings.redis,
            "API_PORT": str(api_port),
        }
        # Without a buffer: a log that lacks its last lines hides why a worker died.
        return (
            dict(os.environ)
            | {"PYTHONUNBUFFERED": "1"}
            | {PREFIX + name: value for name, value in own.items()}
        )


def _pid(part: Program | None) -> int | None:
    """The process id of a part that runs."""
    return part.pid if part is not None and part.running else None


def _how(part: Program) -> str:
    """How a part ended, in words."""
    code = part.exit_code
    if code is not None and code < 0:
        return f"was killed by signal {-code}"
    return f"ended with exit code {code}"


def _expect_running(parts: Sequence[Program]) -> None:
    """PulseError for a part that has ended."""
    for part in parts:
        if not part.running:
            raise _ended(part)


def _ended(part: Program) -> PulseError:
    return PulseError(f"{part.name} {_how(part)}: {part.last_line()} (log: {part.log})")


def _api_port(settings: Settings, given: frozenset[str]) -> int:
    """The port of the read service. One that the user asked for is kept; a mere default gives way."""
    if settings.api_port == 0:
        return free_port()
    if is_free(settings.api_port, settings.api_host):
        return settings.api_port
    if "api_port" in given:
        raise PulseError(
            f"port {settings.api_port} of {settings.api_host} is taken or not to be had: "
            f"end what listens there, or set {PREFIX}API_PORT to another (0: any that is free)"
        )
    return free_port()
