"""Reasons that are counted by name: the first ones of a day, however the log is cut."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Payment, Refund
from streams.ledger import day_of
from streams.reasons import REASONS_MAX, UNSAID, Reasons, list_of
from streams.scopes import OTHER
from streams.window import DAY_MS

NOON = 1_767_614_400_000


def _declined(
    reason: str | None, time_ms: int = NOON, gateway: str = "g", outcome: str = "declined"
) -> Payment:
    return Payment(
        event_id="e",
        event_time_ms=time_ms,
        platform="tiktok",
        user_id="u",
        order_id="o",
        gateway=gateway,
        outcome=outcome,  # type: ignore[arg-type]
        reason=reason,
    )


def _refund(reason: str | None, kind: str | None) -> Refund:
    return Refund(
        event_id="e",
        event_time_ms=NOON,
        platform="tiktok",
        user_id="u",
        refund_id="r",
        order_id="o",
        currency="USD",
        amount_minor=1,
        kind=kind,  # type: ignore[arg-type]
        reason=reason,
    )


class Stored:
    """The lists of one partition, with Redis as a dictionary."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.reasons = Reasons()

    def name(self, event: Payment | Refund) -> str:
        """How the event's reason is counted."""
        told = list_of(event)
        if told is not None:
            lists = self.reasons.lists
            lists.load({each: self.stored.get(each) for each in lists.missing([told])})
        return self.reasons.name(event)

    def new_owner(self) -> None:
        """Saves everything and begins with an empty memory."""
        self.stored.update(self.reasons.lists.take().records)
        self.reasons = Reasons()


def _plain(log: Sequence[Payment]) -> list[str]:
    first: dict[tuple[str, int], list[str]] = {}
    names = []
    for event in log:
        known = first.setdefault((event.gateway, day_of(event.event_time_ms)), [])
        reason = event.reason or UNSAID
        if reason not in (*known, OTHER, UNSAID) and len(known) < REASONS_MAX:
            known.append(reason)
        names.append(reason if reason in (*known, UNSAID) else OTHER)
    return names


@given(st.integers(0, 2**32), st.sampled_from([5, 60, 200]))
def test_the_first_reasons_of_a_day_count_by_name(seed: int, different: int) -> None:
    """Whoever owns the partition, and however often: by gateway and day, in the order of the log."""
    rng = Random(seed)
    reasons = [None, OTHER, *(f"r{n}" for n in range(different))]
    log = [
        _declined(rng.choice(reasons), NOON + rng.choice([0, DAY_MS]), rng.choice(["g", "h"]))
        for _ in range(300)
    ]
    shop, names = Stored(), []
    for event in log:
        names.append(shop.name(event))
        if rng.random() < 0.1:
            shop.new_owner()
    assert names == _plain(log)
    # Asked again, also of another owner, a reason is counted as before: so it can be taken back.
    shop.new_owner()
    assert [shop.name(event) for event in log] == names


def test_only_failures_and_refunds_have_lists() -> None:
    """The reason of what did not fail takes no place; kinds of refund have lists of their own."""
    for outcome in ("authorised", "started", "cancelled_by_user"):
        assert list_of(_declined("why", outcome=outcome)) is None
    lists = {list_of(_refund("why", kind)) for kind in ("return", "chargeback", None)}
    assert len(lists | {list_of(_declined("why"))}) == 4
    assert list_of(_refund(None, "return")) is None
