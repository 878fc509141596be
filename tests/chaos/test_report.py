"""The tables of a run: faults by kind, lag, memory, and what was compared."""

from __future__ import annotations

from typing import Any

from tests.chaos.plan import Kind
from tests.chaos.report import as_markdown


def _felt(number: int, kind: Kind, healed_s: float, back_s: float | None) -> dict[str, Any]:
    return {
        "number": number, "kind": kind, "broken_s": 10.0, "healed_s": healed_s, "back_s": back_s,
        "worst_lag_s": back_s or 0.0, "duplicates": 7, "lost_records": 1_000,
    }  # fmt: skip


RESULT: dict[str, Any] = {
    "seed": 5,
    "faults": [
        _felt(1, Kind.REDIS_CUT, 12.0, 13.0),
        _felt(2, Kind.REDIS_CUT, 12.0, 16.0),
        _felt(3, Kind.KAFKA_KILL, 11.0, None),
    ],
    "seconds": 90.0,
    "records": 12_345,
    "cores": 2,
    "load_average": 3.25,
    "outputs": {"dead-letters": 12, "late": 5},
    "lost_records": 2_000,
    "ended": ["worker-1 with exit code 1: no progress"],
    "lags": [(0.0, 1.0), (1.0, 6.0), (2.0, 2.0), (3.0, 0.0)],
    "memory": {
        "worker-0": [(float(at), 1, 100 + at / 60) for at in range(0, 1_000, 10)],
        "worker-1": [(0.0, 2, 80.0)],
    },
    "proof": {
        "verify": {"compared": 1_000, "dead_letters": 10, "late": 5, "verdicts": {"duplicates": 321}},
        "metrics": {"compared": 50},
    },
    "mismatches": 0,
}


def test_a_run_as_tables() -> None:
    """One row a kind that came to its end, and all together; records sent twice are told."""
    text = as_markdown(RESULT)
    row = "| `redis-cut`: connections to Redis reset, new ones refused | 2 | 1.0 | 4.0 | 4.0 | 3.0 | 6.0 |"
    assert f"{row} 16.0 | 2,000 | 14 |" in text
    assert "| **all** | 2 |" in text
    assert "kafka-kill" not in text
    assert "max 6.0 s; below 5 s in 75.0% of 4 looks" in text
    assert "on 2 cores with a load average of 3.2 (p50)" in text
    assert "| worker-0 | 12 | 105 | 116 | +60.0 |" in text
    assert "| worker-1 | – | 80 | 80 | – |" in text
    assert "Seed 5: 3 faults of 2 kinds in 1.5 min, 12,345 records; 321 duplicates absorbed" in text
    assert "10 dead letters (2 sent twice); 5 late rows (0 sent twice)" in text
    assert "**0 differ**" in text
    assert "- ended by itself: worker-1 with exit code 1: no progress" in text
