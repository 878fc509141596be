"""Four weeks of a steady shop in a Redis, written quickly: hours of all of it, minutes of the last ones.

What changes in the last hours is said by minute; hours are the sums of their minutes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.changes import Change, Kind
from streams.cohorts import STEPS
from streams.drops import drops_answer
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.scopes import pair_value
from streams.watch import Watch
from tests.redis_kit import NOON_MS, Shop

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
NOON = NOON_MS // MINUTE_MS
# The watch's windows end so long before the clock: the watermark is 10 s behind, the horizon 15 min.
END = NOON - 16
MINUTES_KEPT = 8 * 60

Cells = Mapping[tuple[str, str], Mapping[str, int]]
# What happens in a minute; by kind and value of the scope, by measure.
ByMinute = Callable[[int], Cells]

_NAMES = dict(
    zip(("view", "tap", "cart", "buy"), (STEPS[0].whole, *(s.part for s in STEPS[:3])), strict=True)
)


def funnel(view: int, tap: int, cart: int, buy: int) -> dict[str, int]:
    """Sessions by step."""
    return dict(zip(_NAMES.values(), (view, tap, cart, buy), strict=True))


def added(*parts: Mapping[str, int]) -> dict[str, int]:
    """Measures added up."""
    sums: dict[str, int] = defaultdict(int)
    for part in parts:
        for name, amount in part.items():
            sums[name] += amount
    return dict(sums)


def shop_of(surfaces: Mapping[tuple[str, str], Mapping[str, int]]) -> dict[tuple[str, str], dict[str, int]]:
    """A shop's scopes, from what each surface of each platform does in a minute."""
    cells: dict[tuple[str, str], dict[str, int]] = {("all", ""): added(*surfaces.values())}
    for (platform, surface), amounts in surfaces.items():
        for scope in (("platform", platform), ("surface", surface)):
            cells[scope] = added(cells.get(scope, {}), amounts)
        cells["platform,surface", pair_value(platform, surface)] = dict(amounts)
    return cells


# tiktok sells on two surfaces, one of which hardly converts; douyin on one.
STEADY = shop_of(
    {
        ("tiktok", "live"): funnel(60, 12, 4, 1),
        ("tiktok", "search"): funnel(60, 20, 8, 4),
        ("douyin", "search"): funnel(60, 20, 8, 4),
    }
)


def merged(*cells: Cells) -> dict[tuple[str, str], dict[str, int]]:
    """Several shops at once."""
    scopes = dict.fromkeys(scope for each in cells for scope in each)
    return {scope: added(*(each.get(scope, {}) for each in cells)) for scope in scopes}


def times(cells: Cells, n: int) -> Cells:
    """A shop `n` times as large."""
    return merged(*([cells] * n))


FAILED_FROM = END - 30
LARGE = times(STEADY, 10)


def fill(shop: Shop, by_minute: ByMinute, usual: Cells, days: int = 30, until: int = NOON) -> None:
    """Writes `days` of `usual`, of which the last MINUTES_KEPT minutes are as `by_minute` says."""
    first = until - until % 60 - MINUTES_KEPT
    of_hours: dict[int, Cells] = {
        hour: {scope: {name: 60 * n for name, n in of.items()} for scope, of in usual.items()}
        for hour in range(first // 60 - 24 * days, first // 60)
    }
    panes = [("1h", hour * HOUR_MS, cells) for hour, cells in of_hours.items()]
    minutes = {minute: by_minute(minute) for minute in range(first, until)}
    panes += [("1m", minute * MINUTE_MS, cells) for minute, cells in minutes.items()]
    for hour in range(first // 60, until // 60 + 1):
        whole = merged(*(cells for minute, cells in minutes.items() if minute // 60 == hour))
        panes.append(("1h", hour * HOUR_MS, whole))
    write(shop, panes)


def write(shop: Shop, panes: Sequence[tuple[str, int, Cells]]) -> None:
    """Sets cells of panes (size, start in ms); scopes are spread over the partitions."""
    pipe = shop.client.pipeline(transaction=False)
    for size, start_ms, cells in panes:
        for p in range(shop.partitions):
            pipe.zadd(f"{shop.prefix}:{{{p}}}:panes", {f"{size}:{start_ms}": start_ms})
        for (kind, value), amounts in cells.items():
            p = len(kind + value) % shop.partitions
            fields = {f"{name}|{value}": n for name, n in amounts.items() if n}
            if fields:
                pipe.hset(f"{shop.prefix}:{{{p}}}:cells:{kind}:{size}:{start_ms}", mapping=fields)  # type: ignore[arg-type]
    pipe.execute()


@dataclass
class Flagged:
    """Flags in memory."""

    spans: list[tuple[int, int]] = field(default_factory=list)
    noted: list[tuple[Kind, str, int, int]] = field(default_factory=list)
    told: list[Change] = field(default_factory=list)

    async def flagged(self, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """All of them."""
        return [span for span in self.spans if span[0] < to_ms and span[1] > from_ms]

    async def standing(self, now_ms: int) -> list[Change]:
        """Those that were told of and go on."""
        return [each for each in self.told if each.at_ms <= now_ms < each.until_ms]

    async def note(self, kind: Kind, title: str, from_ms: int, to_ms: int) -> None:
        """Keeps it."""
        self.noted.append((kind, title, from_ms, to_ms))
        self.spans.append((from_ms, to_ms))


def watching(
    shop: Shop,
    use: Callable[[Watch], Awaitable[Any]],
    flags: Flagged | None = None,
    now_ms: int = NOON_MS,
    clock: Callable[[], int] | None = None,
) -> Any:
    """What `use` gets from a watch that looked once, at `now_ms` or by a clock that moves on."""

    async def ask(model: ReadModel) -> Any:
        model.clock = clock or model.clock
        watch = Watch(model, Ranking(model.store), flags or Flagged())
        await watch.look()
        return await use(watch)

    return shop.ask(ask, now_ms)


async def drops_of(watch: Watch) -> Any:
    """The answer about drops."""
    return drops_answer(watch.found)


def states_in(answer: Any, scope: str = "all") -> set[str]:
    """States of all steps of a scope."""
    return {each["state"] for each in answer["watched"] if each["scope"] == scope}


def dropped_in(answer: Any) -> set[tuple[str, str]]:
    """Scope and step of what fell."""
    return {(each["scope"], each["step"]) for each in answer["drops"]}
