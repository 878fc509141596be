"""Pieces of the backtest that run beside each other: quiet days, drops, outages of some shops of one size.

It stands above shops, gauges and Prometheus. Each piece makes its shops, collects the samples of all of them,
and asks Prometheus once: hundreds of shops live through the same day side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from backtest.bound import minutes_needed
from backtest.drops import (
    AFTER_MIN,
    BEHIND_MIN,
    DURATIONS,
    HORIZON_MIN,
    Drop,
    Duration,
    Outage,
    place_drop,
    silenced,
    struck,
)
from backtest.gateways import gateway_samples
from backtest.gauges import (
    Sample,
    Scene,
    Service,
    cohort_samples,
    gmv_samples,
    near_cohorts,
    trust_samples,
    usual_scene,
)
from backtest.prometheus import Rules, fired
from backtest.rivals import Rivals
from backtest.shops import LEAD_MIN, Parameters, Shop, make_shop
from backtest.tables import Board, sure_since

DAY_MIN: Final = 24 * 60
# One page, however often it comes and goes within this time.
MERGED_MIN: Final = 30
# What "soon" means: within this many times the bound.
TIMES_BOUND_MAX: Final = 1.3
# A drop begins within the first hour.
DROP_SCORED_MIN: Final = 60 + max(each.whole_min for each in DURATIONS) + AFTER_MIN + 1
OUTAGE_START_MIN: Final = 60
OUTAGES_MIN: Final = (10, 45, 180)
# After it, until the longest window has forgotten it.
OUTAGE_AFTER_MIN: Final = 360 + HORIZON_MIN + 5
# A topic without heartbeats is silent for sure after 30 s; a service notices at the next look.
SILENCE_NOTICED_MIN: Final = 1

Pages = dict[str, list[tuple[int, int]]]


class Watched(NamedTuple):
    """A shop's baselines and windows, and what the service sees of it."""

    board: Board
    scene: Scene


@dataclass(frozen=True)
class Piece:
    """What one process does at a time: shops number `first` to `last` of a traffic (sessions a minute)."""

    kind: str
    traffic: float
    first: int
    last: int
    seed: int
    sizes: tuple[float, ...] = ()
    durations: tuple[Duration, ...] = ()
    rivals: bool = True

    def seed_of(self, number: int) -> int:
        """The seed of a shop: no two pieces share one."""
        kind = ("quiet", "drops", "outages").index(self.kind)
        return int(np.random.SeedSequence((self.seed, kind, int(self.traffic), number)).generate_state(1)[0])


class Found(NamedTuple):
    """A drop, in how many minutes nobody could have found it (None: never), and who found it in how many."""

    traffic: float
    drop: Drop
    bound_min: int | None
    ours: int | None
    alerts: tuple[str, ...]
    rivals: dict[str, int | None]

    @property
    def lasts(self) -> bool:
        """Whether the drop lasts until TIMES_BOUND_MAX × its bound."""
        lasts_min = self.drop.duration.whole_min + self.drop.horizon_min
        return self.bound_min is not None and lasts_min >= TIMES_BOUND_MAX * self.bound_min


@dataclass
class Outcome:
    """What a piece brought."""

    piece: Piece
    days: int = 0
    pages: int = 0
    by_alert: dict[str, int] = field(default_factory=dict)
    rival_pages: dict[str, int] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    outages: int = 0
    samples: int = 0


def run(piece: Piece, rules: Rules, folder: Path, parameters: Parameters) -> Outcome:
    """One piece, in `folder` alone."""
    folder = folder / f"{piece.kind}-{piece.traffic:g}-{piece.first}"
    return {"quiet": _quiet, "drops": _drops, "outages": _outages}[piece.kind](
        piece, rules, folder, parameters
    )


def _quiet(piece: Piece, rules: Rules, folder: Path, parameters: Parameters) -> Outcome:
    """Days on which nothing is broken: every page is a false one."""
    outcome = Outcome(piece, days=piece.last - piece.first)
    samples: list[Sample] = []
    for number in range(piece.first, piece.last):
        shop = make_shop(piece.traffic, DAY_MIN, piece.seed_of(number), parameters)
        board, scene = Board(shop, DAY_MIN), usual_scene(shop.minutes)
        samples += samples_of(str(number), shop, Watched(board, scene), (0, DAY_MIN))
        for name, flags in Rivals(shop, board).alarms(shop.minutes, 0, DAY_MIN).items():
            count = episodes([(at, at) for at in np.flatnonzero(flags).tolist()])
            outcome.rival_pages[name] = outcome.rival_pages.get(name, 0) + count
    outcome.samples = len(samples)
    for pages in fired(rules, samples, DAY_MIN, folder).values():
        _count(outcome, pages)
    return outcome


def _count(outcome: Outcome, pages: Pages) -> None:
    outcome.pages += episodes([span for spans in pages.values() for span in spans])
    for alert, spans in pages.items():
        outcome.by_alert[alert] = outcome.by_alert.get(alert, 0) + episodes(spans)


def episodes(spans: Sequence[tuple[int, int]]) -> int:
    """How many pages these spans of firing are, those within MERGED_MIN of each other taken for one."""
    count, until = 0, -DAY_MIN
    for first, last in sorted(spans):
        count += first > until + MERGED_MIN
        until = max(until, last)
    return count


def _drops(piece: Piece, rules: Rules, folder: Path, parameters: Parameters) -> Outcome:
    """Every size and duration in each of the shops."""
    outcome = Outcome(piece)
    samples: list[Sample] = []
    open_: dict[str, tuple[Drop, int | None, dict[str, int | None]]] = {}
    for number in range(piece.first, piece.last):
        random = np.random.default_rng((piece.seed_of(number), 1))
        shop = make_shop(piece.traffic, DROP_SCORED_MIN, piece.seed_of(number), parameters)
        board, rivals = Board(shop, DROP_SCORED_MIN), None
        if piece.rivals:
            rivals = Rivals(shop, board)
        for size in piece.sizes:
            for duration in piece.durations:
                drop = place_drop(number, size, duration, random)
                scene = usual_scene(struck(shop.minutes, drop, random, parameters))
                name = f"{number}-{size:g}-{duration.name}"
                last = drop.end + AFTER_MIN
                # Once a page is sure the same page only goes on.
                end = min(last, sure_since(board.windows(scene.tables, drop.start, last), drop.start) or last)
                samples += samples_of(name, shop, Watched(board, scene), (drop.start, end), until_sure=True)
                alarms = rivals.alarms(scene.tables, drop.start, last) if rivals else {}
                first_alarms = {
                    rival: int(flags.argmax()) if flags.any() else None for rival, flags in alarms.items()
                }
                open_[name] = (drop, minutes_needed(shop, drop, parameters), first_alarms)
    outcome.samples = len(samples)
    pages = fired(rules, samples, DROP_SCORED_MIN, folder)
    for name, (drop, bound_min, theirs) in open_.items():
        ours, alerts = _first_page(pages.get(name, {}), drop)
        outcome.found.append(Found(piece.traffic, drop, bound_min, ours, alerts, theirs))
    return outcome


def _first_page(pages: Pages, drop: Drop) -> tuple[int | None, tuple[str, ...]]:
    """In how many minutes from its beginning a drop was paged, and by which alerts."""
    found = {
        alert: min(max(first - drop.start, 0) for first, last in spans if last >= drop.start)
        for alert, spans in pages.items()
        if any(last >= drop.start and first < drop.end + AFTER_MIN for first, last in spans)
    }
    return min(found.values(), default=None), tuple(sorted(found))


def samples_of(
    name: str, shop: Shop, watched: Watched, span: tuple[int, int], until_sure: bool = False
) -> list[Sample]:
    """The samples of a shop in the scored minutes [first, last) of `span`, as far as they can matter; with
    `until_sure` those of gateways only until a page is sure."""
    board, scene = watched
    near = near_cohorts(board, scene, *span)
    samples = list(cohort_samples(name, Service(shop, board, scene), near))
    samples += gateway_samples(name, shop.hours, scene, span, until_sure)
    samples += gmv_samples(name, shop.hours, scene, *span)
    samples += trust_samples(name, scene, {each.minute for each in samples})
    return samples


def _outages(piece: Piece, rules: Rules, folder: Path, parameters: Parameters) -> Outcome:
    """The pipeline stands, or a topic is silent: pages here speak of the business without a reason.

    Two shops of the same seed, one without the outage, so that a page that comes anyway is not counted.
    """
    outcome = Outcome(piece)
    samples: list[Sample] = []
    scored = OUTAGE_START_MIN + max(OUTAGES_MIN) + OUTAGE_AFTER_MIN
    for number in range(piece.first, piece.last):
        shop = make_shop(piece.traffic, scored, piece.seed_of(number), parameters)
        board = Board(shop, scored)
        calm = Watched(board, usual_scene(shop.minutes))
        samples += samples_of(f"{number}-none", shop, calm, (0, scored))
        for minutes in OUTAGES_MIN:
            for silent in (None, 1, 3):
                outage = Outage(OUTAGE_START_MIN, minutes, silent)
                scene = outage_scene(shop, outage, scored)
                struck_by = Watched(Board(shop, scored, scene.as_of), scene)
                samples += samples_of(f"{number}-{minutes}-{silent}", shop, struck_by, (0, scored))
                outcome.outages += 1
    outcome.samples = len(samples)
    found = fired(rules, samples, scored, folder)
    for name, pages in found.items():
        anyway = found.get(f"{name.partition('-')[0]}-none", {})
        if not name.endswith("-none") and set(pages) - set(anyway):
            _count(outcome, {alert: spans for alert, spans in pages.items() if alert not in anyway})
    return outcome


def outage_scene(shop: Shop, outage: Outage, scored: int) -> Scene:
    """What the service sees: as-of stands still, or minutes whose sessions miss the silent topic are left
    out."""
    as_of = np.arange(scored) - BEHIND_MIN
    end = outage.start + outage.minutes
    if outage.silent is None:
        as_of[outage.start + BEHIND_MIN : end + BEHIND_MIN] = outage.start - 1
        return Scene(shop.minutes, frozenset(), as_of, frozenset())
    missing = range(LEAD_MIN + outage.start - HORIZON_MIN, LEAD_MIN + end)
    silent = frozenset(range(outage.start + SILENCE_NOTICED_MIN, end + SILENCE_NOTICED_MIN))
    return Scene(silenced(shop.minutes, outage), frozenset(missing), as_of, silent)
