"""How a run goes on: faults in turns, when one is back, and what is told when it never is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from streams.errors import PulseError
from tests.chaos import faults
from tests.chaos import run as module
from tests.chaos.measures import Offsets
from tests.chaos.monitor import Monitor
from tests.chaos.place import Place
from tests.chaos.plan import Fault, Kind, Step
from tests.chaos.run import Chaos, ChaosError

PLACE = ("views", 0)


class Watched:
    """A log and what is counted of it; every turn is one more look, and one more second."""

    def __init__(self) -> None:
        self.looks = 0
        self.seconds = 0.0
        self.ends: Offsets = {PLACE: 10}
        self.counted = 10
        self.lags: list[tuple[float, float]] = []
        self.lost_records = 0
        self.each_look: Callable[[], None] = lambda: None

    def check(self) -> None:
        """A look."""
        self.looks += 1
        self.seconds += 1.0
        self.each_look()
        self.lags.append((self.seconds, float(self.ends[PLACE] - self.counted)))

    def has_counted(self, ends: Offsets) -> bool:
        """Whether these are counted."""
        return self.counted >= ends[PLACE]


class Quiet:
    """A place in which nothing has to be started again."""

    def tend(self) -> None:
        """Nothing ended."""

    def last_words(self) -> str:
        """What is told of a failed run."""
        return "worker-0 said: help"

    def duplicates(self) -> int:
        """Always as many."""
        return 3


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """What the monitor sees; waiting takes no time."""
    monkeypatch.setattr(module, "TICK_S", 0.0)
    return Watched()


@pytest.fixture
def chaos(watched: Watched) -> Chaos:
    """A run without processes."""
    return Chaos(cast(Place, Quiet()), cast(Monitor, watched), lambda _line: None)


def _step(*kinds: Kind, quiet: bool = True) -> Step:
    return Step(tuple(Fault(n, kind, 0.0, 0.0, 1) for n, kind in enumerate(kinds, 1)), 0.0, quiet)


def _lasting(turns: int, heal: Callable[[], None] = lambda: None) -> Callable[..., faults.Run]:
    def run(_place: Any, _fault: Fault) -> faults.Run:
        for _ in range(turns):
            yield 0.0
        heal()

    return run


def test_faults_of_a_step_overlap(chaos: Chaos, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is broken while the first is not healed; both are back in the end."""
    monkeypatch.setattr(faults, "run", _lasting(5))
    chaos.step(_step(Kind.REDIS_CUT, Kind.WORKER_KILL))
    first, second = chaos.felt
    assert first.healed_s is not None and second.healed_s is not None
    assert second.broken_s < first.healed_s < second.healed_s
    assert first.back_s is not None and second.back_s is not None
    assert first.duplicates == 3 and second.duplicates == 0


def test_a_fault_is_back_when_what_came_until_after_it_is_counted(
    chaos: Chaos, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks that may be older than the healing say nothing; the highest lag on the way is kept."""

    def log_grows() -> None:
        watched.ends = {PLACE: 30}
        watched.lost_records = 7

    def counted_late() -> None:
        if watched.looks > 20:
            watched.counted = 30

    monkeypatch.setattr(faults, "run", _lasting(3, log_grows))
    watched.each_look = counted_late
    chaos.step(_step(Kind.REDIS_POWER_LOSS))
    (felt,) = chaos.felt
    assert felt.healed_s is not None and felt.back_s is not None
    assert felt.back_s >= 20 > felt.healed_s
    assert felt.worst_lag_s == 20
    assert felt.lost_records == 7


def test_a_step_that_is_not_quiet_does_not_wait(
    chaos: Chaos, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next faults come while the figures are not back; in the end all are waited for."""
    monkeypatch.setattr(faults, "run", _lasting(1, lambda: setattr(watched, "ends", {PLACE: 11})))
    chaos.step(_step(Kind.REDIS_CUT, quiet=False))
    assert chaos.felt[0].healed_s is not None and chaos.felt[0].back_s is None
    watched.counted = 11
    chaos.step(_step(Kind.WORKER_KILL))
    assert all(felt.back_s is not None for felt in chaos.felt)


def test_figures_that_never_come_back_fail_the_run(
    chaos: Chaos, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the fault, and what workers said last."""
    monkeypatch.setattr(faults, "run", _lasting(1))
    monkeypatch.setattr(module, "BACK_S", 0.05)
    watched.counted = 0
    with pytest.raises(ChaosError, match=r"back after #1 redis-cut; worker-0 said: help"):
        chaos.step(_step(Kind.REDIS_CUT))


def test_a_fault_that_fails_fails_the_run(chaos: Chaos, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example a server that does not start again."""

    def no_server() -> None:
        raise PulseError("Redis did not come back")

    monkeypatch.setattr(faults, "run", _lasting(1, no_server))
    with pytest.raises(ChaosError, match=r"fault #1 redis-kill: Redis did not come back; worker-0 said"):
        chaos.step(_step(Kind.REDIS_KILL))
