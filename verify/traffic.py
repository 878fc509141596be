"""Events that are counted: what of them is kept until the whole log is read, and the counting then.

The cap on values is judged here, pane by pane, for counts, users and sessions alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from verify.caps import Admission
from verify.model import Counted, CountedIn, Scope, Traffic
from verify.panes import PaneSums, pane_start
from verify.parts import parts_of
from verify.rules import SIZE_MS, Rules
from verify.scopes import WITH_SESSIONS, of_event, of_kinds
from verify.sessions import STEP_EVENTS, Step, takes_part
from verify.users import STEP_OF_EVENT, UserSets, number

KINDS_OF_STORIES = frozenset({"mini_program_open", "share", "share_open", "share_convert"})


def traffic(event: Mapping[str, Any], topic: str, offset: int, ingest_ms: int, rules: Rules) -> Traffic:
    """What is kept of an accepted, real event of a traffic topic."""
    kind = event["event_type"]
    return Traffic(
        topic=topic,
        kind=kind,
        time_ms=event["event_time_ms"],
        ingest_ms=ingest_ms,
        scopes=of_event(event),
        user=number(event["user_id"]) if kind in STEP_OF_EVENT else 0,
        session=session_of(event, ingest_ms, rules),
        parts=parts_of(event),
        charge=(f"ads:{event['currency']}", event["amount_minor"]) if kind == "ad_charge" else None,
        offset=offset,
    )


def step_name(event: Mapping[str, Any]) -> str:
    """The event's type, of a payment with its outcome: as the funnels name their events."""
    kind: str = event["event_type"]
    return f"{kind}:{event['outcome']}" if kind == "payment" else kind


def session_of(event: Mapping[str, Any], ingest_ms: int, rules: Rules) -> int:
    """A number for the session in whose funnels the event takes part; 0 if in none."""
    if step_name(event) not in STEP_EVENTS or "session_id" not in event:
        return 0
    if not takes_part(event["event_time_ms"], ingest_ms, rules):
        return 0
    return number(event["user_id"], event["session_id"])


def count_traffic(
    events: Sequence[Traffic], sums: PaneSums, sets: UserSets, rules: Rules
) -> tuple[list[Step], CountedIn]:
    """Counts all traffic of a partition, in offset order per topic.

    Returns the steps of sessions in it, and in which scopes a day counts the events that stories ask for.
    """
    counted_in: dict[tuple[str, int], Sequence[Counted]] = {}
    admission = Admission(events, rules)
    steps = []
    for event in events:
        user_step = STEP_OF_EVENT.get(event.kind)
        of_the_day: Sequence[Scope] = ()
        for size in SIZE_MS:
            start_ms = pane_start(event.time_ms, size)
            # What a day admits matters to sessions too; of any other pane that is gone nobody asks.
            if not (sums.keeps(size, start_ms) or sets.keeps(size, start_ms) or size == "1d"):
                continue
            scopes = admission.scopes(event, size, start_ms)
            sums.count(event, scopes, size, start_ms)
            if user_step is not None:
                sets.add(user_step, size, start_ms, scopes, event.user)
            of_the_day = scopes
        if event.kind in KINDS_OF_STORIES:
            counted_in[event.topic, event.offset] = [
                Counted(counted, own != counted)
                for own, counted in zip(event.scopes, of_the_day, strict=True)
            ]
        if event.session:
            admitted = [own for own, counted in zip(event.scopes, of_the_day, strict=True) if own == counted]
            scopes = of_kinds(admitted, WITH_SESSIONS)
            steps.append(Step(event.session, event.kind, event.topic, event.time_ms, event.ingest_ms, scopes))
    return steps, counted_in
