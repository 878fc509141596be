"""The end of a run: all recomputed from the log by `verify`, compared with Redis, API and `/metrics`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.gauges import compare_gauges
from tests.chaos.place import Place
from verify.command import Addresses, Run, summary, verify
from verify.compare import Report
from verify.rules import rules_from

WAIT_S = 120.0
SHOWN = 20


@dataclass
class Proof:
    """What was compared.

    Attributes:
        found: what `shop-pulse verify --json` says.
        gauges: comparisons of `/metrics` and of the answers over its windows.
    """

    found: dict[str, Any]
    gauges: Report = field(default_factory=Report)

    @property
    def mismatches(self) -> int:
        """Figures, dead letters and late rows that differ anywhere."""
        return int(self.found["mismatches"]) + len(self.gauges.differences)

    def as_json(self) -> dict[str, Any]:
        """As the run prints it."""
        differences = [each._asdict() for each in self.gauges.differences[:SHOWN]]
        gauges = {"compared": self.gauges.compared, "mismatches": len(self.gauges.differences)}
        return {"verify": self.found, "metrics": gauges | {"differences": differences}}


def prove(place: Place, *, all_scopes: bool) -> Proof:
    """Compares everything; the source must have ended. Raises VerifyError if something cannot be read."""
    addresses = Addresses(
        kafka=place.kafka.bootstrap,
        redis=place.redis.primary.url,
        api=place.serve.url,
        token="",
        topic_prefix=place.settings["SHOP_PULSE_TOPIC_PREFIX"],
        redis_prefix=place.settings["SHOP_PULSE_REDIS_PREFIX"],
    )
    run = Run(addresses, rules_from(place.settings))
    asyncio.run(verify(run, WAIT_S, all_scopes))
    proof = Proof(summary(run))
    assert run.totals is not None
    compare_gauges(proof.gauges, place.serve.url, run.totals)
    return proof
