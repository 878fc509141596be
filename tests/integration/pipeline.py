"""A whole pipeline of real processes for one test: topics, workers, a generator, and what `verify` says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streams.local.kafka import KafkaServer
from streams.local.processes import Program, end
from streams.local.redis import RedisServer

# How long anything may take before a test gives up; no test asserts a time.
PATIENCE_S = 180.0
FAULTS = ("--duplicates", "0.05", "--disorder-ms", "20000", "--late", "0.02", "--unreadable", "0.01")


class Child(Program):
    """A command of Shop Pulse in a process of its own."""

    def __init__(self, name: str, arguments: list[str], folder: Path, settings: Mapping[str, str]) -> None:
        super().__init__(name, folder / f"{name}.log")
        self._arguments = arguments
        self._settings = settings

    def command(self) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "streams", *self._arguments]

    def environment(self) -> Mapping[str, str]:
        """Ours, with the test's settings."""
        return os.environ | self._settings

    def said(self) -> str:
        """Everything in its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Pipeline:
    """Workers and generators on given servers, with a topic prefix and key prefix of their own."""

    def __init__(self, kafka: KafkaServer, redis: RedisServer, folder: Path, **settings: Any) -> None:
        self.kafka = kafka
        self.redis = redis
        self.folder = folder
        name = folder.name.replace("_", "-")
        self.settings = {
            "SHOP_PULSE_KAFKA": kafka.bootstrap,
            "SHOP_PULSE_REDIS": redis.url,
            "SHOP_PULSE_TOPIC_PREFIX": f"{name}.",
            "SHOP_PULSE_REDIS_PREFIX": name,
            "SHOP_PULSE_CONSUMER_GROUP": name,
            "SHOP_PULSE_SESSION_TIMEOUT_MS": "6000",
        } | {f"SHOP_PULSE_{key.upper()}": str(value) for key, value in settings.items()}
        self._children: list[Child] = []

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return self.run_program("-m", "streams", *arguments)

    def run_program(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a Python program with the pipeline's settings to its end."""
        return subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | self.settings,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S * 2,
            check=False,
        )

    def create_topics(self) -> None:
        """Makes the topics."""
        made = self.run("topics")
        assert made.returncode == 0, made.stderr

    def start(self, name: str, *arguments: str) -> Child:
        """Starts a command in the background."""
        extra = {"SHOP_PULSE_INSTANCE_ID": name} if arguments == ("worker",) else {}
        child = Child(name, list(arguments), self.folder, self.settings | extra)
        child.launch()
        self._children.append(child)
        return child

    def worker(self, name: str = "worker-0") -> Child:
        """Starts a worker."""
        return self.start(name, "worker")

    def traffic(self, seconds: int, rate: int = 3_000, seed: int = 1) -> Child:
        """Starts a generator with duplicates, disorder, late and unreadable records."""
        options = ["--rate", str(rate), "--flat", "--for", str(seconds), "--seed", str(seed)]
        return self.start(f"generate-{seed}", "generate", *options, *FAULTS)

    def verify(self) -> dict[str, Any]:
        """What `verify` says once everything is read."""
        done = self.run("verify", "--kafka", self.kafka.bootstrap, "--redis", self.redis.url,
                        "--wait", str(PATIENCE_S), "--json")  # fmt: skip
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def assert_exact(self) -> dict[str, Any]:
        """Every figure in Redis equals the recomputation; returns what `verify` said."""
        found = self.verify()
        assert found["mismatches"] == 0, (
            found["differences"][:10],
            [c.said()[-2000:] for c in self._children],
        )
        assert found["compared"] > 0
        assert found["records"] > 0
        return found

    def end(self) -> None:
        """Ends everything that was started."""
        end(self._children)


def last_line(child: Child, patience_s: float = PATIENCE_S) -> str:
    """What it said as it ended; fails the test if it does not end by itself with exit code 1."""
    wait_until(lambda: not child.running, f"the end of {child.name}", patience_s)
    assert child.exit_code == 1 and "Traceback" not in child.said(), child.said()
    return child.said().splitlines()[-1]


def wait_until(fact: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Returns when `fact` holds; fails the test if it never does."""
    until = time.monotonic() + patience_s
    while not fact():
        assert time.monotonic() < until, f"waited {patience_s:.0f} s in vain for: {what}"
        time.sleep(0.1)


def stand_still(program: Program) -> None:
    """SIGSTOP. Returns once it stands: on a busy machine it would answer for a moment more."""
    program.send(signal.SIGSTOP)
    os.waitid(os.P_PID, program.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
