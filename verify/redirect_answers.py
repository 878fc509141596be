"""What the read service must say of a redirection rule.

For the days that are over at the answer's own "as of": users and assignments are recomputed, what follows
from them is worked out from the answer's own estimates. The stop signal is in `stop_signal`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import exp, log, sqrt
from statistics import NormalDist
from typing import Any

from verify import stop_signal
from verify.asked import CLOCK_SLACK_MS, Near, ratio
from verify.model import Rule
from verify.panes import pane_start
from verify.redirects import ASSIGNED_MS, SAID
from verify.rules import DAY_MS, SKETCH_KEPT_MS
from verify.scopes import APP_RULE_ARM, RULE_ARM, pair_value
from verify.totals import Range, Totals
from verify.users import STANDARD_ERROR

MONTH_MS = 30 * DAY_MS
ARMS = ("treated", "held_out")
OFF_BELOW = 0.001


def rules_of(totals: Totals) -> dict[str, Rule]:
    """Every rule, put together from the partitions, which stand in the order of their numbers."""
    found: dict[str, Rule] = {}
    for part in totals.redirections:
        for rule_id, rule in part.items():
            known = found.get(rule_id, rule)
            said = dict(known.said)
            for name, word in rule.said.items():
                said[name] = min(said.get(name, word), word, key=lambda each: each[:2])
            found[rule_id] = Rule(min(known.first_ms, rule.first_ms), said)
    return found


class RuleAsked:
    """One question about a rule: what the log says of it, the answer, and the clock when it was given."""

    def __init__(
        self, totals: Totals, rule_id: str, rule: Rule, *, answer: Mapping[str, Any], now_ms: int
    ) -> None:
        self.totals = totals
        self.rule_id = rule_id
        self.rule = rule
        self.answer = answer
        self.now_ms = now_ms
        self.day_ms = pane_start(rule.first_ms, "1d")
        self.app = rule.said["to_app"][2] if "to_app" in rule.said else None

    def expected(self) -> dict[str, Any]:
        """Flat names and what they must be."""
        said = self.rule.said
        expected: dict[str, Any] = {
            "rule_id": self.rule_id,
            "first_redirect_ms": self.rule.first_ms,
            "users_standard_error": STANDARD_ERROR,
            **{name: said[name][2] if name in said else None for name in SAID},
            **self._products(),
            **self._users("pre", self.day_ms),
        }
        is_counted = self.app is not None and expected["pre_mau"] is not None
        days = range(self.day_ms - MONTH_MS, self.day_ms, DAY_MS)
        expected["pre_days_with_activity"] = sum(map(self._is_used_on, days)) if is_counted else None
        expected["as_of_ms"] = as_of_ms = self._as_of_ms()
        until_ms: int | None = None
        if as_of_ms is not None:
            expected |= self._users("post", pane_start(as_of_ms, "1d"))
            until_ms = expected["post_to_ms"]
            first_end_ms = self.day_ms + DAY_MS + MONTH_MS
            expected["days_to_come"] = max(0, (first_end_ms - pane_start(as_of_ms, "1d")) // DAY_MS)
        else:
            expected |= dict.fromkeys(("post_mau", "post_from_ms", "post_to_ms", "days_to_come"))
        expected["capped"] = self.app is not None and any(
            self.totals.is_capped("app", Range(expected[f"{side}_from_ms"], expected[f"{side}_to_ms"], "1d"))
            for side in ("pre", "post")
            if expected[f"{side}_to_ms"] is not None
        )
        pre, post = self.answer.get("pre_mau"), self.answer.get("post_mau")
        rise = 100 * (post - pre) / pre if pre and post is not None else None
        expected["uplift_percent"] = None if expected["capped"] else rise
        expected |= self._arms(until_ms, expected["days_to_come"] == 0)
        words = {name: word[2] for name, word in said.items()}
        return expected | stop_signal.expected(self.totals, words, self.day_ms, until_ms)

    def _as_of_ms(self) -> int | None:
        """The answer's own, which is never later than the clock."""
        as_of_ms = self.answer.get("as_of_ms")
        return min(as_of_ms, self.now_ms + CLOCK_SLACK_MS) if isinstance(as_of_ms, int) else None

    def _products(self) -> dict[str, Any]:
        """What the products of the rule are called and cost; null while they were not listed."""
        found: dict[str, Any] = {}
        for name in ("from_product_id", "to_product_id"):
            if name in self.rule.said:
                of = self.rule.said[name][2]
                listed = self.totals.shelves.titles.get(of)
                for fact in ("title", "unit_price_minor", "currency"):
                    found[f"products.{of}.{fact}"] = listed and getattr(listed, fact)
        return found

    def _is_used_on(self, day_ms: int) -> bool:
        sums = self.totals.of(("app", self.app or ""), Range(day_ms, day_ms + DAY_MS, "1d"))
        return sums["events.active"] > 0

    def _users(self, name: str, until_ms: int) -> dict[str, Any]:
        """Users of the target in the month that ends there."""
        span = Range(until_ms - MONTH_MS, until_ms, "1d")
        if span.from_ms < max(self.now_ms, self.totals.newest_ms) - SKETCH_KEPT_MS["1d"]:
            return dict.fromkeys((f"{name}_mau", f"{name}_from_ms", f"{name}_to_ms"), None)
        app = self.app
        mau = None if app is None else Near(self.totals.user_count(("app", app), "active", span))
        return {f"{name}_mau": mau, f"{name}_from_ms": span.from_ms, f"{name}_to_ms": until_ms}

    def _arms(self, until_ms: int | None, is_ripe: bool) -> dict[str, Any]:
        """Of each arm; and of one against the other, if the days are full."""
        expected: dict[str, Any] = {}
        assigned: list[int] = []
        active: list[int] = []
        for arm in ARMS:
            value = pair_value(self.rule_id, arm)
            sums = self._assigned(value, until_ms)
            assigned.append(sums["assigned"])
            active.append(min(self._said_active(arm), sums["assigned"]))
            expected[f"arms.{arm}.assigned"] = sums["assigned"]
            expected[f"arms.{arm}.contradicted"] = sums["contradicted"]
            expected |= self._active(arm, value, until_ms, sums["assigned"])
        if is_ripe and self.app is not None and until_ms is not None:
            expected |= uplift(assigned, active)
        else:
            expected |= {"uplift_against_held_out_percent": None, "interval_percent": None}
        p = sample_ratio_p(assigned, self.answer.get("sample_ratio_expected_held_out_percent"))
        return expected | {"sample_ratio_p": p, "sample_ratio_is_off": None if p is None else p < OFF_BELOW}

    def _assigned(self, value: str, until_ms: int | None) -> Counter[str]:
        """Sums of an arm over the days whose assignments may hold in the month that ends there."""
        if until_ms is None or self.day_ms >= until_ms:
            return Counter()
        from_ms = max(self.day_ms, until_ms - MONTH_MS - ASSIGNED_MS)
        return self.totals.of((RULE_ARM, value), Range(from_ms, until_ms, "1d"))

    def _active(self, arm: str, value: str, until_ms: int | None, assigned: int) -> dict[str, Any]:
        """Users of an arm in the target, and their share by the answer's own estimate."""
        head = f"arms.{arm}.active"
        if self.app is None or until_ms is None:
            return {head: None, f"{head}_per_assigned": None}
        scope = (APP_RULE_ARM, pair_value(self.app, value))
        users = self.totals.user_count(scope, "active", Range(until_ms - MONTH_MS, until_ms, "1d"))
        share = ratio(min(self._said_active(arm), assigned), assigned)
        return {head: Near(users), f"{head}_per_assigned": share}

    def _said_active(self, arm: str) -> int:
        """The answer's own estimate of the arm's active users."""
        arms = self.answer.get("arms")
        found = arms.get(arm, {}).get("active") if isinstance(arms, dict) else None
        return found if isinstance(found, int) else 0


def with_names(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer with its interval as an object: of lists no comparison tells the places apart."""
    interval = answer.get("interval_percent")
    named = dict(zip(("low", "high"), interval, strict=False)) if isinstance(interval, list) else interval
    return stop_signal.with_names({**answer, "interval_percent": named})


def uplift(assigned: list[int], active: list[int]) -> dict[str, Any]:
    """In per cent, with its interval: of the treated over those held out, by active of assigned users."""
    if 0 in assigned or not active[1]:
        return {"uplift_against_held_out_percent": None, "interval_percent": None}
    ratio = active[0] * assigned[1] / (active[1] * assigned[0])
    told: dict[str, Any] = {"uplift_against_held_out_percent": 100 * (ratio - 1)}
    if not active[0]:
        return told | {"interval_percent": None}
    spread = sqrt(sum(1 / a - 1 / n + STANDARD_ERROR**2 for a, n in zip(active, assigned, strict=True)))
    ends = [log(ratio) + NormalDist().inv_cdf(q) * spread for q in (0.025, 0.975)]
    names = ("interval_percent.low", "interval_percent.high")
    return told | {name: 100 * (exp(end) - 1) for name, end in zip(names, ends, strict=True)}


def sample_ratio_p(assigned: list[int], held_out_percent: Any) -> float | None:
    """Two-sided, by the normal distribution of the number of those held out."""
    users = sum(assigned)
    if not users or not isinstance(held_out_percent, int):
        return None
    share = held_out_percent / 100
    z = abs(assigned[1] - users * share) / sqrt(users * share * (1 - share))
    return 2 * NormalDist().cdf(-z)
