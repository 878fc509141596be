"""verify.creators: creators by whole days, as a stand-in tells it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.scenario_kit import DAY, MONDAY, NOON, in_room, line, purchase, refund
from tests.test_verify_api import scenario, totals_of
from verify.api import Service
from verify.creators import Told, ask_creators, compare_told, earnings, is_not_yet
from verify.rules import Rules

SHOP = scenario(
    in_room("live_start", "e3", NOON, creator_id="c2"),
    purchase(
        "o1",
        NOON,
        line("p1", 7, 100, creator_id="c1", commission_bps=1_000),
        line("p2", 1, 500, creator_id="c2", commission_bps=1_000),
    ),
    purchase("o2", NOON + DAY, line("p3", 1, 300), creator_id="c1", platform="kuaishou"),
    refund("r1", "o1", NOON + DAY, 100, items=[{"product_id": "p2", "quantity": 1, "amount_minor": 100}]),
)
PLATFORMS = Rules(platforms=frozenset({"tiktok", "kuaishou"}))
Get = Callable[[Mapping[str, str]], Any]


def _creators(days: int, to_ms: int = MONDAY + DAY) -> dict[str, Any]:
    """Of Monday: c1 and c2 sold and earned 70 and 40; c2 went live."""
    best = [{"creator_id": "c1", "commission_minor": 70}, {"creator_id": "c2", "commission_minor": 40}]
    return {
        "from_ms": to_ms - days * DAY, "to_ms": to_ms, "before_from_ms": to_ms - 2 * days * DAY,
        "read_ms": to_ms + DAY, "as_of_ms": to_ms + 1, "read_offsets": {},
        "with_a_sale": 2, "with_a_live": 1, "with_a_sale_before": 0, "with_a_live_before": 0,
        "stopped_selling": {"count": 0, "per_creator_with_a_sale_before": None, "creators": []},
        "stopped_going_live": {"count": 0, "per_creator_with_a_live_before": None, "creators": []},
        "earnings": {
            "USD": {
                "creators": 2, "total_minor": 110, "p25_minor": 48, "median_minor": 55, "p75_minor": 62,
                "top": best,
            }
        },
    }  # fmt: skip


NOBODY: dict[str, Any] = {
    "with_a_sale": 0, "with_a_live": 0,
    "earnings": {"USD": dict.fromkeys(("p25_minor", "median_minor", "p75_minor")) | {
        "creators": 0, "total_minor": 0, "top": []
    }},
}  # fmt: skip


def _answers(asked: Mapping[str, str]) -> Any:
    answer = _creators(int(asked["days"]))
    return answer if asked.get("platform", "tiktok") == "tiktok" else answer | copy.deepcopy(NOBODY)


def _told(get: Get, now_ms: int = MONDAY + 2 * DAY) -> Told:
    def ask(path: str, asked: Mapping[str, str]) -> Any:
        assert path == "/api/v1/creators"
        return get(asked)

    return ask_creators(Service(ask, lambda: now_ms, pause=0.0), PLATFORMS)


def _differences(told: Told) -> list[str]:
    return [difference.what for difference in compare_told(totals_of(SHOP), told).differences]


def test_right_lists_agree() -> None:
    """Every platform is asked for, in both lengths, and nothing differs."""
    told = _told(_answers)
    assert _differences(told) == []
    assert compare_told(totals_of(SHOP), told).compared == 4 * 2 * (3 + 2 * 5 + 6)


@pytest.mark.parametrize(
    ("path", "wrong", "what"),
    [
        (("with_a_sale",), 3, "with_a_sale"),
        (("with_a_live_before",), 1, "with_a_live_before"),
        (("stopped_selling", "count"), 1, "stopped (sale)"),
        (("earnings", "USD", "median_minor"), 56, "median_minor"),
        (("earnings", "USD", "total_minor"), 111, "total_minor"),
        (("earnings", "USD", "top", 0, "commission_minor"), 71, "top"),
        (("from_ms",), 0, "range"),
    ],
)
def test_a_wrong_number_of_creators_is_found(path: tuple[Any, ...], wrong: Any, what: str) -> None:
    """One broken number of one platform and length is one difference."""

    def get(asked: Mapping[str, str]) -> Any:
        answer = _answers(asked)
        if asked == {"days": "30"}:
            at = answer
            for each in path[:-1]:
                at = at[each]
            at[path[-1]] = wrong
        return answer

    assert _differences(_told(get)) == [what]


def test_who_stopped_is_named() -> None:
    """A week later nobody of Monday sold any more: both are told, in order, and who is not told is missed."""
    to_ms = MONDAY + 8 * DAY
    gone = {"count": 1, "per_creator_with_a_live_before": 1.0, "creators": [{"creator_id": "c2"}]}
    before = {"with_a_sale_before": 2, "with_a_live_before": 1, "stopped_going_live": gone}
    stopped: dict[str, Any] = {"count": 2, "per_creator_with_a_sale_before": 1.0}
    stopped["creators"] = [{"creator_id": "c1"}, {"creator_id": "c2"}]
    # c1 sold on Tuesday, on another platform.
    tuesday = earnings({"c1": Counter({"orders:USD": 1, "gmv_paid:USD": 300})}, "USD")
    tuesday["top"] = [{"creator_id": "c1", "commission_minor": 0}]
    one = {"count": 1, "per_creator_with_a_sale_before": 0.5, "creators": [{"creator_id": "c2"}]}
    by_platform = {
        None: before | {"with_a_sale": 1, "earnings": {"USD": tuesday}, "stopped_selling": one},
        "tiktok": before | {"stopped_selling": stopped},
        "kuaishou": {"with_a_sale": 1, "earnings": {"USD": tuesday}},
        "other": {},
    }

    def get(asked: Mapping[str, str]) -> Any:
        if asked["days"] == "30":
            # Thirty days hold both weeks: what they must say stands in the tests above.
            return _answers(asked) | {"read_ms": to_ms + DAY}
        return _creators(7, to_ms) | copy.deepcopy(NOBODY) | by_platform[asked.get("platform")]

    def differences() -> set[tuple[str, str]]:
        found = compare_told(totals_of(SHOP), _told(get, to_ms + DAY)).differences
        return {(each.what, each.where) for each in found if each.where.split()[3] == "7"}

    assert differences() == set()
    stopped["creators"] = [{"creator_id": "c2"}, {"creator_id": "c1"}]
    assert differences() == {("stopped (sale), named", "api creators tiktok 7")}


def test_days_that_were_read_long_ago_are_a_difference() -> None:
    """Creators are read every five minutes: a reading that is older stands still."""
    told = _told(_answers, MONDAY + 2 * DAY + 601_000)
    assert set(_differences(told)) == {"read lately"}


def test_a_day_too_many_is_a_difference() -> None:
    """The days end with the last one that was read to its end."""
    assert set(_differences(_told(lambda asked: _answers(asked) | {"as_of_ms": MONDAY + DAY - 1}))) == {
        "to_ms"
    }


def test_answers_of_two_readings_are_asked_for_again() -> None:
    """Between two questions the days may be read anew; all answers are of one reading then."""
    count = 0

    def get(asked: Mapping[str, str]) -> Any:
        nonlocal count
        count += 1
        return _answers(asked) | {"read_ms": MONDAY + 2 * DAY - (count < 3)}

    told = _told(get)
    assert count == 16
    assert {answer["read_ms"] for answer in told.answers.values()} == {MONDAY + 2 * DAY}


def test_a_service_that_knows_no_day_yet_is_asked_again() -> None:
    """In its first moments it says so; what it says then is compared, and if it stays so that is a note."""
    count = 0

    def get(asked: Mapping[str, str]) -> Any:
        nonlocal count
        count += 1
        return "HTTP 400: no day is known to be read to its end yet" if count < 9 else _answers(asked)

    assert _differences(_told(get)) == []
    never = _told(lambda _: "HTTP 400: no day is known to be read to its end yet")
    assert all(is_not_yet(answer) for answer in never.answers.values())


def test_a_refusal_is_a_difference() -> None:
    """What can't be had is told as such, once a question."""
    assert _differences(_told(lambda _: "HTTP 400: no")) == ["answer"] * 8
