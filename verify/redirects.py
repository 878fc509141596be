"""Redirection rules: who was assigned to which arm, and which of them used the app they were sent to.

A partition's redirects and activity are collected while the log is read; then each rule's redirects are
sorted, and each user's events are gone through by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from verify.model import Booking, Rule, Scope
from verify.panes import pane_start
from verify.rules import DAY_MS
from verify.scopes import APP_RULE_ARM, RULE_ARM, pair_value
from verify.users import UserSets, number

ASSIGNED_MS = 400 * DAY_MS
RULES_MOST = 200
TARGETS_MOST = 4
USER_RULES_MOST = 20
SAID = ("from_app", "to_app", "from_product_id", "to_product_id", "creator_id")


class _Use(NamedTuple):
    """An assigned user, active in an app that the rule leads to."""

    time_ms: int
    user: int
    app: str
    rule_id: str
    arm: str


class Redirects:
    """The rules of one partition."""

    def __init__(self) -> None:
        self._log: list[tuple[int, Mapping[str, Any]]] = []

    def add(self, event: Mapping[str, Any], offset: int) -> None:
        """Any accepted, real event; those of other stories say nothing here."""
        if event["event_type"] == "redirect" or event.get("assignments"):
            self._log.append((offset, event))

    def rules(self) -> dict[str, Rule]:
        """The rules that came first, and what their redirects say of them."""
        by_rule: dict[str, list[tuple[int, int, Mapping[str, Any]]]] = {}
        for offset, event in self._redirects():
            by_rule.setdefault(event["rule_id"], []).append((event["event_time_ms"], offset, event))
        kept = list(by_rule.items())[:RULES_MOST]
        found: dict[str, Rule] = {}
        for rule_id, redirects in kept:
            ordered = sorted(redirects, key=lambda each: each[:2])
            said = {
                field: first
                for field in SAID
                if (first := next(((at, o, e[field]) for at, o, e in ordered if field in e), None))
            }
            found[rule_id] = Rule(ordered[0][0], said)
        return found

    def bookings(self) -> Iterator[Booking]:
        """Each user once in the arm of the first assignment, and what contradicts it."""
        for measure, time_ms, rule_id, arm in self._walk()[0]:
            scope: Scope = (RULE_ARM, pair_value(rule_id, arm))
            yield Booking(time_ms, (scope,), ((measure, 1),))

    def count(self, sets: UserSets) -> None:
        """Adds the users who were active in the app they were sent to, by arm."""
        for use in self._walk()[1]:
            value = pair_value(use.app, pair_value(use.rule_id, use.arm))
            day = pane_start(use.time_ms, "1d")
            sets.add("active", "1d", day, [(APP_RULE_ARM, value)], use.user)

    def _redirects(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        return ((offset, event) for offset, event in self._log if event["event_type"] == "redirect")

    def _walk(self) -> tuple[list[tuple[str, int, str, str]], list[_Use]]:
        """What is booked, and who used what; user by user."""
        rules = self.rules().keys()
        targets = self._targets()
        by_user: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
        for offset, event in self._log:
            by_user.setdefault(event["user_id"], []).append((offset, event))
        booked: list[tuple[str, int, str, str]] = []
        uses: list[_Use] = []
        for user_id, events in by_user.items():
            arms: dict[str, tuple[str, int]] = {}
            for offset, event in events:
                time_ms = event["event_time_ms"]
                holding = {of: arm for of, (arm, at_ms) in arms.items() if time_ms - at_ms <= ASSIGNED_MS}
                if event["event_type"] == "redirect":
                    rule_id = event["rule_id"]
                    if rule_id in holding and holding[rule_id] != event["arm"]:
                        booked.append(("contradicted", time_ms, rule_id, holding[rule_id]))
                    elif rule_id in rules and rule_id not in holding and len(holding) < USER_RULES_MOST:
                        arms = {of: arms[of] for of in holding} | {rule_id: (event["arm"], time_ms)}
                        booked.append(("assigned", time_ms, rule_id, event["arm"]))
                    continue
                for rule_id in {each["rule_id"] for each in event["assignments"]} & holding.keys():
                    since = targets.get(rule_id, {}).get(event["app"])
                    if since is not None and since < offset:
                        uses.append(_Use(time_ms, number(user_id), event["app"], rule_id, holding[rule_id]))
        return booked, uses

    def _targets(self) -> dict[str, dict[str, int]]:
        """By rule, the first apps that redirects lead to, and since which offset they are known."""
        found: dict[str, dict[str, int]] = {}
        for offset, event in self._redirects():
            apps = found.setdefault(event["rule_id"], {})
            if "to_app" in event and len(apps) < TARGETS_MOST:
                apps.setdefault(event["to_app"], offset)
        return found
