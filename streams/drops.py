"""Drops, and what is watched, as JSON: the answers of ``/api/v1/drops`` and ``/api/v1/causes``. Pure.

It stands between the watch and its addresses. Ratios are parts of 1, money is in minor units a minute.
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.causes import Cause
from streams.changes import Change
from streams.cohorts import Reading, is_low
from streams.judgement import Fall, Judged
from streams.watch import Explained, Findings
from streams.window import MINUTE_MS

Answer = dict[str, object]


def drops_answer(found: Findings) -> Answer:
    """What fell, and everything that is watched with its state."""
    return {
        "as_of_ms": found.as_of_ms,
        "horizon_ms": found.horizon_ms,
        "left_out": [_flag(each) for each in found.left_out],
        "drops": [_drop(found, each, each.fall) for each in found.judged if each.fall is not None],
        "watched": [_watched(each) for each in found.judged],
    }


def causes_answer(judged: Judged, explained: Explained) -> Answer:
    """What explains a fall."""
    return {
        "scope": str(judged.scope),
        "step": judged.step.name,
        "from_ms": explained.from_ms,
        "to_ms": explained.to_ms,
        "causes": _causes(explained.causes),
    }


def lost_minor_per_minute(found: Findings, judged: Judged, fall: Fall) -> dict[str, float]:
    """What the drop costs, by currency: an order is worth what one brought in the last day."""
    worth = found.worth.get(judged.scope, {})
    return {currency: fall.lost_orders_per_minute * minor for currency, minor in worth.items()}


def _drop(found: Findings, judged: Judged, fall: Fall) -> Answer:
    explained = found.explained.get((judged.scope, judged.step))
    money = lost_minor_per_minute(found, judged, fall)
    return {
        "scope": str(judged.scope),
        "step": judged.step.name,
        "state": "diluted" if fall.is_diluted else "drop",
        "since_ms": fall.since_minute * MINUTE_MS,
        "since_or_earlier": (judged.scope, judged.step) in found.unseen,
        "now_ratio": fall.reading.k / fall.reading.n,
        "expected_ratio": fall.reading.ratio,
        "sessions": fall.reading.n,
        "reached": fall.reading.k,
        "window": f"{fall.reading.window_min}m",
        "lost_orders": round(fall.lost_orders, 1),
        "lost_orders_per_minute": round(fall.lost_orders_per_minute, 2),
        "lost_minor_per_minute": {currency: round(minor) for currency, minor in money.items()},
        "causes": _causes(explained.causes if explained else ()),
    }


def _flag(change: Change) -> Answer:
    """What keeps the time that goes on out of everything, and until when."""
    return {
        "id": change.id,
        "kind": change.kind.value,
        "title": change.title,
        "at_ms": change.at_ms,
        "to_ms": change.until_ms,
    }


def _watched(judged: Judged) -> Answer:
    """By the shortest window that says something; by the shortest that is low while there is one."""
    reading: Reading | None = next(filter(is_low, judged.readings), next(iter(judged.readings), None))
    return {
        "scope": str(judged.scope),
        "step": judged.step.name,
        "state": judged.state.value,
        "window": None if reading is None else f"{reading.window_min}m",
        "sessions": None if reading is None else reading.n,
        "reached": None if reading is None else reading.k,
        "expected_ratio": None if reading is None else reading.ratio,
    }


def _causes(causes: Iterable[Cause]) -> list[Answer]:
    named = [cause._asdict() for cause in causes]
    # Only products have one: their title and price are added where the answer goes out.
    return [
        {name: of for name, of in each.items() if name != "product_id" or of is not None} for each in named
    ]
