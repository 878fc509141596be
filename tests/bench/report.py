"""A bench's runs as a table for people and as one JSON object for machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from tests.bench.harness import Timing

# The names under which medians are always found; of any other contestant by its own name.
HEADLINES = {"shop_pulse": "funnel_gmv_events_per_s", "shop_pulse_all": "whole_catalogue_events_per_s"}


def spread(values: Iterable[float | None], digits: int = 0) -> dict[str, float] | None:
    """Median, lowest and highest; None if a value is missing."""
    known = list(values)
    numbers = [value for value in known if value is not None]
    if not numbers or len(numbers) < len(known):
        return None
    ends = {"median": median(numbers), "min": min(numbers), "max": max(numbers)}
    return {name: round(value, digits) for name, value in ends.items()}


def as_json(runs: Mapping[str, Sequence[Timing]], frame: Mapping[str, object]) -> dict[str, Any]:
    """Everything measured. A headline is null if its runs were too short to be timed."""
    contestants = {name: _contestant(timings) for name, timings in runs.items()}
    speeds = {name: each["events_per_s"] for name, each in contestants.items()}
    headlines = {
        HEADLINES.get(name, f"{name}_events_per_s"): speed and speed["median"]
        for name, speed in speeds.items()
    }
    return headlines | dict(frame) | {"contestants": contestants}


def _contestant(timings: Sequence[Timing]) -> dict[str, Any]:
    cpu = [timing.cpu_us or {} for timing in timings]
    names = ("worker", "worker_main", "redis", "kafka")
    return {
        "runs": len(timings),
        "events": timings[0].events,
        "events_per_s": spread(timing.events_per_s for timing in timings),
        "events_per_s_warm": spread(timing.warm_events_per_s for timing in timings),
        "events_per_s_with_start": spread(timing.events / timing.seconds for timing in timings),
        "cpu_us_per_event": {name: spread((each.get(name) for each in cpu), 2) for name in names},
        "peak_rss_mib": spread((timing.peak_rss_mib for timing in timings), 1),
    }


def as_table(result: Mapping[str, Any]) -> str:
    """The same as lines for a terminal, also good as Markdown."""
    lines = [
        "| contestant | runs × events | events/s: median (min–max) | second half | with start "
        "| CPU µs/event: worker (main thread) | Redis | broker | peak MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, each in result["contestants"].items():
        cpu = {process: _middle(found, 2) for process, found in each["cpu_us_per_event"].items()}
        lines.append(
            f"| {name} | {each['runs']} × {each['events']:,} | {_spread(each['events_per_s'])} "
            f"| {_middle(each['events_per_s_warm'])} | {_middle(each['events_per_s_with_start'])} "
            f"| {cpu['worker']} ({cpu['worker_main']}) | {cpu['redis']} | {cpu['kafka']} "
            f"| {_middle(each['peak_rss_mib'])} |"
        )
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    return "\n".join([*lines, "", f"{result['mean_bytes']:.0f} bytes per event, lz4; {machine}"])


def _middle(found: Mapping[str, float] | None, digits: int = 0) -> str:
    return "–" if found is None else f"{found['median']:,.{digits}f}"


def _spread(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "– (too short)"
    return f"{found['median']:,.0f} ({found['min']:,.0f}–{found['max']:,.0f})"
