"""One seed's story: workers over a log and a Redis, faults between them, and in the end a healed world."""

from __future__ import annotations

from asyncio import Handle
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from schemas.events import INPUT_TOPICS
from streams.state import Rules
from tests.simulation import judge, peace
from tests.simulation.faults import ARMED, KINDS, WIRE_KINDS, Fault
from tests.simulation.kafka_model import KafkaModel
from tests.simulation.loop import SimLoop
from tests.simulation.process import PREFIX, Process, Surroundings
from tests.simulation.records import Draft
from tests.simulation.wire import THE_WORLD, RedisServer
from verify.model import PartitionExpected

META = f"{PREFIX}:{{0}}:meta"
SNAPSHOTS = 8
WORKERS_MAX = 3
# Faults that must have happened before the world heals, while there are records or faults left.
FAULTS_WANTED = 20
# Virtual time within which a healed world must have saved everything.
HEALED_WITHIN_S = 45.0
STEPS_MAX = 200_000


@dataclass(frozen=True)
class Story:
    """Everything that a seed decides before it begins; `schedule` seeds what is chosen on the way."""

    schedule: int
    records: Sequence[Draft]
    faults: Sequence[Fault]
    scope_values_max: int
    max_dirty_cells: int
    watchdog_ms: int
    limits: Mapping[str, int]


@dataclass
class Outcome:
    """How a story went: what was wrong, and what happened."""

    wrong: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    told: list[tuple[float, str]] = field(default_factory=list)
    steps: int = 0
    virtual_s: float = 0.0
    records: int = 0
    writes: int = 0
    # A hash of what Redis holds, to be compared over processes.
    contents: str = ""


class World:
    """Runs one story, once; `rules` are those of the pipeline."""

    def __init__(self, story: Story, rules: Rules) -> None:
        self.story = story
        self.outcome = Outcome()
        self.rng = Random(story.schedule)
        self.loop = SimLoop(self.rng)  # type: ignore[abstract]
        self.kafka = KafkaModel()
        self.redis = RedisServer(self.rng)
        self.redis.on_written = self._written
        self.redis.happened = self._happened
        self.processes: list[Process] = []
        self.holder: Process | None = None
        self.writes: list[judge.Written] = []
        self._around = Surroundings(
            kafka=self.kafka,
            redis=self.redis,
            rng=self.rng,
            rules=rules,
            now_ms=self.now_ms,
            happened=self._happened,
            tell=self.tell,
            ended=self._ended,
            max_dirty_cells=story.max_dirty_cells,
            watchdog_ms=story.watchdog_ms,
        )
        self._snapshots: deque[dict[str, Any]] = deque([{}], maxlen=SNAPSHOTS)
        self._faults = deque(story.faults)
        self._unsent = deque(story.records)
        self._next_fault = self._faults[0].steps if self._faults else -1
        self._generation = 0
        self._started = 0
        self._clock_ms = 0
        self._clock_at_s = 0.0
        self._healed_at_s: float | None = None

    # Time and the story.

    def now_ms(self) -> int:
        """The right time: it goes on with the log's, and with the loop's in between."""
        return self._clock_ms + int((self.loop.time() - self._clock_at_s) * 1000)

    def tell(self, line: str) -> None:
        """Adds to the story."""
        self.outcome.told.append((self.loop.time(), line))

    def later(self, seconds: float, callback: Callable[[], object]) -> Handle:
        """Something that happens in the world, whoever lives."""
        return self.loop.call_later(seconds, callback, context=THE_WORLD)

    def _happened(self, name: str) -> None:
        kind = WIRE_KINDS[name]
        self.outcome.faults[kind] += 1
        self.tell(f"({kind})")

    def _ended(self, line: str) -> None:
        """Nothing here that no retry can mend, but that a clock's jump may look like a lack of progress."""
        self.tell(line)
        if "no progress" not in line:
            self._wrong("on the way", [line])

    # What producers do.

    def _send_next(self) -> None:
        if self._unsent:
            draft = self._unsent.popleft()
            self._append(draft)
            self.later(draft.wait_s, self._send_next)

    def _append(self, draft: Draft) -> None:
        self._clock_ms = max(self.now_ms(), draft.at_ms)
        self._clock_at_s = self.loop.time()
        self.tell(f"{draft.topic} {self.kafka.ends[draft.topic]}: {draft.value!r}")
        self.kafka.append(draft.topic, draft.at_ms, b"k", draft.value)
        if draft.gap:
            self.kafka.leave_gap(draft.topic, draft.gap)
        self.outcome.records += 1

    def send_again(self, a: float, b: float) -> str:
        """See `faults.send_again`; its Kafka timestamp is that of the first time, or now."""
        sent = len(self.story.records) - len(self._unsent)
        if not sent:
            return ""
        draft = self.story.records[int(a * sent)]
        at_ms = draft.at_ms if b < 0.5 else self._clock_ms
        self._append(Draft(draft.topic, at_ms, draft.value, 0.0))
        return "the producer has sent that a second time"

    # What the group does.

    def _supervise(self) -> None:
        """Somebody owns the partition: who died is replaced a while later."""
        self.later(0.05 + 0.3 * self.rng.random(), self._supervise)
        if self.holder is None or self.holder.life.dead:
            self._assign(self._successor(is_new=self.rng.random() < 0.5))

    def _successor(self, is_new: bool) -> Process:
        self.processes = [process for process in self.processes if not process.life.dead]
        others = [each for each in self.processes if each is not self.holder]
        if others and (not is_new or len(self.processes) >= WORKERS_MAX):
            return self.rng.choice(others)
        self._started += 1
        process = Process(f"worker {self._started}", self._around)
        self.processes.append(process)
        process.start()
        return process

    def _assign(self, process: Process) -> None:
        if process.life.dead:
            self.holder = None
            return
        self.holder = process
        self._generation += 1
        self.tell(f"{process.name} is given the partition")
        process.assign(self._generation)

    def rebalance(self, is_told: bool, is_new: bool) -> str:
        """The partition goes to another process, or anew to its own where there is no other."""
        before = self.holder
        if before is None or before.life.dead:
            return ""
        if not is_told:
            self._assign(self._successor(is_new))
            return f"{before.name} does not know that it has lost the partition"
        before.revoke()
        following = self._successor(is_new) if self.rng.random() < 0.7 else before
        self.later(0.02 + 0.3 * self.rng.random(), lambda: self._assign(following))
        return f"{before.name} is told that a rebalance began"

    def resume(self, process: Process) -> None:
        """SIGCONT; nothing where it is not paused."""
        if process.life.paused and not process.life.dead:
            self.tell(f"{process.name} goes on")
            self.loop.resume(process.life)

    # What happens to Redis and Kafka.

    def end_trouble(self) -> None:
        """Redis is well again."""
        self.redis.trouble = ""

    def end_slowness(self) -> None:
        """Answers are quick again."""
        self.redis.slow_s = 0.0

    def end_kafka_trouble(self) -> None:
        """Kafka answers again."""
        self.kafka.away = False

    def roll_back(self, writes: int) -> str:
        """Redis is as it was so many writes ago."""
        writes = min(writes, len(self._snapshots) - 1)
        if not writes:
            return ""
        for _ in range(writes):
            self._snapshots.pop()
        self.redis.model.restore(self._snapshots[-1])
        self.redis.cut()
        return f"Redis comes back without its last {writes} writes"

    def empty(self) -> None:
        """Redis holds nothing."""
        self.redis.model.restore({})
        self._snapshots.clear()
        self._snapshots.append({})
        self.redis.cut()

    def _written(self, answer: Sequence[Any]) -> None:
        self.tell(f"Redis answers {answer[0].decode()} {answer[1:2]}")
        if answer[0] != b"OK":
            return
        self.outcome.writes += 1
        self._snapshots.append(self.redis.model.snapshot())
        self.writes.append(judge.Written(self.vector(), len(self.kafka.refused)))

    def vector(self) -> dict[str, int]:
        """How far Redis says that each topic was read."""
        meta = self.redis.model.data.get(META, {})
        return {topic: int(meta.get(b"off:" + topic.encode(), b"0")) for topic in INPUT_TOPICS}

    def look(self) -> None:
        """Compares Redis, as it is now, with the recomputation of exactly what its vector says was read."""
        vector = self.vector()
        if any(vector.values()):
            expected = judge.expected(self.kafka.records(vector), self.story.scope_values_max)
            self._wrong("before the end", self._differences(expected))
            self._wrong("before the end", judge.missing_letters(self.kafka, expected))

    def _differences(self, expected: PartitionExpected) -> list[str]:
        return judge.differences(self.redis.model.data, expected, self.story.scope_values_max)

    def _wrong(self, when: str, found: Sequence[str]) -> None:
        self.outcome.wrong += [f"{when}: {each}" for each in found]

    # The run.

    def _before_step(self) -> None:
        while self._next_fault == 0:
            fault = self._faults.popleft()
            told = KINDS[fault.kind][1](self, fault.a, fault.b)
            if told:
                self.tell(told)
                if fault.kind not in ARMED:
                    self.outcome.faults[fault.kind] += 1
            self._next_fault = self._faults[0].steps if self._faults else -1
        self._next_fault -= 1

    def _is_disturbed(self) -> bool:
        """Whether the story goes on: until enough went wrong and everything is sent, or nothing is left."""
        enough = self.outcome.faults.total() >= FAULTS_WANTED or not self._faults
        return bool(self.outcome.wrong) or (enough and not self._unsent) or self.loop.steps > STEPS_MAX

    def _is_saved(self) -> bool:
        """Whether Redis holds everything and its owner has nothing more to save, nor to delete of figures."""
        if self._healed_at_s is None:
            return False
        is_late = self.loop.time() - self._healed_at_s > HEALED_WITHIN_S
        if is_late or self.outcome.wrong or self.loop.steps > STEPS_MAX:
            return True
        # Asked now and then: it costs more than a step.
        if self.loop.steps % 8 or self.vector() != self.kafka.ends:
            return False
        owner = self.holder.owner if self.holder else None
        state = owner.state if owner else None
        return state is not None and not state.dirty and not self._overdue()

    def _overdue(self) -> list[str]:
        return judge.overdue(self.redis.model.data, self.story.scope_values_max)

    def run(self) -> Outcome:
        """Lets the story happen, heals the world, and judges what came of it."""
        self.later(0.0, self._supervise)
        self.later(0.01, self._send_next)
        self.loop.run(self._is_disturbed, self._before_step)
        self.later(0.0, self._heal)
        self.loop.run(self._is_saved, lambda: None)
        outcome = self.outcome
        outcome.steps, outcome.virtual_s = self.loop.steps, self.loop.time()
        if not outcome.wrong:
            self._judge()
        self.loop.end()
        return outcome

    def _heal(self) -> None:
        self.tell("the world heals")
        self._faults.clear()
        self._next_fault = -1
        self._healed_at_s = self.loop.time()
        self.end_trouble()
        self.end_slowness()
        self.end_kafka_trouble()
        for process in self.processes:
            process.client.armed.clear()
            process.brokers.armed.clear()
            process.know_lag()
            self.resume(process)
            # In every other story zombies are never told, and go on beside the owner.
            if self.story.schedule % 2 and process is not self.holder and not process.life.dead:
                process.revoke()

    def _judge(self) -> None:
        unsaved = {
            t: (have, self.kafka.ends[t]) for t, have in self.vector().items() if have != self.kafka.ends[t]
        }
        if unsaved:
            self._wrong("at the end", [f"not everything was saved within {HEALED_WITHIN_S} s: {unsaved}"])
            return
        final = judge.expected(self.kafka.records(), self.story.scope_values_max)
        self._wrong("at the end", self._differences(final))
        self._wrong("at the end", self._overdue())
        self._wrong("at the end", judge.letters(self.kafka, final))
        self._wrong("on the way", judge.letters_first(self.kafka, final, self.writes))
        self._wrong("on the way", [f"a callback failed: {error!r}" for error in self.loop.errors])
        # Every third story: it is read anew for this.
        if self.story.schedule % 3 == 0 and not self.outcome.wrong and peace.is_comparable(self.kafka):
            self._wrong("at the end", peace.differences(self.redis.model, self.kafka, self._around.rules))
        self._wrong("at the end", peace.unlisted(self.redis.model))
        self.outcome.contents = peace.fingerprint(self.redis.model)
