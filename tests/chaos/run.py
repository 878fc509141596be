"""One chaos run: breaks what the plan says, waits until the figures are back, proves them in the end.

The main thread does it all in turns: faults that wait, programs that ended, looks at what is known.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.errors import PulseError
from tests.chaos import faults
from tests.chaos.measures import Offsets, percentile
from tests.chaos.monitor import Monitor
from tests.chaos.place import Place
from tests.chaos.plan import Fault, Step
from tests.chaos.proof import Proof, prove

TICK_S = 0.05
# A pipeline that is not back by then will not be.
BACK_S = 600.0
DRAINED_S = 600.0
FIRST_S = 300.0


class ChaosError(PulseError):
    """The run failed; names the fault. Whoever shows it names the seed."""


@dataclass
class Felt:
    """One fault, as it was felt. Times in seconds since the monitor began.

    Attributes:
        back_s: when all was counted that the log held after healing, and nothing older than 5 s was missing.
        worst_lag_s: the highest lag from breaking until then.
        duplicates: repeated records absorbed from the last time that all was well until then.
        lost_records: counted records that Redis forgot meanwhile, and that were counted again.
    """

    fault: Fault
    broken_s: float
    healed_s: float | None = None
    back_s: float | None = None
    worst_lag_s: float = 0.0
    duplicates: int = 0
    lost_records: int = 0
    _lost_before: int = 0
    _looks: int = 0
    _ends: Offsets | None = None


@dataclass
class Chaos:
    """A run that is going on."""

    place: Place
    monitor: Monitor
    say: Callable[[str], None]
    felt: list[Felt] = field(default_factory=list)
    _running: list[tuple[Felt, faults.Run, float]] = field(default_factory=list)
    _waiting: list[Felt] = field(default_factory=list)
    _duplicates: int = 0

    def wait(self, until: Callable[[], bool], patience_s: float, what: str) -> None:
        """Goes on with everything until it holds. ChaosError if it never does."""
        end_s = time.monotonic() + patience_s
        while not until():
            if time.monotonic() > end_s:
                raise ChaosError(f"waited {patience_s:.0f} s in vain {what}; {self.place.last_words()}")
            self._turn()
            time.sleep(TICK_S)

    def pause(self, seconds: float) -> None:
        """So long nothing is broken."""
        end_s = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= end_s, seconds + 60, "for a pause to end")

    def step(self, step: Step) -> None:
        """Breaks and heals the faults of a step; after a quiet one waits until the figures are back."""
        began_s = time.monotonic()
        for fault in sorted(step.faults, key=lambda each: each.after_s):
            self.pause(max(0.0, began_s + fault.after_s - time.monotonic()))
            self._break(fault)
        names = ", ".join(map(str, step.faults))
        self.wait(lambda: not self._running, BACK_S, f"for {names} to heal")
        if step.quiet:
            self.wait(lambda: not self._waiting, BACK_S, f"for the figures to be back after {names}")

    def settle(self) -> None:
        """Waits until all faults are over and everything in the log is counted."""
        self.wait(lambda: not self._running and not self._waiting, BACK_S, "for the last faults to be over")
        self.wait(lambda: self.monitor.idle, DRAINED_S, "until everything in the log is counted")

    def _break(self, fault: Fault) -> None:
        felt = Felt(fault, self.monitor.seconds, _lost_before=self.monitor.lost_records)
        self.felt.append(felt)
        self.say(f"{felt.broken_s:7.1f} s  {fault}, heals after {fault.lasts_s:g} s")
        self._running.append((felt, faults.run(self.place, fault), 0.0))
        self._turn()

    def _turn(self) -> None:
        self.place.tend()
        self.monitor.check()
        running, self._running = self._running, []
        for felt, steps, due_s in running:
            if time.monotonic() < due_s:
                self._running.append((felt, steps, due_s))
            elif (idle_s := self._go_on(felt, steps)) is not None:
                self._running.append((felt, steps, time.monotonic() + idle_s))
        self._waiting = [felt for felt in self._waiting if not self._is_back(felt)]

    def _go_on(self, felt: Felt, steps: faults.Run) -> float | None:
        """One more step of a fault; None once it has healed."""
        try:
            return next(steps)
        except StopIteration:
            felt.healed_s = self.monitor.seconds
            felt._looks = self.monitor.looks
            self._waiting.append(felt)
            return None
        except (PulseError, OSError) as error:
            raise ChaosError(f"fault {felt.fault}: {error}; {self.place.last_words()}") from error

    def _is_back(self, felt: Felt) -> bool:
        # A look that was going on when it healed may have seen the time before.
        if self.monitor.looks < felt._looks + 2:
            return False
        if felt._ends is None:
            felt._ends = self.monitor.ends
            return False
        if not self.monitor.has_counted(felt._ends):
            return False
        felt.back_s = self.monitor.seconds
        felt.worst_lag_s = max(lag for at, lag in self.monitor.lags if at >= felt.broken_s)
        felt.lost_records = self.monitor.lost_records - felt._lost_before
        duplicates = self.place.duplicates()
        felt.duplicates = duplicates - self._duplicates
        self._duplicates = duplicates
        assert felt.healed_s is not None
        self.say(
            f"{felt.back_s:7.1f} s  {felt.fault} is over: back {felt.back_s - felt.healed_s:.1f} s after "
            f"healing, worst lag {felt.worst_lag_s:.1f} s, {felt.lost_records} records lost by Redis"
        )
        return True


@dataclass(frozen=True)
class Result:
    """A run that came to its end; `seconds` is how long faults were made."""

    seed: int
    seconds: float
    chaos: Chaos
    proof: Proof
    outputs: dict[str, int]


def run(
    folder: Path,
    steps: Sequence[Step],
    *,
    seed: int,
    rate: int,
    minutes: float,
    say: Callable[[str], None],
    every_s: float = 0.0,
    all_scopes: bool = False,
) -> Result:
    """Does the steps, as many as begin within `minutes`, and proves what came of them.

    `every_s`: from the beginning of a step to that of the next one, at least: a soak, which leaves one worker
    alone, since memory is comparable within the life of a process only. `all_scopes`: the API is asked
    for every scope, not for the largest of each kind.
    """
    place = Place(folder, rate=rate, seed=seed, spared=1 if every_s else 0)
    monitor = Monitor(
        place.background,
        place.kafka.bootstrap,
        place.settings,
        lambda: place.redis.primary.url,
        place.processes,
    )
    chaos = Chaos(place, monitor, say)
    try:
        place.start()
        monitor.start()
        chaos.wait(lambda: monitor.is_current, FIRST_S, "for the first figures")
        began_s = time.monotonic()
        for step in steps:
            if time.monotonic() - began_s > minutes * 60:
                break
            step_s = time.monotonic()
            chaos.step(step)
            chaos.pause(max(step.pause_s, step_s + every_s - time.monotonic()))
        seconds = time.monotonic() - began_s
        say(f"{monitor.seconds:7.1f} s  {len(chaos.felt)} faults are over; the source ends")
        place.end_source()
        chaos.settle()
        monitor.stop()
        say(f"{monitor.seconds:7.1f} s  comparing everything")
        proof = prove(place, all_scopes=all_scopes)
        return Result(seed, seconds, chaos, proof, dict(monitor.outputs))
    finally:
        monitor.give_up()
        place.stop()


def as_json(result: Result) -> dict[str, Any]:
    """What `--json` prints."""
    chaos, monitor = result.chaos, result.chaos.monitor
    return {
        "seed": result.seed,
        "faults": [
            {
                "number": felt.fault.number,
                "kind": felt.fault.kind,
                "broken_s": round(felt.broken_s, 2),
                "healed_s": _rounded(felt.healed_s),
                "back_s": _rounded(felt.back_s),
                "worst_lag_s": round(felt.worst_lag_s, 2),
                "duplicates": felt.duplicates,
                "lost_records": felt.lost_records,
            }
            for felt in chaos.felt
        ],
        "seconds": round(result.seconds, 1),
        "records": sum(monitor.ends.values()),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(percentile(monitor.loads, 0.5), 1),
        "outputs": result.outputs,
        "lost_records": monitor.lost_records,
        "ended": chaos.place.ended,
        "lags": [(round(at, 2), round(lag, 2)) for at, lag in monitor.lags],
        "memory": {
            name: [(round(at, 1), pid, round(mib, 1)) for at, pid, mib in points]
            for name, points in monitor.memory.items()
        },
        "proof": result.proof.as_json(),
        "mismatches": result.proof.mismatches,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
