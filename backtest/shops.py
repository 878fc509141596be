"""Seeded shops: sessions of equal horizon, by hour for four weeks and by minute for the time that is scored.

It stands at the start of the backtest. A shop is six strata (platform × surface). Each minute has sessions
first seen then, and how many of them tapped a tag, filled a cart, purchased within the horizon. Volume and
rates are rougher than a textbook's: they drift, and minutes differ by more than chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]

# Any time would do; an hour, so that a shop's first scored minute begins one.
FIRST_HOUR: Final = 466_680
# Four weeks, and the hours by which a baseline may be widened or a long window reaches back.
HISTORY_H: Final = 29 * 24
# The longest window, the horizon, and what is lost to whole minutes.
LEAD_MIN: Final = 360 + 16 + 2
PLATFORMS: Final = ("tiktok", "douyin")
SURFACES: Final = ("live", "short_video", "search")
LIVE: Final = SURFACES.index("live")
STRATA: Final = len(PLATFORMS) * len(SURFACES)
# The live surface of each platform, a stratum.
LIVE_STRATA: Final = tuple(range(LIVE, STRATA, len(SURFACES)))
# sessions.view, prompt.tag_tap, prompt.add_to_cart, prompt.purchase
MEASURES: Final = 4
GATEWAYS: Final = ("adyen", "stripe")


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What shops are like. Times in minutes, rates a minute, deviations relative (0.1: ten percent).

    Attributes:
        platform_shares, surface_shares: parts of the sessions.
        step_rates: tag tap, cart, purchase, each of those who reached the step before: 3 % in all, the
            middle of what shops publish.
        surface_rates: of each surface against the shop's, by step: viewers of a live look on and buy less,
            those who search want something. Strata differ by more than the rule's 25 %.
        day_depth, weekend: the nightly trough (a ninth of the evening's peak); more on two days of seven.
        hour_rate: how far the rate of the purchase follows the hour of the day.
        volume_drift, volume_drift_h: slow deviation of the volume and how long it lasts, as in a year of real
            purchases (The Complete Journey): hours against the median of the same hour of four weeks deviate
            by 0.10 beyond chance over 3 h, 0.08 over 6 h, 0.04 over a day.
        minute_volume: what minutes differ by beyond chance (gamma).
        rate_drift, rate_drift_h: slow deviation of each step's rate.
        minute_rate: concentration of the beta by minute and stratum: at 300 a rate of 0.25 deviates by 10 %.
        promotions: times a week; `promotion_traffic` and `promotion_rate` multiply sessions and purchases.
        bursts: large lives, times a week: the shop's mean minute × `burst_traffic` on the live surface of one
            platform. `burst_rate`: deviation in log of their purchases from those of other lives.
        bots: times a week; view sessions that nobody flagged, × the shop's mean minute: they do nothing else.
        gateway_shares: parts of each platform's attempts; `gateway_failures`: attempts that fail technically.
        attempts_per_cart: those with a cart who try to pay.
        order_value: deviation in log of an order's value.
    """

    platform_shares: tuple[float, ...] = (0.65, 0.35)
    surface_shares: tuple[float, ...] = (0.25, 0.5, 0.25)
    step_rates: tuple[float, float, float] = (0.25, 0.3, 0.4)
    surface_rates: tuple[tuple[float, float, float], ...] = (
        (0.8, 0.9, 0.7),
        (1.0, 1.0, 1.0),
        (1.2, 1.1, 1.2),
    )
    day_depth: float = 0.8
    weekend: float = 0.2
    hour_rate: float = 0.1
    volume_drift: float = 0.1
    volume_drift_h: float = 6.0
    minute_volume: float = 0.15
    rate_drift: float = 0.05
    rate_drift_h: float = 12.0
    minute_rate: float = 300.0
    promotions: float = 1.0
    promotion_min: tuple[int, int] = (120, 480)
    promotion_traffic: tuple[float, float] = (1.5, 3.0)
    promotion_rate: tuple[float, float] = (1.1, 1.4)
    bursts: float = 2.0
    burst_min: tuple[int, int] = (5, 60)
    burst_traffic: float = 50.0
    burst_rate: float = 0.2
    bots: float = 1.0
    bot_min: tuple[int, int] = (20, 180)
    bot_traffic: tuple[float, float] = (0.5, 3.0)
    gateway_shares: tuple[float, float] = (0.6, 0.4)
    gateway_failures: float = 0.03
    attempts_per_cart: float = 0.5
    order_value: float = 0.8


class Tables(NamedTuple):
    """Counts by time: `steps` (measure × stratum × time), `lives` (measure × platform × time; those of them
    in its large lives), `attempts` and `failures` (platform and gateway × time), `orders` and `value`
    (platform × time; the value in units of an order's mean)."""

    steps: Counts
    lives: Counts
    attempts: Counts
    failures: Counts
    orders: Counts
    value: Floats


def apart(tables: Tables) -> Counts:
    """Steps with the large lives as strata of their own, behind the others: measure × (STRATA + platform) ×
    time."""
    rest = tables.steps.copy()
    rest[:, LIVE_STRATA] -= tables.lives
    return np.concatenate([rest, tables.lives], axis=1)


def joined(apart: Counts) -> tuple[Counts, Counts]:
    """`steps` and `lives` of what is apart."""
    steps, lives = apart[:, :STRATA].copy(), apart[:, STRATA:]
    steps[:, LIVE_STRATA] += lives
    return steps, lives


class Shop(NamedTuple):
    """A shop: its mean of sessions a minute, `hours` (HISTORY_H of them, up to the first scored one),
    `minutes` (LEAD_MIN and those that are scored) and the sessions a minute that are `expected` in the
    latter (platform × time)."""

    traffic: float
    hours: Tables
    minutes: Tables
    expected: Floats


class Event(NamedTuple):
    """Something that happens in a shop: from when to when (minutes), and what it multiplies or adds."""

    kind: str
    start: float
    end: float
    platform: int
    traffic: float
    rate: float


class _Cells(NamedTuple):
    """Times that counts are drawn for: starts and width in minutes; how the volume and each step's rate
    deviate then."""

    starts: Floats
    width: float
    shape: Floats
    drift: Floats


class _Rates(NamedTuple):
    """What is expected by stratum, large lives apart, and time: people a minute, bots a minute, and the rate
    of each step."""

    people: Floats
    bots: Floats
    steps: Floats


def make_shop(traffic: float, scored_min: int, seed: int, parameters: Parameters) -> Shop:
    """A shop of so many sessions a minute on average, with a number of minutes to be scored."""
    random = np.random.default_rng(seed)
    hours = HISTORY_H + -(-scored_min // 60)
    phase_h = int(random.integers(7 * 24))  # what hour of the week the first scored minute falls into
    events = _events(hours * 60.0, random, parameters)
    volume = _drift(hours + 2, parameters.volume_drift, parameters.volume_drift_h, random)
    drifts = np.stack(
        [
            _drift(hours + 2, parameters.rate_drift, parameters.rate_drift_h, random)
            for _ in range(MEASURES - 1)
        ]
    )
    grids: tuple[Floats, Floats] = (
        np.arange(HISTORY_H, dtype=np.float64) * 60,
        np.arange(-LEAD_MIN, scored_min, dtype=np.float64) + HISTORY_H * 60,
    )
    tables, expected = [], np.zeros(0)
    for grid, width in zip(grids, (60.0, 1.0), strict=True):
        middle = grid + width / 2
        shape: Floats = _shape(middle / 60 + phase_h, parameters) * np.exp(
            np.interp(middle / 60, *_steps_of(volume))
        )
        drift = np.stack([np.exp(np.interp(middle / 60, *_steps_of(each))) for each in drifts])
        drift[2] *= 1 + parameters.hour_rate * np.sin((middle / 60 + phase_h) * 2 * np.pi / 24 + 2)
        cells = _Cells(grid, width, shape, np.asarray(drift, dtype=np.float64))
        rates = _rates(traffic, cells, events, parameters)
        tables.append(_drawn(rates, width, random, parameters))
        # Strata of a platform lie together; its large lives come behind all of them.
        of_strata = rates.people[:STRATA].reshape(len(PLATFORMS), len(SURFACES), -1)
        expected = of_strata.sum(axis=1) + rates.people[STRATA:]
    return Shop(traffic, tables[0], tables[1], expected)


def _steps_of(values: Floats) -> tuple[Floats, Floats]:
    return np.arange(len(values), dtype=np.float64), values


def _shape(hour: Floats, parameters: Parameters) -> Floats:
    """The volume by hour of the week, 1 on average."""
    day = 1 - parameters.day_depth * np.cos((hour - 3) * 2 * np.pi / 24)
    weekend = np.where(hour // 24 % 7 >= 5, 1 + parameters.weekend, 1 - parameters.weekend * 2 / 5)
    return np.asarray(day * weekend)


def _drift(hours: int, deviation: float, lasting_h: float, random: np.random.Generator) -> Floats:
    """An AR(1) by hour in log, 0 on average."""
    keep = float(np.exp(-1 / lasting_h))
    values = random.normal(0, deviation, hours)
    for at in range(1, hours):
        values[at] = values[at - 1] * keep + values[at] * np.sqrt(1 - keep * keep)
    return values - deviation**2 / 2


def _events(length_min: float, random: np.random.Generator, parameters: Parameters) -> list[Event]:
    """Promotions, large lives and bots, at any time."""
    weeks = length_min / (7 * 24 * 60)
    events = []
    for kind, often, lasting in (
        ("promotion", parameters.promotions, parameters.promotion_min),
        ("burst", parameters.bursts, parameters.burst_min),
        ("bots", parameters.bots, parameters.bot_min),
    ):
        for _ in range(int(random.poisson(often * weeks))):
            start = float(random.uniform(0, length_min))
            traffic, rate = {
                "promotion": (
                    random.uniform(*parameters.promotion_traffic),
                    random.uniform(*parameters.promotion_rate),
                ),
                "burst": (parameters.burst_traffic, np.exp(random.normal(0, parameters.burst_rate))),
                "bots": (random.uniform(*parameters.bot_traffic), 0.0),
            }[kind]
            platform = int(random.choice(len(PLATFORMS), p=parameters.platform_shares))
            end = start + float(random.uniform(*lasting))
            events.append(Event(kind, start, end, platform, float(traffic), float(rate)))
    return events


def _rates(traffic: float, cells: _Cells, events: list[Event], parameters: Parameters) -> _Rates:
    """What is expected in each cell."""
    starts, width = cells.starts, cells.width
    shares = np.outer(parameters.platform_shares, parameters.surface_shares).reshape(-1)
    people = traffic * np.outer([*shares, *(0.0 for _ in PLATFORMS)], cells.shape)
    bots = np.zeros_like(people)
    rates = np.array(parameters.step_rates)[:, None] * np.tile(
        np.array(parameters.surface_rates).T, len(PLATFORMS)
    )
    # The shop as a whole converts as `step_rates` says.
    reached = np.cumprod(np.vstack([shares, rates]), axis=0).sum(axis=1)
    rates *= (np.array(parameters.step_rates) / (reached[1:] / reached[:-1]))[:, None]
    rates = np.concatenate([rates, rates[:, LIVE_STRATA]], axis=1)
    steps = rates[:, :, None] * cells.drift[:, None, :]
    for event in events:
        end = np.minimum(starts + width, event.end)
        part = np.clip(end - np.maximum(starts, event.start), 0, width) / width
        first = event.platform * len(SURFACES)
        if event.kind == "promotion":
            people *= 1 + part * (event.traffic - 1)
            steps[2] *= 1 + part * (event.rate - 1)
        elif event.kind == "burst":
            added = traffic * event.traffic * part
            stratum = STRATA + event.platform
            weight = added / np.maximum(people[stratum] + added, 1e-12)
            steps[2, stratum] *= 1 + weight * (event.rate - 1)
            people[stratum] += added
        else:
            bots[first : first + len(SURFACES)] += (
                traffic * event.traffic * np.outer(parameters.surface_shares, part)
            )
    return _Rates(people, bots, np.clip(steps, 0, 0.95))


def _drawn(rates: _Rates, width: float, random: np.random.Generator, parameters: Parameters) -> Tables:
    """Counts drawn from what is expected, rougher than chance alone."""
    gamma = width / parameters.minute_volume**2
    rough = random.gamma(gamma, 1 / gamma, rates.people.shape[1])
    people = random.poisson(rates.people * width * rough)
    reached = [people + random.poisson(rates.bots * width)]
    concentration = parameters.minute_rate * width
    of = people
    for rate in rates.steps:
        of = random.binomial(of, random.beta(concentration * rate, concentration * (1 - rate)))
        reached.append(of)
    steps, lives = joined(np.stack(reached))
    by_platform = steps.reshape(MEASURES, len(PLATFORMS), len(SURFACES), -1).sum(axis=2)
    shares = np.array(parameters.gateway_shares)
    attempts = random.poisson(
        by_platform[2][:, None, :] * parameters.attempts_per_cart * shares[None, :, None]
    ).reshape(len(PLATFORMS) * len(GATEWAYS), -1)
    failing = parameters.gateway_failures
    failures = random.binomial(
        attempts, random.beta(concentration * failing, concentration * (1 - failing), attempts.shape)
    )
    orders = by_platform[3]
    # A sum of lognormal values is close to a gamma of the same two moments.
    spread = np.expm1(parameters.order_value**2)
    value = random.gamma(np.maximum(orders, 1e-9) / spread, spread)
    return Tables(steps, lives, attempts, failures, orders, value)
