"""`shop-pulse worker`: one worker in this process, or several beside each other, started and ended as one.

Each of several is a process of its own with the interpreter lock, connections and partition numbers of its
own; Kafka's consumer group divides the partition numbers among them as among workers on other machines.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

import click
import uvloop

from streams import settings as settings_module
from streams.errors import PulseError
from streams.local.processes import spawn
from streams.settings import PREFIX, Settings
from streams.worker import Worker, prepare_process

TICK_S = 0.1
WORKER = (sys.executable, "-m", "streams", "worker")


@click.command()
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Workers beside each other, about one a core.",
)
def command(processes: int) -> None:
    """Read the topics and keep the figures in Redis, until SIGTERM or Ctrl-C."""
    settings = settings_module.load()
    if processes > settings.partitions:
        raise PulseError(
            f"--processes {processes} is more than SHOP_PULSE_PARTITIONS ({settings.partitions}): a worker "
            "takes whole partition numbers, so the others would have nothing to do"
        )
    if processes > 1:
        Workers(settings, processes).run()
        return
    prepare_process(logging.INFO)

    async def main() -> None:
        await Worker(settings).run()

    uvloop.run(main())


class Workers:
    """Several workers as children of this process, which only passes signals on and waits."""

    def __init__(self, settings: Settings, count: int, program: Sequence[str] = WORKER) -> None:
        self._settings = settings
        self._count = count
        self._program = program
        self._children: list[subprocess.Popen[bytes]] = []
        self._told = False
        # Told to end, each once: one that has saved everything and is on its way out heeds no signal any
        # more, so a second one would kill it.
        self._ending: set[int] = set()

    def run(self) -> None:
        """Returns once all have ended after a signal.

        Raises PulseError where one ends by itself, after the others were ended, too: whatever starts services
        again then starts all of them, and nobody has to watch over single children.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)
        for place in range(1, self._count + 1):
            if not self._told:
                self._children.append(self._start(place))
        if self._told:
            self._end()
        while (ended := _first_ended(self._children)) is None:
            time.sleep(TICK_S)
        was_told = self._told
        self._end()
        codes = [child.wait() for child in self._children]
        if not was_told:
            raise PulseError(
                f"worker {ended + 1} of {self._count} ended by itself ({_how(codes[ended])}), so the others "
                "were ended, too; start them again"
            )
        # One that was told before it heeds signals is killed by them: it had not begun, so all is in order.
        if any(code not in {0, -signal.SIGTERM} for code in codes):
            raise PulseError("not every worker ended in order; what each of them said stands above")

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        name = self._settings.instance_id
        own = {f"{PREFIX}INSTANCE_ID": f"{name}-{place}"} if name else {}
        return spawn(self._program, stdout=sys.stderr.fileno(), env=os.environ | own)

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        self._told = True
        self._end()

    def _end(self) -> None:
        for child in self._children:
            if child.pid not in self._ending and child.poll() is None:
                self._ending.add(child.pid)
                child.terminate()


def _first_ended(children: Sequence[subprocess.Popen[bytes]]) -> int | None:
    return next((place for place, child in enumerate(children) if child.poll() is not None), None)


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
