"""Where a figure comes from, and so what can't be known of it once the start of a topic's log is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from verify.rules import DAY_MS, FUTURE_MS, MINUTE_MS, PURCHASES, TAP_HOLDS_MS, Rules
from verify.scopes import ROOM_HEAD, RULE_ARM
from verify.sessions import AGAIN_AFTER_MS, FUNNELS, GONE_AFTER_MS
from verify.users import REMEMBERED_MS, STEP_OF_EVENT

# An assignment to an arm of a redirection rule holds for so long.
ASSIGNED_MS = 400 * DAY_MS

EVENTS_OF_TOPIC: Mapping[str, tuple[str, ...]] = {
    "views": ("view", "product_impression", "product_view", "mini_program_open", "mini_program_action"),
    "tag-taps": ("tag_tap",),
    "carts": ("add_to_cart", "remove_from_cart", "begin_checkout"),
    "livestreams": (
        "live_join", "live_leave", "live_like", "live_comment", "live_start", "live_end", "live_heartbeat",
        "product_pin", "product_unpin",
    ),
    "engagement": ("share", "share_open", "share_convert", "review", "follow"),
    "catalogue": ("product_listed", "stock_set"),
    "redirects": ("redirect", "active"),
    "ads": ("ad_charge",),
}  # fmt: skip
TOPIC_OF_EVENT = {event: topic for topic, events in EVENTS_OF_TOPIC.items() for event in events}
SESSION_TOPICS = frozenset({"views", "tag-taps", "carts", "livestreams", PURCHASES})
SESSION_HEADS = (*(f"{funnel}." for funnel in FUNNELS), "prompt.", "time_to_convert.")
COUNTS_OF_EVENTS = frozenset({"events", "showcase", "recommended"})
OTHER_COUNTS = {"reviews": "review", "live_starts": "live_start"}
VIEWERS = ("max.viewers", "watch_ms", "covered_ms")


class Origin(NamedTuple):
    """Where a figure comes from: topics, and how long after an event figures may still depend on it."""

    topics: frozenset[str]
    reach_ms: int = 0


# An event can begin a session, and with it change until when its ids belong to that one.
OF_SESSIONS = Origin(SESSION_TOPICS, AGAIN_AFTER_MS + GONE_AFTER_MS)
# A tap says to whom belongs what is bought within its window.
OF_TAPS = Origin(frozenset({"tag-taps", PURCHASES}), TAP_HOLDS_MS)
TAPS_GIVE = frozenset({"live", "creator", "live,product"})
# A new user's record lasts a week from the day of its first event on; a return is seven days after a visit.
ARRIVALS_REACH_MS = 9 * DAY_MS
OF_STORIES = (
    ("reviews.", Origin(frozenset({"engagement"}))),
    ("entries.", Origin(frozenset({"views"}))),
    ("returns.", Origin(frozenset({"views"}), DAY_MS)),
    ("new_users", Origin(frozenset({"engagement"}), ARRIVALS_REACH_MS)),
    ("cycles.", Origin(frozenset({"engagement"}), 2 * ARRIVALS_REACH_MS)),
)


@dataclass(frozen=True)
class Gone:
    """Per topic whose log start is above 0: until which pane start a figure may depend on what is gone."""

    until_ms: Mapping[str, int] = field(default_factory=dict)

    def hides(self, origin: Origin, start_ms: int) -> bool:
        """Whether a figure of this origin in the pane at `start_ms` can't be compared."""
        return any(
            start_ms <= self.until_ms[topic] + origin.reach_ms
            for topic in self.until_ms.keys() & origin.topics
        )

    def hides_pane(self, start_ms: int) -> bool:
        """Whether anything in the pane can't be compared."""
        return any(start_ms <= until + OF_SESSIONS.reach_ms for until in self.until_ms.values())


def gone_until_ms(topic: str, remaining_ms: int, rules: Rules) -> int:
    """The last event time that records before the log's start may have had a part in.

    `remaining_ms`: a Kafka timestamp not below theirs. An event may lie 5 min ahead of it; it may have been
    a first copy for lateness + 1 min more; and an order is remembered for its horizon.
    """
    duplicates = 2 * FUTURE_MS + rules.lateness_ms(topic) + 2 * MINUTE_MS
    orders = (rules.order_horizon_days + 1) * DAY_MS if topic == PURCHASES else 0
    return remaining_ms + duplicates + orders


def origin_of(kind: str, measure: str, value: str) -> Origin:
    """Where a cell comes from."""
    if measure.startswith(SESSION_HEADS) or measure == "sessions_expired":
        return OF_SESSIONS
    if kind == "pipeline" or measure == "capped":
        return Origin(frozenset({value}), ARRIVALS_REACH_MS if "channel" in kind else 0)
    if measure.startswith("after."):
        # Also of reviews, which may come a day before their purchase by event time.
        return Origin(frozenset({PURCHASES, "engagement"}), DAY_MS)
    for head, origin in OF_STORIES:
        if measure.startswith(head):
            return origin
    if kind == RULE_ARM:
        return Origin(frozenset({"redirects"}), ASSIGNED_MS)
    if measure in VIEWERS:
        return Origin(frozenset({"livestreams"}), MINUTE_MS)
    head, _, event = measure.partition(".")
    event = event if head in COUNTS_OF_EVENTS else OTHER_COUNTS.get(head, "")
    topic = TOPIC_OF_EVENT.get(event, PURCHASES)
    given = kind in TAPS_GIVE or kind.startswith(ROOM_HEAD) or measure.startswith("attribution.")
    return OF_TAPS if topic == PURCHASES and given else Origin(frozenset({topic}))


def origin_of_users(step: str) -> Origin:
    """Where a set of users comes from."""
    if step == "repeat_purchase":
        return Origin(frozenset({PURCHASES}), REMEMBERED_MS)
    if step == "active":
        return Origin(frozenset({"redirects"}), ASSIGNED_MS)
    topics = frozenset(TOPIC_OF_EVENT[event] for event, of in STEP_OF_EVENT.items() if of == step)
    return Origin(topics or frozenset({PURCHASES}))
