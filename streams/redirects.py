"""Redirection: who was assigned to which arm of a rule, and which of them use the app they were sent to.

Behind the verdicts, beside the counting of events. A user's redirects and activity lie in one
topic-partition, so all of it is a function of that log's prefix: the first assignment in the order of the log
holds, whatever later events say, so that users compare as they were assigned and not as they behaved.
"""

from __future__ import annotations

import msgspec

from schemas.events import Active, Redirect
from streams.figures.apps import ACTIVE_STEP, ASSIGNED, CONTRADICTED
from streams.kpi import FigureSet
from streams.ledger import Ledger, day_of
from streams.scopes import APP_RULE_ARM, RULE_ARM, app_arm_value, pair_value
from streams.story import Chunk, Shelf
from streams.sums import Sums
from streams.users import UserSketches
from streams.window import DAY_MS

# An assignment holds for so long, in event time: as long as sketches of a day are kept.
ASSIGNED_DAYS = 400
# The first ones of a partition number in the order of the log; others are counted as events only.
RULES_MAX = 200
TARGETS_MAX = 4
# Assignments of one user that hold at a time.
USER_RULES_MAX = 20
# The record that names all rules.
ALL_RULES = "all"

_TOPICS = frozenset({"redirects"})
# What redirects of a rule say; of each the earliest word holds.
SAID = ("from_app", "to_app", "from_product_id", "to_product_id", "creator_id")


class RuleRecord(msgspec.Struct, array_like=True):
    """What is known of a rule; kept for good.

    Attributes:
        filed_day: filed under no day.
        first_ms: lowest event time of a redirect.
        targets: the apps that redirects lead to, as they came first.
        said: by field of SAID, (event time in ms, offset, value) of the earliest redirect that has it.
    """

    filed_day: int
    first_ms: int
    targets: list[str]
    said: dict[str, tuple[int, int, str]]


class RuleNames(msgspec.Struct, array_like=True):
    """The rules of the partition number, as they came first; kept for good."""

    filed_day: int = -1
    rules: list[str] = []


class Assigned(msgspec.Struct, array_like=True):
    """A user's assignments.

    Attributes:
        filed_day: day of the latest one.
        arms: by rule, (arm, event time in ms).
    """

    filed_day: int
    arms: dict[str, tuple[str, int]]


class RedirectBook:
    """The redirection rules of one partition number, and their users."""

    def __init__(self, figures: FigureSet, sums: Sums, users: UserSketches) -> None:
        self.rules = Ledger("rules", RuleRecord)
        self.names = Ledger("rulenames", RuleNames)
        self.assigned = Ledger("assigned", Assigned)
        self.enabled = RULE_ARM in figures.kinds and ASSIGNED.name in figures.measures
        self._sums = sums
        self._users = users

    @property
    def topics(self) -> frozenset[str]:
        """The topic of redirects and activity."""
        return _TOPICS if self.enabled else frozenset()

    @property
    def shelves(self) -> tuple[Shelf, ...]:
        """Assignments, a day longer than they hold: events may be late; rules for good."""
        return (
            Shelf(self.assigned, _TOPICS, ASSIGNED_DAYS + 1),
            Shelf(self.rules, _TOPICS),
            Shelf(self.names, _TOPICS),
        )

    def ids(self, chunk: Chunk) -> dict[str, list[str]]:
        """Ids by ledger that must be loaded before `accept`."""
        users: list[str] = []
        rules: list[str] = []
        names: list[str] = []
        for event in chunk.events:
            if isinstance(event, Redirect):
                users.append(event.user_id)
                rules.append(event.rule_id)
                names = [ALL_RULES]
            elif isinstance(event, Active) and event.assignments:
                users.append(event.user_id)
                rules += [each.rule_id for each in event.assignments]
        return {self.assigned.name: users, self.rules.name: rules, self.names.name: names}

    def accept(self, chunk: Chunk) -> None:
        """Takes up accepted, real events of the topic."""
        for event, record in zip(chunk.events, chunk.records, strict=True):
            if isinstance(event, Redirect):
                if self._learn(event, record.offset):
                    self._assign(event)
            elif isinstance(event, Active) and event.assignments:
                self._use(event)

    def _learn(self, event: Redirect, offset: int) -> bool:
        """Keeps what a redirect says of its rule; whether the rule is among those that are kept."""
        time_ms = event.event_time_ms
        rule = self.rules.get(event.rule_id)
        is_changed = rule is None
        if rule is None:
            names = self.names.get(ALL_RULES) or RuleNames()
            if len(names.rules) >= RULES_MAX:
                return False
            names.rules.append(event.rule_id)
            self.names.put(ALL_RULES, names)
            rule = RuleRecord(-1, time_ms, [], {})
        elif time_ms < rule.first_ms:
            rule.first_ms, is_changed = time_ms, True
        app = event.to_app
        if app is not None and app not in rule.targets and len(rule.targets) < TARGETS_MAX:
            rule.targets.append(app)
            is_changed = True
        for field in SAID:
            value: str | None = getattr(event, field)
            if value is not None and (time_ms, offset) < rule.said.get(field, (time_ms, offset + 1))[:2]:
                rule.said[field] = (time_ms, offset, value)
                is_changed = True
        if is_changed:
            self.rules.put(event.rule_id, rule)
        return True

    def _assign(self, event: Redirect) -> None:
        time_ms, known = event.event_time_ms, self.assigned.get(event.user_id)
        arm = arm_of(known, event.rule_id, time_ms)
        if arm is not None:
            if arm != event.arm:
                self._book(CONTRADICTED.name, time_ms, event.rule_id, arm)
            return
        arms = (
            {} if known is None else {rule: of for rule, of in known.arms.items() if _holds(of[1], time_ms)}
        )
        if len(arms) >= USER_RULES_MAX:
            return
        arms[event.rule_id] = (event.arm, time_ms)
        day = max(day_of(at_ms) for _, at_ms in arms.values())
        self.assigned.put(event.user_id, Assigned(day, arms))
        self._book(ASSIGNED.name, time_ms, event.rule_id, event.arm)

    def _use(self, event: Active) -> None:
        """An assigned user used the app that the rule leads to, or another one, which says nothing here."""
        known = self.assigned.get(event.user_id)
        for rule_id in dict.fromkeys(each.rule_id for each in event.assignments or ()):
            arm, rule = arm_of(known, rule_id, event.event_time_ms), self.rules.get(rule_id)
            if arm is not None and rule is not None and event.app in rule.targets:
                value = app_arm_value(event.app, rule_id, arm)
                self._users.add_one(ACTIVE_STEP, APP_RULE_ARM, event.event_time_ms, value, event.user_id)

    def _book(self, measure: str, time_ms: int, rule_id: str, arm: str) -> None:
        self._sums.add(RULE_ARM.name, time_ms, measure, pair_value(rule_id, arm), 1)


def arm_of(known: Assigned | None, rule_id: str, time_ms: int) -> str | None:
    """The arm of the rule in which a user is at a time; None: in none."""
    found = None if known is None else known.arms.get(rule_id)
    return found[0] if found is not None and _holds(found[1], time_ms) else None


def _holds(assigned_ms: int, time_ms: int) -> bool:
    return time_ms - assigned_ms <= ASSIGNED_DAYS * DAY_MS
