"""`shop-pulse up`: a running pulse from nothing, ended as a whole.

Where a newcomer, a demonstration and an end-to-end test start. It owns what surrounds `Pulse`: the data
folder and its lock, signals, and what is printed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import click

from streams import settings as settings_module
from streams.errors import PulseError
from streams.local.pulse import SOURCES, Pulse
from streams.options import Number
from streams.settings import PREFIX

# All that ever lies in the data folder: what a new start removes, and nothing else.
_FOLDERS = ("kafka", "redis", "prometheus", "alertmanager", "logs")
_FILES = ("up.json", "up.json.new")
_LOCK = "lock"
_START_MIB = 512
_STOP_MIB = 64
_TICK_S = 0.05


class _Stopping(Exception):
    """A signal asked for the end."""


class _Signals:
    """Signals that ask for the end, turned into a flag: everything is ended in order, wherever we are."""

    def __init__(self) -> None:
        self.asked: int | None = None

    def __enter__(self) -> _Signals:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if (
                number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
            ):  # nohup keeps its meaning
                signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave them caught: what we started is ending, and a second Ctrl-C must not interrupt that."""

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is None:
            self.asked = number

    def sleep(self, seconds: float) -> None:
        """Sleep in short pieces; _Stopping as soon as the end was asked for."""
        until = time.monotonic() + seconds
        while self.asked is None:
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _TICK_S))
        raise _Stopping


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="Print addresses and process ids as one line when ready."
)
@click.option("--keep", is_flag=True, help="Go on with the data of the last time, instead of starting empty.")
@click.option("--for", "seconds", type=Number(0, min_open=True), help="End after so many seconds.")
@click.option(
    "--source",
    type=click.Choice(list(SOURCES)),
    default="generate",
    show_default=True,
    help="What is fed in.",
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Worker processes.")
def command(as_json: bool, keep: bool, seconds: float | None, source: str, workers: int) -> None:
    """Start everything on this machine, in one go.

    Kafka, Redis, Prometheus and Alertmanager where present, workers, the read service and a source of events,
    on free ports, with all data in .pulse. A part that dies is started again. Ctrl-C ends everything.
    """
    settings = settings_module.load()
    if workers > settings.partitions:
        raise PulseError(
            f"--workers {workers} is more than there are partitions ({settings.partitions}): "
            f"take fewer workers, or set {PREFIX}PARTITIONS"
        )
    folder = Path(settings.data_dir).absolute()
    with _Signals() as signals, _only_one(folder):
        _clear(folder, keep=keep)
        _require_space(folder, _START_MIB)
        say = partial(click.echo, err=as_json)
        pulse = Pulse(
            settings,
            settings_module.given(),
            folder,
            workers=workers,
            source=source,
            say=say,
            open_bar=lambda length, label: click.progressbar(
                length=length, label=label, file=sys.stderr if as_json else sys.stdout
            ),
        )
        ready = False
        try:
            pulse.start(signals.sleep)
            ready = True
            print(json.dumps(pulse.addresses()) if as_json else _in_words(pulse, folder), flush=True)
            _tend(pulse, folder, signals, seconds)
        except _Stopping:
            if not ready:
                sys.exit(128 + (signals.asked or 0))
        finally:
            pulse.stop()


def _tend(pulse: Pulse, folder: Path, signals: _Signals, seconds: float | None) -> None:
    """Keep all parts running until the time is over or the end is asked for."""
    until = None if seconds is None else time.monotonic() + seconds
    while until is None or time.monotonic() < until:
        pulse.tend()
        _require_space(folder, _STOP_MIB)
        signals.sleep(0.1)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the data folder; PulseError when another `up` does, or when it is not ours."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _LOCK).exists() and any(folder.iterdir()):
            raise PulseError(f"{folder} holds files of others: set {PREFIX}DATA_DIR to a new or empty folder")
        lock = (folder / _LOCK).open("a+")
    except OSError as error:
        raise PulseError(
            f"{folder} cannot be used ({error.strerror}): make it writable, or set {PREFIX}DATA_DIR"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise PulseError(
                f"one is already running in {folder} (process {lock.read().strip()}): "
                f"end it first, or set {PREFIX}DATA_DIR to another folder"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _require_space(folder: Path, mib: int) -> None:
    """PulseError unless so much of the disk is free. Whoever stops before it is full keeps the data whole."""
    free_mib = shutil.disk_usage(folder).free >> 20
    if free_mib < mib:
        raise PulseError(
            f"the disk of {folder} is full ({free_mib} MiB left): free {_START_MIB} MiB, "
            f"or set {PREFIX}DATA_DIR to a folder on another disk"
        )


def _clear(folder: Path, *, keep: bool) -> None:
    """Remove what an earlier pulse left, its data only where it is not to be kept."""
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    if not keep:
        for each in (folder / name for name in _FOLDERS):
            if each.exists():
                shutil.rmtree(each)


def _in_words(pulse: Pulse, folder: Path) -> str:
    """What a person is told when all is ready."""
    at = pulse.addresses()
    return "\n".join(
        [
            "Shop Pulse is running; Ctrl-C ends it and everything that it started.",
            f"  page        {at['api']}/",
            f"  figures     {at['api']}/api/v1/kpis?scope=all&window=5m",
            f"  metrics     {at['metrics']}",
            f"  Prometheus  {at['prometheus'] or 'not installed'}",
            f"  alerts      {at['alertmanager'] or 'no Alertmanager here'}",
            f"  Kafka       {at['kafka']}",
            f"  Redis       {at['redis']}",
            f"  data, logs  {folder}",
        ]
    )
