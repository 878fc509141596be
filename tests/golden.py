"""The golden samples as the tests read them: a record's bytes, its topic, and the verdict it must get."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SAMPLES_FILE: Final = Path(__file__).parent.parent / "schemas" / "samples.jsonl"
ACCEPTED: Final = "accepted"


@dataclass(frozen=True)
class Sample:
    """One golden record; `verdict` is "accepted" or a reason."""

    topic: str
    verdict: str
    why: str
    value: bytes


def samples() -> list[Sample]:
    """All golden samples, padded to their size where the file says so."""
    found = []
    for line in SAMPLES_FILE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        value = row["value"].encode().ljust(row.get("pad_to", 0))
        found.append(Sample(row["topic"], row["verdict"], row["why"], value))
    return found


def accepted() -> list[Sample]:
    """The golden samples that both decoders accept."""
    return [sample for sample in samples() if sample.verdict == ACCEPTED]
