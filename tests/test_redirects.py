"""Redirection rules: the pipeline counts what sorting and grouping gives, in whatever order it reads."""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from streams import redirects as module
from streams.kpis import FIGURE_SETS
from streams.ledger import Ledger, day_of
from streams.redirection import merged
from streams.redirects import RedirectBook, RuleNames, RuleRecord
from streams.story import Chunk
from streams.sums import Sums
from streams.users import UserSketches
from streams.window import pane_sizes
from tests.driver import PipelineDriver
from tests.scenario_kit import DAY, MONDAY, NOON, SECOND, Sent, view
from tests.scenarios_redirects import active, redirected
from verify import redirects as oracle
from verify.model import LogRecord, Rule
from verify.recompute import recompute
from verify.rules import Rules

CAPS = {"RULES": 2, "TARGETS": 1, "USER_RULES": 1}

_users = st.sampled_from(["u1", "u2", "u3"])
_rules = st.sampled_from(["r1", "r2", "r3"])
_arms = st.sampled_from(["treated", "held_out"])
_apps = st.sampled_from(["shop", "plus"])
# Out of order by less than the lateness.
_times = st.integers(0, 200).map(lambda back: NOON - back * SECOND)


@st.composite
def _sent(draw: st.DrawFn, number: int) -> Sent:
    event_id, user, arm, rule = f"e{number}", draw(_users), draw(_arms), draw(_rules)
    at = draw(_times)
    if draw(st.booleans()):
        more: dict[str, Any] = {"to_app": draw(_apps)} if draw(st.booleans()) else {"to_app": None}
        if draw(st.booleans()):
            more["creator_id"] = draw(st.sampled_from(["c1", "c2"]))
        return redirected(event_id, user, arm, rule=rule, at=at, **more)
    return active(event_id, user, arm, rule=rule, app=draw(_apps), at=at)


@st.composite
def _logs(draw: st.DrawFn) -> list[LogRecord]:
    sent = [draw(_sent(number)) for number in range(draw(st.integers(0, 40)))]
    return [
        LogRecord("redirects", 0, offset, max(each.at, NOON), b"u1", each.data)
        for offset, each in enumerate(sent)
    ]


def _stored(driver: PipelineDriver) -> dict[str, Rule]:
    ledger = Ledger("rules", RuleRecord)
    stored = driver.saved[0].ledgers["rules"]
    ledger.load(stored)
    records = {rule_id: ledger.get(rule_id) for rule_id in stored}
    return {of: Rule(record.first_ms, dict(record.said)) for of, record in records.items() if record}


@given(_logs(), st.integers(0, 2**32), st.booleans())
def test_any_reading_gives_what_sorting_gives(log: list[LogRecord], seed: int, is_tight: bool) -> None:
    """Neither batches, nor crashes, nor events out of order change an assignment, a sketch or a rule."""
    rng = random.Random(seed)
    with ExitStack() as caps:
        for name, most in CAPS.items() if is_tight else ():
            caps.enter_context(patch.object(module, f"{name}_MAX", most))
            caps.enter_context(patch.object(oracle, f"{name}_MOST", most))
        driver = PipelineDriver(1)
        driver.append(log)
        for _ in range(rng.randrange(30)):
            driver.read("redirects", 0, rng.randint(1, 5))
            if rng.random() < 0.4:
                driver.save(0)
            if rng.random() < 0.2:
                driver.crash(0)
        driver.finish()
        expected = recompute(log, Rules(partitions=1))
        assert driver.cells() == expected.cells
        assert driver.user_counts() == expected.user_counts
        assert _stored(driver) == expected.partitions[0].redirections if log else not _stored(driver)


def test_the_names_of_all_rules_are_kept() -> None:
    """A reader finds the rules by one record; those beyond the cap are not in it."""
    with patch.object(module, "RULES_MAX", 2):
        driver = PipelineDriver(1)
        sent = [redirected(f"e{n}", rule=rule) for n, rule in enumerate(["b", "a", "b", "c"])]
        driver.append(LogRecord("redirects", 0, n, each.at, b"u1", each.data) for n, each in enumerate(sent))
        driver.finish()
    names = Ledger("rulenames", RuleNames)
    names.load(driver.saved[0].ledgers["rulenames"])
    known = names.get(module.ALL_RULES)
    assert known is not None
    assert known.rules == ["b", "a"]
    assert set(driver.saved[0].ledgers["rules"]) == {"a", "b"}


def test_assignments_are_forgotten_only_when_they_have_lapsed() -> None:
    """The record of a user is deleted once no event can ask for it, not on the last day on which it holds."""
    driver = PipelineDriver(1)
    log = [redirected("e1")]
    log += [active(f"t{day}", "u2", at=NOON + day * DAY) for day in (400, 401, 402, 403)]
    for offset, sent in enumerate(log):
        driver.append([LogRecord("redirects", 0, offset, sent.at, b"u1", sent.data)])
        driver.read("redirects", 0)
        driver.save(0)
        driver.save(0)
        is_kept = sent.at <= NOON + 401 * DAY
        assert ("u1" in driver.saved[0].ledgers["assigned"]) is is_kept, sent.at


def test_a_user_is_filed_under_the_latest_assignment() -> None:
    """An assignment that comes late, of the day before, does not let the other one go a day too early."""
    driver = PipelineDriver(1)
    midnight = MONDAY + DAY
    sent = [redirected("e1", at=midnight), redirected("e2", rule="r2", at=midnight - SECOND)]
    driver.append(LogRecord("redirects", 0, n, midnight, b"u1", each.data) for n, each in enumerate(sent))
    driver.finish()
    assert driver.saved[0].ledgers["assigned"]["u1"].startswith(b"%d:" % day_of(midnight))


def test_the_earliest_word_of_any_partition_holds() -> None:
    """Of two at one time the lower offset, then the lower partition number; each field by itself."""
    records = [
        RuleRecord(-1, NOON + 1, [], {"to_app": (NOON + 1, 5, "a"), "creator_id": (NOON + 9, 0, "c")}),
        RuleRecord(-1, NOON, [], {"to_app": (NOON + 1, 4, "b"), "from_app": (NOON + 2, 0, "x")}),
        RuleRecord(-1, NOON + 3, [], {"to_app": (NOON + 1, 4, "d")}),
    ]
    rule = merged("r", records)
    assert rule is not None
    assert (rule.first_ms, rule.first_day_ms) == (NOON, MONDAY)
    assert rule.said == {"to_app": "b", "creator_id": "c", "from_app": "x"}
    assert merged("r", []) is None


def test_the_small_figure_set_and_other_events_cost_nothing() -> None:
    """Where nothing is kept of redirection the book takes no topic; activity without a rule loads nothing."""
    sizes = pane_sizes(1, 1, 1, 1)

    def book(name: str) -> RedirectBook:
        figures = FIGURE_SETS[name]
        sums = Sums(figures, sizes)
        return RedirectBook(figures, sums, UserSketches(figures, sums.admission))

    assert book("funnel-gmv").topics == frozenset()
    assert book("all").topics == {"redirects"}
    driver = PipelineDriver(1)
    sent = [active("e1"), view("e2", NOON)]
    driver.append(LogRecord(each.topic, 0, 0, each.at, b"u1", each.data) for each in sent)
    driver.finish()
    assert not any(driver.saved[0].ledgers[name] for name in ("assigned", "rules", "rulenames"))
    assert book("all").ids(Chunk("redirects", [], [], [])) == {"assigned": [], "rules": [], "rulenames": []}
