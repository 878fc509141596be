"""Everything that runs in one chaos run, and who starts again what has died.

Only the main thread starts programs: they are tied to the life of the thread that started them.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from streams.errors import PulseError
from streams.local.commands import Command, ReadService
from streams.local.ports import free_port
from streams.local.processes import Program, end
from streams.settings import PREFIX
from tests.chaos.proxy import Background
from tests.chaos.servers import ChaosKafka, RedisPair

PARTITIONS = 12
WORKERS = 3
# Short, so that a zombie does not need long; Kafka moves partitions after it.
SESSION_S = 6.0
NAME = "chaos"
# What production does to a process that ended: starts it again, after a moment.
RESTART_AFTER_S = 0.5
FAULTY = ("--duplicates", "0.05", "--disorder-ms", "30000", "--late", "0.02", "--unreadable", "0.01")


class Place:
    """Servers, workers, read service and source, in one folder.

    Attributes:
        down: names of programs that a fault keeps down; all others are started again when they end.
        ended: what ended by itself, with its last line.
        sending: whether a source that ends is followed by another.
        victims: workers that faults may end or stop: all but `spared` of them.
    """

    def __init__(self, folder: Path, *, rate: int, seed: int, spared: int = 0) -> None:
        self.folder = folder
        self.background = Background()
        self.kafka = ChaosKafka(folder / "kafka", self.background)
        self.redis = RedisPair(folder, self.background)
        self.down: set[str] = set()
        self.ended: list[str] = []
        self.settings = {
            "SHOP_PULSE_KAFKA": self.kafka.bootstrap,
            "SHOP_PULSE_REDIS": self.redis.primary.url,
            "SHOP_PULSE_TOPIC_PREFIX": f"{NAME}.",
            "SHOP_PULSE_REDIS_PREFIX": NAME,
            "SHOP_PULSE_CONSUMER_GROUP": NAME,
            "SHOP_PULSE_PARTITIONS": str(PARTITIONS),
            "SHOP_PULSE_SESSION_TIMEOUT_MS": str(round(SESSION_S * 1_000)),
        }
        self._proxied = {"SHOP_PULSE_KAFKA": self.kafka.proxied, "SHOP_PULSE_REDIS": self.redis.url}
        self.workers = [self.worker(number) for number in range(WORKERS)]
        self.victims = self.workers[spared:]
        self.guest = self.worker(WORKERS)
        port = free_port()
        service = self.environment() | self._proxied | {"SHOP_PULSE_API_PORT": str(port)}
        self.serve = ReadService(folder / "serve.log", service, "127.0.0.1", port)
        self._rate, self._seed = rate, seed
        self.sources: list[Command] = []
        self.sending = True
        self._started_again_at: dict[str, float] = {}
        self._others: list[Program] = []

    def environment(self) -> dict[str, str]:
        """Of a command that goes straight to the servers, free of what the caller's shell sets."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return ours | self.settings | {"PYTHONUNBUFFERED": "1"}

    def worker(self, number: int) -> Command:
        """A worker with a name that stays."""
        name = f"worker-{number}"
        environment = self.environment() | self._proxied | {"SHOP_PULSE_INSTANCE_ID": name}
        return Command(name, ["worker"], self.folder / f"{name}.log", environment)

    def command(self, name: str, *arguments: str) -> Command:
        """Another command of Shop Pulse, which ends by itself."""
        command = Command(name, arguments, self.folder / f"{name}.log", self.environment(), once=True)
        self._others.append(command)
        return command

    def adopt(self, program: Program) -> None:
        """Ends this program with the others."""
        self._others.append(program)

    def start(self) -> None:
        """Servers, topics, workers, read service and source; returns when there are figures."""
        self.kafka.launch()
        self.redis.start()
        self.kafka.wait_ready()
        topics = self.command("topics", "topics")
        topics.launch()
        while topics.running:
            time.sleep(0.05)
        if topics.exit_code != 0:
            raise PulseError(f"the topics could not be made: {topics.last_line()}")
        for each in (*self.workers, self.serve):
            each.launch()
        self._new_source()
        self.serve.wait_ready()

    def _new_source(self) -> None:
        """A seeded source without end, which sends with all that producers do wrong."""
        number = len(self.sources)
        options = ["--rate", str(self._rate), "--flat", "--seed", str(self._seed + 1_000 * number), *FAULTY]
        name = f"source-{number}"
        source = Command(name, ["generate", *options], self.folder / f"{name}.log", self.environment())
        self.sources.append(source)
        source.launch()

    def tend(self) -> None:
        """Starts again what ended and is not kept down by a fault."""
        now_s = time.monotonic()
        for each in (*self.workers, self.serve):
            if each.running or each.name in self.down:
                self._started_again_at.pop(each.name, None)
                continue
            if each.name not in self._started_again_at:
                self._started_again_at[each.name] = now_s + RESTART_AFTER_S
                if each.exit_code != -signal.SIGKILL:
                    self.ended.append(f"{each.name} with exit code {each.exit_code}: {each.last_line()}")
            elif now_s >= self._started_again_at[each.name]:
                each.launch()
        source = self.sources[-1]
        if self.sending and not source.running:
            self.ended.append(f"{source.name} with exit code {source.exit_code}: {source.last_line()}")
            self._new_source()

    def processes(self) -> dict[str, int]:
        """Process ids of what runs, by name. Called in the background thread, too."""
        programs = (*self.workers, self.serve, self.kafka, self.redis.primary, self.redis.replica)
        return {each.name: each.pid for each in programs if each.running}

    def last_words(self) -> str:
        """What workers and read service said last."""
        return "; ".join(f"{each.name} said: {each.last_line()}" for each in (*self.workers, self.serve))

    def duplicates(self) -> int:
        """Repeated records that are counted as such in Redis, over all days."""
        found = 0
        with self.redis.primary.client() as client:
            for p in range(PARTITIONS):
                root = f"{NAME}:{{{p}}}"
                for pane in client.zrange(f"{root}:panes", 0, -1):
                    cells = client.hgetall(f"{root}:cells:pipeline:{pane}") if pane.startswith("1d:") else {}
                    found += sum(int(n) for cell, n in cells.items() if cell.startswith("duplicates|"))
        return found

    def end_source(self) -> None:
        """The source sends what is due and ends. PulseError if it could not."""
        self.sending = False
        source = self.sources[-1]
        end([source])
        if source.exit_code != 0:
            raise PulseError(f"the source did not end well: {source.last_line()}")

    def stop(self) -> None:
        """Ends everything."""
        end([*self.workers, self.guest, self.serve, *self.sources, *self._others])
        end([self.kafka, self.redis.primary, self.redis.replica])
        for proxy in (self.kafka.proxy, self.redis.proxy, self.redis.link):
            proxy.close()
        self.background.stop()
