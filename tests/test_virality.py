"""Answers about mini-programs and sharing: what they say, when they say nothing, and what verify finds."""

from __future__ import annotations

from typing import Any

import pytest

from streams.answer import Group, Totals, flat_figures
from streams.answer_body import body
from streams.arrivals import Shared
from streams.kpis import FIGURE_SETS
from streams.virality import add_maturity, maturity
from tests.driver import run
from tests.scenario_kit import DAY, MINUTE, MONDAY, NOON, Scenario, Sent, event
from tests.scenarios_mini_programs import MINI_PROGRAMS
from tests.scenarios_virality import VIRALITY
from tests.test_verify_api import DAY_RANGE, totals_of
from verify import mini_programs, virality
from verify.asked import ABSENT, Asked, Near
from verify.model import Scope
from verify.origins import Origin, origin_of
from verify.recompute import recompute
from verify.rules import Rules
from verify.scopes import ORDER_KINDS

ALL_FIGURES = FIGURE_SETS["all"]
TUESDAY = MONDAY + DAY


def _sent(kind: str, event_id: str, at: int, user: str, **more: Any) -> Sent:
    topic = "views" if kind.startswith("mini") else "engagement"
    own = {"mini_program_id": "m1", "user_id": user, "share_id": "h1", "entry": "search", "name": "pay"}
    return Sent(topic=topic, value=event(kind, event_id, at, **own | more), at=at)


# Four users of m1; two shares by one of them; a new user, who shares 100 s later.
GROWTH = Scenario(
    name="growth",
    fact="",
    records=(
        *(_sent("mini_program_open", f"o{n}", NOON, f"u{n}") for n in range(4)),
        *(_sent("mini_program_action", f"a{n}", NOON, "u0") for n in range(6)),
        *(_sent("share", f"s{n}", NOON, "u0", channel="chat", share_id=f"h{n}") for n in range(2)),
        _sent("share_open", "p1", NOON, "u3", channel="chat"),
        _sent("share_convert", "c1", NOON + 1, "u3"),
        _sent("share", "s3", NOON + 100_001, "u3", channel="link", share_id="h9"),
    ),
    cells={},
)


def _answer(of: Scenario, scope: Scope, as_of_ms: int = NOON + MINUTE) -> dict[str, Any]:
    """What the read service says of the day, from what the pipeline saved; distinct users are exact."""
    driver = run(of.log(), of.partitions, of.settings)
    kind, value = scope
    found = [(key, n) for key, n in driver.cells().items() if key[:4] == (kind, value, "1d", MONDAY)]
    own = {key[4]: amount for key, amount in found}
    users = {
        f"users.{key[4]}": n
        for key, n in driver.user_counts().items()
        if key[:4] == (kind, value, "1d", MONDAY)
    }
    capped = any(key[0] == kind and key[4] == "capped" for key in driver.cells())
    totals = Totals(
        own,
        own | users if users else own,
        frozenset(Group) if capped else frozenset(),
        days_to_ms=DAY_RANGE.to_ms,
        as_of_ms=as_of_ms,
    )
    said = {"as_of_ms": as_of_ms, "users_from_ms": DAY_RANGE.from_ms, "users_to_ms": DAY_RANGE.to_ms}
    answer = said | body(kind, totals, {}, (), ALL_FIGURES, users_range_ms=DAY_RANGE[:2])
    add_maturity(answer, DAY_RANGE[:2], as_of_ms)
    return answer


def _told(of: Scenario, scope: Scope, answer: dict[str, Any]) -> dict[str, Any]:
    """What verify says that the answer must say."""
    asked = Asked(totals_of(of), scope, DAY_RANGE, answer, NOON)
    return mini_programs.answer(asked) | virality.answer(asked)


def _differing(of: Scenario, scope: Scope, answer: dict[str, Any]) -> list[str]:
    """Names that differ from what verify finds."""
    differing = []
    for name, want in _told(of, scope, answer).items():
        group, figure = name.split(".")
        have = answer.get(group, {}).get(figure, ABSENT)
        exact = want.exact if isinstance(want, Near) else want
        if have != (pytest.approx(exact) if isinstance(exact, float) else exact):
            differing.append(name)
    return differing


def test_the_k_factor() -> None:
    """Three shares by four users brought one new user: K is 3/4 x 1/3; two sharers, half a new user each."""
    answer = _answer(GROWTH, ("mini_program", "m1"))
    assert answer["virality"] == {
        "active_users": 4, "shares": 3, "opens": 1, "new_users": 1, "sharers": 2,
        "new_users_per_sharer": 0.5, "k_factor": 0.25, "cycle_p50_seconds": 90.0,
        "maturity": pytest.approx((NOON + MINUTE - 90_000 - MONDAY) / DAY),
    }  # fmt: skip
    assert answer["mini_program"]["actions_per_open"] == 1.5
    of_channel = _answer(GROWTH, ("channel", "chat"))["virality"]
    assert (of_channel["shares"], of_channel["new_users"], of_channel["sharers"]) == (2, 1, 1)
    # Whose channel an active user is nobody can say.
    assert of_channel["k_factor"] is None
    assert "active_users" not in of_channel


def test_orders_are_set_against_opens_of_a_mini_program_alone() -> None:
    """Of the whole shop most orders are of no mini-program: a ratio of them to opens would mean nothing."""
    totals = Totals({"events.mini_program_open": 4, "events.mini_program_action": 6, "events.purchase": 2})
    of_one = flat_figures("mini_program", totals, (), ALL_FIGURES)
    assert (of_one["mini_program.actions_per_open"], of_one["mini_program.orders_per_open"]) == (1.5, 0.5)
    told = _told(GROWTH, ("mini_program", "m1"), {})
    assert told["mini_program.orders_per_open"] == 0 and told["mini_program.shares_per_order"] is None
    for kind, of in (("all", ""), ("platform", "tiktok")):
        flat = flat_figures(kind, totals, (), ALL_FIGURES)
        assert flat["mini_program.actions_per_open"] == 1.5
        assert "mini_program.orders_per_open" not in flat
        assert _told(GROWTH, (kind, of), {})["mini_program.orders_per_open"] == ABSENT


def test_without_shares_there_is_no_k_factor() -> None:
    """New users of shares that lie before the range: 1/0 new users a share, so nothing can be said."""
    totals = {"users.view": 4, "new_users": 1, "users.share": 0}
    flat = flat_figures("all", Totals({}, totals), (), ALL_FIGURES)
    assert (flat["virality.k_factor"], flat["virality.new_users_per_sharer"]) == (None, None)


def test_where_nothing_is_kept_beside_users_nothing_is_set_against_them() -> None:
    """A range of users in which no cells are kept: the users are told, K is not, and is no 0."""
    totals = Totals({}, {"users.view": 4, "users.share": 2}, has_beside=False)
    flat = flat_figures("all", totals, (), ALL_FIGURES)
    assert (flat["virality.sharers"], flat["virality.k_factor"]) == (2, None)


@pytest.mark.parametrize(
    ("as_of_ms", "next_day", "day_7"),
    [
        (TUESDAY + DAY - 1, (None, None), (None, None)),
        (TUESDAY + DAY, (1, 0.5), (None, None)),
        (TUESDAY + 7 * DAY, (1, 0.5), (1, 0.5)),
    ],
)
def test_returns_are_null_until_their_day_is_over(as_of_ms: int, next_day: Any, day_7: Any) -> None:
    """Of Monday's two users one came on Tuesday: told once Tuesday is over by as-of, day 7 after the next."""
    scenario, scope = MINI_PROGRAMS[2], ("mini_program", "m1")
    said = _answer(scenario, scope, as_of_ms)["returns"]
    assert said["opened"] == 2
    assert (said["next_day"], said["next_day_per_opened"]) == next_day
    assert (said["day_7"], said["day_7_per_opened"]) == day_7
    assert not _differing(scenario, scope, _answer(scenario, scope, as_of_ms))


def test_returns_are_of_whole_days() -> None:
    """Over a range that is not made of days, or as of nobody knows when, nothing is said."""
    own = {"returns.opened": 5, "returns.next_day": 2}
    flat = flat_figures("mini_program", Totals(own, as_of_ms=TUESDAY + 9 * DAY), (), ALL_FIGURES)
    assert {flat[path] for path in flat if path.startswith("returns.")} == {None}
    flat = flat_figures("mini_program", Totals(own, days_to_ms=TUESDAY), (), ALL_FIGURES)
    assert (flat["returns.opened"], flat["returns.next_day"]) == (5, None)


@pytest.mark.parametrize(
    ("as_of_ms", "cycle_s", "expected"),
    [(50_000, 10, 0.4), (5_000, 10, 0.0), (900_000, 10, 1.0), (None, 10, None), (50_000, None, None)],
)
def test_maturity(as_of_ms: int | None, cycle_s: float | None, expected: float | None) -> None:
    """The part of the range that is a cycle older than as-of: of 100 s, 40 s lie 10 s before second 50."""
    assert maturity((0, 100_000), as_of_ms, cycle_s) == expected


SCOPES: list[Scope] = [
    *[("all", ""), ("platform", "tiktok"), ("mini_program", "m1"), ("mini_program", "other")],
    *[("channel", "chat"), ("channel", "unknown"), ("mini_program,channel", "2:m1chat"), ("qr", "q1")],
    *[("product", "p1"), ("gateway", "adyen")],
]


# Of kinds with many values verify keeps only the latest days one by one.
ASKED = [
    pytest.param(scenario, scope, id=f"{scenario.name} {scope[0]}:{scope[1]}")
    for scenario in (GROWTH, *MINI_PROGRAMS, *VIRALITY)
    for scope in SCOPES
    if scope[0] in ORDER_KINDS or max(sent.at for sent in scenario.records) < TUESDAY
]


@pytest.mark.parametrize(("scenario", "scope"), ASKED)
def test_verify_agrees_with_the_answers(scenario: Scenario, scope: Scope) -> None:
    """Every figure of both stories, in kinds that have them and in kinds that have not."""
    assert not _differing(scenario, scope, _answer(scenario, scope))


def test_verify_finds_a_wrong_answer() -> None:
    """Each figure of both stories, changed by itself, is found."""
    scope = ("mini_program", "m1")
    right = _answer(GROWTH, scope, TUESDAY + 8 * DAY)
    found = set()
    for group in ("entries", "mini_program", "returns", "virality"):
        for name, figure in right[group].items():
            changed = right | {group: right[group] | {name: (figure or 0) + 3}}
            assert f"{group}.{name}" in _differing(GROWTH, scope, changed)
            found.add(f"{group}.{name}")
    assert len(found) == 25


def test_verify_finds_a_wrong_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline that takes any open, before or after the new user, differs from the recomputation."""
    log = Scenario(
        name="",
        fact="",
        records=(
            _sent("share_convert", "c1", NOON, "u1"),
            _sent("share_open", "p1", NOON + 1, "u1", channel="chat"),
        ),
        cells={},
    ).log()
    assert run(log).cells() == recompute(log, Rules(partitions=1)).cells
    monkeypatch.setattr(Shared, "places", lambda self, _: self.opened.places if self.opened else ())
    assert run(log).cells() != recompute(log, Rules(partitions=1)).cells


@pytest.mark.parametrize(
    ("kind", "measure", "topic", "days"),
    [
        ("all", "reviews.5", "engagement", 0),
        ("all", "entries.search", "views", 0),
        ("mini_program", "returns.day_7", "views", 1),
        ("channel", "new_users", "engagement", 9),
        ("channel", "capped", "engagement", 9),
        ("all", "cycles.60", "engagement", 18),
    ],
)
def test_where_figures_come_from(kind: str, measure: str, topic: str, days: int) -> None:
    """What a log without its beginning leaves unknown: of the own topic alone, as long as records last."""
    assert origin_of(kind, measure, "engagement") == Origin(frozenset({topic}), days * DAY)
