"""How far a rebuild is: what is left, how fast it goes, and whether it may take over.

Pure arithmetic over what Redis and Kafka say; `streams.rebuild` asks them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Place = tuple[str, int]
Meta = Mapping[str, str]

# The pace is that of so long a time: long enough to be steady, short enough to follow what the log holds.
PACE_S = 30.0
# Two workers publish at different moments: watermarks that differ by so much are level.
WATERMARK_SLACK_MS = 3_000


def counted(metas: Sequence[Meta], topics: Iterable[str]) -> dict[Place, int]:
    """Next offsets by topic and partition number, of those that were counted at all."""
    return {
        (topic, p): int(offset)
        for topic in topics
        for p, meta in enumerate(metas)
        if (offset := meta.get(f"off:{topic}")) is not None
    }


def left_of(offsets: Mapping[Place, int], starts: Mapping[Place, int], ends: Mapping[Place, int]) -> int:
    """How many offsets of the log were not counted yet."""
    return sum(max(0, end - max(offsets.get(place, 0), starts[place])) for place, end in ends.items())


def is_level(offsets: Mapping[Place, int], ends: Mapping[Place, int]) -> bool:
    """Whether everything up to `ends` was counted, and every topic-partition was taken over."""
    return all(place in offsets and offsets[place] >= end for place, end in ends.items())


def is_as_complete(metas: Sequence[Meta], served: Sequence[Meta]) -> bool:
    """Whether no watermark lies behind what is published of the generation that is served."""
    return all(
        int(meta.get(name, "0")) >= int(value) - WATERMARK_SLACK_MS
        for meta, before in zip(metas, served, strict=False)
        for name, value in before.items()
        if name.startswith("wm:")
    )


@dataclass(slots=True)
class Pace:
    """How many records a second, lately."""

    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def see(self, at_s: float, total: int) -> None:
        """So many records were counted in all at this time, in seconds of any clock that does not jump."""
        # A log that grows at its start only seems to be counted backwards.
        while self._seen and (self._seen[0][0] < at_s - PACE_S or self._seen[-1][1] > total):
            self._seen.popleft()
        self._seen.append((at_s, total))

    @property
    def per_s(self) -> float:
        """Records a second; 0 while that is not known."""
        (from_s, before), (to_s, after) = self._seen[0], self._seen[-1]
        return (after - before) / (to_s - from_s) if to_s > from_s else 0.0


def line(name: str, done: int, left: int, per_s: float) -> str:
    """One line for whoever waits."""
    share = done / (done + left) if done + left else 1.0
    text = f"{name}: {done:,} of {done + left:,} records ({share:.1%})"
    if per_s > 0:
        text += f", {per_s:,.0f}/s"
        if left:
            text += f", {duration(left / per_s)} left"
    return text


def duration(seconds: float) -> str:
    """A time to wait in words: ``42 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
