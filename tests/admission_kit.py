"""Owners that read logs, save and die, over plain dicts; and what they must come to, said plainly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from schemas.events import Event, LiveJoin, ProductView, TagTap, View, event_type
from streams.fold import EventCounter
from streams.kpi import FigureSet, ScopeKind
from streams.kpis import FIGURE_SETS
from streams.scopes import ALL, LIVE, LIVE_PRODUCT, OTHER, PLATFORM, PRODUCT, pair_value
from streams.sums import CellWrite, Sums
from streams.users import SketchWrite, UserSketches
from streams.window import Pane, PaneSize

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
SIZES = (
    PaneSize("10s", 10 * SECOND, 5 * MINUTE),
    PaneSize("1m", MINUTE, 2 * HOUR),
    PaneSize("1h", HOUR, 35 * DAY),
    PaneSize("1d", DAY, 800 * DAY),
)
FINE, LONG = SIZES[0], SIZES[-1]
FIGURES = FigureSet(
    name="some",
    kinds=(ALL, PLATFORM, PRODUCT, LIVE, LIVE_PRODUCT),
    sizes=frozenset({"10s", "1m", "1h", "1d"}),
    measures=FIGURE_SETS["all"].measures,
)
CAPPED_KINDS = (PRODUCT, LIVE, LIVE_PRODUCT)
START = 1_767_614_400_000
TOPICS: Mapping[str, tuple[type[Event], ...]] = {
    "views": (View, ProductView),
    "tag-taps": (TagTap,),
    "livestreams": (LiveJoin,),
}
Cells = dict[tuple[str, str, int, str], int]


def event(
    cls: type[Event], at_ms: int = 0, product: str | None = None, live: str | None = None, user: str = "u"
) -> Event:
    """A shopper's event, `at_ms` after START."""
    fields: dict[str, Any] = {
        "event_id": "e",
        "event_time_ms": START + at_ms,
        "platform": "tiktok",
        "user_id": user,
        "session_id": "s",
        "product_id": product,
        "live_id": live,
    }
    made: Event = cls(**fields)
    return made


def value_of(kind: ScopeKind, each: Event) -> str | None:
    """What is stored as the event's value of the scope."""
    values = [getattr(each, field) for field in kind.fields]
    if None in values:
        return None
    return pair_value(*values) if len(values) == 2 else "".join(values)


class Shop:
    """One owner after the other: they read the logs of all topics, save now and then, and die."""

    def __init__(self, logs: Mapping[str, Sequence[Event]], cap: int) -> None:
        self.logs = logs
        self.cap = cap
        self.cells: dict[tuple[str, Pane], dict[str, int]] = {}
        self._saved_offsets = dict.fromkeys(logs, 0)
        self._saved_high_ms = 0
        self.panes: set[Pane] = set()
        self._on_the_way: tuple[list[CellWrite], list[Pane], dict[str, int], int] | None = None
        self._take_over()

    def _take_over(self) -> None:
        self.sums = Sums(FIGURES, SIZES, self.cap)
        self.sums.load_stored(self.panes)
        self.counter = EventCounter(FIGURES, self.sums)
        self.offsets, self.high_ms = dict(self._saved_offsets), self._saved_high_ms

    def learn(self, times_ms: Sequence[int]) -> None:
        """Reads what the panes admitted, as far as the memory does not know it."""
        unknown = self.sums.admission.unknown(times_ms)
        self.sums.admission.load({place: list(self.cells.get(place, {})) for place in unknown})

    def read(self, topic: str, count: int) -> Sequence[Event]:
        """Counts the next events of a topic, and returns them."""
        at = self.offsets[topic]
        chunk = self.logs[topic][at : at + count]
        times_ms = [each.event_time_ms for each in chunk]
        self.learn(times_ms)
        self.counter.count(chunk, times_ms)
        self.offsets[topic] = at + len(chunk)
        self.high_ms = max([self.high_ms, *times_ms])
        return chunk

    def begin_save(self) -> None:
        """A write is on its way; more may be read before it is answered."""
        self.end_save()
        self._on_the_way = (*self.sums.take(self.high_ms), dict(self.offsets), self.high_ms)

    def end_save(self, answered: bool = True) -> None:
        """The write on its way is applied; `answered`: its answer arrives."""
        if self._on_the_way is None:
            return
        writes, expired, self._saved_offsets, self._saved_high_ms = self._on_the_way
        self._on_the_way = None
        answers = []
        for write in writes:
            cells = self.cells.setdefault((write.kind, write.pane), {})
            cells.update(write.absolute)
            for name, amount in write.deltas.items():
                cells[name] = cells.get(name, 0) + amount
                answers.append(cells[name])
            self.panes.add(write.pane)
        self.panes.difference_update(expired)
        self.cells = {key: cells for key, cells in self.cells.items() if key[1] in self.panes}
        if answered:
            self.sums.learn(writes, iter(answers))

    def crash(self, write_is_lost: bool) -> None:
        """The owner dies, and with it perhaps the write on its way; another one takes over."""
        if not write_is_lost:
            self.end_save(answered=False)
        self._on_the_way = None
        self._take_over()

    def finish(self) -> None:
        """Reads and saves all that is left."""
        for topic, log in self.logs.items():
            self.read(topic, len(log))
        self.begin_save()
        self.end_save()

    def stored(self) -> Cells:
        """Every cell of the panes that are kept."""
        return {
            (kind, pane.size.name, pane.start_ms, name): amount
            for (kind, pane), cells in self.cells.items()
            for name, amount in cells.items()
            if amount and pane.size.is_written(pane.start_ms, self.high_ms)
        }

    def run(self, steps: Sequence[tuple[Any, ...]]) -> None:
        """Does what the steps say, then the rest."""
        for step in steps:
            match step:
                case ("read", str(topic), int(count)):
                    self.read(topic, count)
                case ("begin save",):
                    self.begin_save()
                case ("end save", bool(answered)):
                    self.end_save(answered)
                case ("rest",):
                    for _ in range(3):
                        self.begin_save()
                case ("crash", bool(write_is_lost)):
                    self.crash(write_is_lost)
        self.finish()


class Plain:
    """The same, said plainly: every event in its topic's order, in every pane by itself."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.cells: defaultdict[tuple[str, str, int, str], int] = defaultdict(int)
        self._admitted: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)

    def scope(self, topic: str, size: PaneSize, kind: ScopeKind, each: Event) -> str | None:
        """The value under which the event stands in its pane of this size."""
        value = value_of(kind, each)
        if value is None or kind not in CAPPED_KINDS or value == OTHER:
            return value
        admitted = self._admitted[topic, size.name, size.start_of(each.event_time_ms), kind.name]
        if value not in admitted and len(admitted) < self.cap:
            admitted.append(value)
        return value if value in admitted else OTHER

    def count(self, topic: str, each: Event) -> None:
        """Counts one event."""
        for size in SIZES:
            start_ms = size.start_of(each.event_time_ms)
            for kind in FIGURES.kinds:
                value = self.scope(topic, size, kind, each)
                if value is None:
                    continue
                self.cells[kind.name, size.name, start_ms, f"events.{event_type(type(each))}|{value}"] += 1
                if value != value_of(kind, each):
                    self.cells[kind.name, size.name, start_ms, f"capped|{topic}"] += 1

    def kept(self, high_ms: int) -> Cells:
        """The cells of panes that are kept."""
        sizes = {size.name: size for size in SIZES}
        return {key: n for key, n in self.cells.items() if sizes[key[1]].is_written(key[2], high_ms)}


# A few values, few panes, and now and then a step in time past the shortest retention.
VALUES = st.sampled_from(["a", "b", "c", OTHER])
TIMES = st.sampled_from([0, 0, 0, 3 * SECOND, 12 * SECOND, 61 * SECOND, 130 * MINUTE])


@st.composite
def logs(draw: st.DrawFn) -> dict[str, list[Event]]:
    """A log for each topic."""
    made = {}
    for topic, classes in TOPICS.items():
        one = st.builds(
            event,
            st.sampled_from(classes),
            TIMES,
            VALUES if topic == "tag-taps" else VALUES | st.none(),
            VALUES if topic == "livestreams" else VALUES | st.none(),
            st.sampled_from(["u", "v"]),
        )
        made[topic] = draw(st.lists(one, min_size=4, max_size=10))
    return made


READ = st.tuples(st.just("read"), st.sampled_from(list(TOPICS)), st.integers(1, 3))
OTHER_STEPS = st.one_of(
    st.tuples(st.just("begin save")),
    st.tuples(st.just("end save"), st.booleans()),
    st.tuples(st.just("rest")),
    st.tuples(st.just("crash"), st.booleans()),
)
STEPS = st.lists(st.one_of(READ, OTHER_STEPS), min_size=6, max_size=20)


class SketchedShop(Shop):
    """An owner that keeps users, too; what Redis would have in its sketches, as sets."""

    def __init__(self, logs: Mapping[str, Sequence[Event]], cap: int) -> None:
        self.sketches: defaultdict[tuple[Pane, str], set[str]] = defaultdict(set)
        self.user_panes: set[Pane] = set()
        self._sketch_write = SketchWrite({}, [])
        super().__init__(logs, cap)

    def _take_over(self) -> None:
        super()._take_over()
        self.users = UserSketches(FIGURES, self.sums.admission)
        self.users.load_stored(self.user_panes)

    def read(self, topic: str, count: int) -> Sequence[Event]:
        """Counts the next events, and then their users."""
        chunk = super().read(topic, count)
        self.users.add(topic, chunk)
        return chunk

    def begin_save(self) -> None:
        """A write is on its way, with its sketches."""
        super().begin_save()
        self._sketch_write = self.users.take(self.high_ms)

    def end_save(self, answered: bool = True) -> None:
        """It is applied; expired panes are deleted."""
        if self._on_the_way is not None:
            for (pane, name), users in self._sketch_write.members.items():
                self.user_panes.add(pane)
                self.sketches[pane, name] |= users_of(users)
            for pane in self._sketch_write.expired:
                self.user_panes.discard(pane)
                self.users.forget(pane)
                for key in [key for key in self.sketches if key[0] == pane]:
                    del self.sketches[key]
        super().end_save(answered)


def users_of(users: list[str]) -> set[str]:
    """The users of a sketch in one write; each stands there once."""
    assert len(set(users)) == len(users)
    return set(users)
