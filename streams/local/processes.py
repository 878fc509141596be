"""Programs that Shop Pulse starts on this machine and that never outlive it.

It stands beside the way of an event: brokers, Redis and Shop Pulse's own processes are `Program`s, for
`shop-pulse up` and for the tests alike. Each runs in a session of its own (Ctrl-C in a terminal reaches only
us, who then end it in order) and is killed by the kernel if we vanish.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from streams.errors import PulseError

_PR_SET_PDEATHSIG = 1
_TICK_S = 0.05
_LIBC = ctypes.CDLL(None)

Sleep = Callable[[float], None]


def _die_with(parent: int) -> Callable[[], None]:
    """What a child does before it becomes the program: tie its life to ours."""

    def tie() -> None:
        if sys.platform == "linux":
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # we were killed between fork and prctl
                os._exit(1)

    return tie


def spawn(
    command: Sequence[str], *, stdout: IO[bytes] | int, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command in its own session, tied to the life of this thread (so call it in the main one)."""
    # preexec_fn is unsafe beside threads that hold locks; ours makes two system calls and takes none.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        env=env,
        start_new_session=True,
        preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509
    )


class Program:
    """A program with a log that can be started, waited for, ended, killed, and started again."""

    #: how long it may take to be ready, and to end when asked to
    ready_within_s = 60.0
    grace_s = 10.0

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    # What each program says of itself

    def command(self) -> list[str]:
        """The command line."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str] | None:
        """Its whole environment; None for ours."""
        return None

    def prepare(self) -> None:
        """What has to be there before it starts."""

    def ready(self) -> bool:
        """Whether it answers. Never raises, and takes a second at most."""
        return self.running

    # The same for all

    @property
    def running(self) -> bool:
        """Whether the process lives (it may be stopped by a signal)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        if self._process is None:
            raise PulseError(f"{self.name} has not been started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code (minus the signal that killed it), None while it runs or before it was started."""
        return None if self._process is None else self._process.poll()

    def launch(self) -> None:
        """Start it without waiting for it; with the data of an earlier start, if there was one."""
        if self.running:
            return
        self.prepare()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = spawn(self.command(), stdout=log, env=self.environment())

    def wait_ready(self, sleep: Sleep = time.sleep) -> None:
        """Return when it answers; PulseError if it ends before that or takes too long."""
        until = time.monotonic() + self.ready_within_s
        while not self.ready():
            if not self.running:
                raise PulseError(
                    f"{self.name} ended while starting: {self.last_line()} (all of it: {self.log})"
                )
            if time.monotonic() > until:
                raise PulseError(f"{self.name} was not ready in {self.ready_within_s:.0f} s; see {self.log}")
            sleep(_TICK_S)

    def start(self) -> None:
        """Start it and return when it answers."""
        self.launch()
        self.wait_ready()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program and whatever it has started; one that has ended is left alone."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def stop(self) -> None:
        """Ask it to end (SIGTERM), wait, and kill it when the grace is over."""
        end([self])

    def kill(self) -> None:
        """Kill it (SIGKILL), as a crash would, and wait until it is gone."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def restart(self) -> None:
        """Stop it in order and start it with the same data and port."""
        self.stop()
        self.start()

    def last_line(self) -> str:
        """The last line of its log that says something, shortened to be shown to a user."""
        if not self.log.exists():
            return "it said nothing"
        lines = self.log.read_text(errors="replace")[-10_000:].splitlines()
        said = [line.strip() for line in lines if line.strip() and not line.startswith(("\tat ", " "))]
        return said[-1][:300] if said else "it said nothing"


def end(programs: Sequence[Program]) -> None:
    """End several at once: SIGTERM to all, SIGKILL to those whose grace is over."""
    started = time.monotonic()
    for each in programs:
        each.send(signal.SIGCONT)  # a stopped process would not see the next one
        each.send(signal.SIGTERM)
    while any(each.running for each in programs):
        for each in programs:
            if time.monotonic() - started > each.grace_s:
                each.kill()
        time.sleep(_TICK_S)
