"""What a run was like, as Markdown: by kind of fault how long it was felt, then lag, memory and the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.events import DEAD_LETTERS, LATE
from tests.chaos.measures import CAUGHT_UP_S, longest_life, percentile
from tests.chaos.plan import SPECS, Kind

WARM_UP_S = 300.0
_HEAD = (
    "| fault | times | back after healing, s: p50 | p95 | max | from breaking until back, s: p50 | max | "
    "worst lag, s | lost by Redis and counted again | duplicates absorbed |"
)


def as_markdown(result: Mapping[str, Any]) -> str:
    """All tables of a run (what `--json` prints)."""
    return "\n\n".join([_faults(result), _lags(result), _memory(result), _proof(result)])


def _faults(result: Mapping[str, Any]) -> str:
    felt: Sequence[Mapping[str, Any]] = [each for each in result["faults"] if each["back_s"] is not None]
    lines = [_HEAD, "|---|---|---|---|---|---|---|---|---|---|"]
    for kind in Kind:
        of_kind = [each for each in felt if each["kind"] == kind]
        if of_kind:
            lines.append(_row(f"`{kind}`: {SPECS[kind].told}", of_kind))
    if felt:
        lines.append(_row("**all**", felt))
    return "\n".join(lines)


def _row(name: str, felt: Sequence[Mapping[str, Any]]) -> str:
    back = [each["back_s"] - each["healed_s"] for each in felt]
    whole = [each["back_s"] - each["broken_s"] for each in felt]
    cells = [
        name,
        str(len(felt)),
        *(f"{percentile(back, share):.1f}" for share in (0.5, 0.95, 1)),
        *(f"{percentile(whole, share):.1f}" for share in (0.5, 1)),
        f"{max(each['worst_lag_s'] for each in felt):.1f}",
        f"{sum(each['lost_records'] for each in felt):,}",
        f"{sum(each['duplicates'] for each in felt):,}",
    ]
    return f"| {' | '.join(cells)} |"


def _lags(result: Mapping[str, Any]) -> str:
    lags = [lag for _, lag in result["lags"]]
    shares = ", ".join(f"p{share * 100:g} {percentile(lags, share):.1f} s" for share in (0.5, 0.95, 0.99))
    low = sum(lag < CAUGHT_UP_S for lag in lags) / len(lags)
    return (
        f"Lag (age of the oldest record that is not in the figures), faults included: {shares}, "
        f"max {max(lags):.1f} s; below {CAUGHT_UP_S:g} s in {low:.1%} of {len(lags):,} looks. "
        f"All of it ran on {result['cores']} cores with a load average of {result['load_average']:.1f} (p50)."
    )


def _memory(result: Mapping[str, Any]) -> str:
    lines = ["| process | longest life after 5 min of warm-up, min | resident MiB: first | last | MiB/h |",
             "|---|---|---|---|---|"]  # fmt: skip
    for name, points in sorted(result["memory"].items()):
        life = longest_life([(at, pid, mib) for at, pid, mib in points], WARM_UP_S)
        if life is None:
            lines.append(f"| {name} | – | {points[0][2]:.0f} | {points[-1][2]:.0f} | – |")
        else:
            ends = f"{life.first_mib:.0f} | {life.last_mib:.0f}"
            lines.append(f"| {name} | {life.minutes:.0f} | {ends} | {life.mib_per_h:+.1f} |")
    return "\n".join(lines)


def _proof(result: Mapping[str, Any]) -> str:
    found, metrics = result["proof"]["verify"], result["proof"]["metrics"]
    outputs = result["outputs"]
    again = {
        "dead letters": (found["dead_letters"], outputs[DEAD_LETTERS]),
        "late rows": (found["late"], outputs[LATE]),
    }
    sent = "; ".join(f"{count:,} {name} ({raw - count:,} sent twice)" for name, (count, raw) in again.items())
    ended = "\n".join(f"- ended by itself: {line}" for line in result["ended"])
    kinds = len({each["kind"] for each in result["faults"]})
    return (
        f"Seed {result['seed']}: {len(result['faults'])} faults of {kinds} kinds in "
        f"{result['seconds'] / 60:.1f} min, {result['records']:,} records; "
        f"{found['verdicts'].get('duplicates', 0):,} duplicates absorbed; {sent}; "
        f"{result['lost_records']:,} counted records lost by Redis and counted again. Compared: "
        f"{found['compared']:,} figures, dead letters and late rows in Redis, Kafka and the API, "
        f"{metrics['compared']:,} in `/metrics` and the answers over its windows: "
        f"**{result['mismatches']} differ**." + (f"\n\n{ended}" if ended else "")
    )
