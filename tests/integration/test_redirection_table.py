"""Redirection through the worker's core and a real Redis: the published table, and `verify` on answers."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from streams.answer_body import USERS_STANDARD_ERROR
from streams.read_model import ReadModel
from streams.read_store import ReadStore
from streams.redirection import read_names, read_rule
from streams.settings import Settings
from tests.scenario_kit import (
    DAY,
    HOUR,
    MONDAY,
    NOON,
    SECOND,
    Sent,
    event,
    line,
    purchase,
    refund,
)
from tests.scenarios_redirects import active, redirected
from tests.store_kit import Shelf, on_redis
from tests.test_verify_api import scenario, totals_of
from verify.api import compare_redirections
from verify.compare import Report
from verify.totals import Totals

# By the target: users of a month before and after, and of 1 000 assigned to each arm those active after.
TABLE = {
    "resso": (1_000, 10_000, 900, 225),
    "tiktok_plus": (500, 8_000, 800, 400),
    "tiktok_shop": (2_000, 12_000, 600, 600),
}
ASSIGNED = 1_000
# Six standard errors of the sketches, the published bound of `verify`.
NEAR = 6 * USERS_STANDARD_ERROR


def _history(app: str, before: int, after: int, treated: int, held_out: int) -> list[Sent]:
    """The events of an app around Monday: a month of users, the redirects, and the month after."""
    rule = f"to-{app}"
    times = {arm: n for arm, n in (("treated", treated), ("held_out", held_out))}
    sent: list[Sent] = []
    for n in range(before):
        for visit in range(1 + n % 3 // 2):  # every third user comes twice
            sent.append(_active(app, f"{app}-old{n}", MONDAY - (1 + (n + 7 * visit) % 30) * DAY, n, visit))
    for n in range(2 * ASSIGNED):
        arm = ("treated", "held_out")[n % 2]
        more = {"to_app": app, "to_product_id": f"p-{app}", "creator_id": f"c-{app}"}
        at = NOON + n * SECOND
        sent.append(redirected(f"{app}-r{n}", f"{app}-new{n}", arm, rule=rule, at=at, **more))
    for n in range(after):
        arm = ("treated", "held_out")[n % 2] if n < 2 * ASSIGNED else ""
        if arm and n // 2 >= times[arm]:
            continue
        for visit in range(1 + n % 3 // 2):
            day = MONDAY + (1 + (n + 7 * visit) % 30) * DAY
            sent.append(_active(app, f"{app}-new{n}", day, n, visit, arm=arm, rule=rule))
    absent = 2 * ASSIGNED - treated - held_out
    for n in range(absent):  # as many others as of the assigned did not come
        sent.append(_active(app, f"{app}-else{n}", MONDAY + (1 + n % 30) * DAY, n))
    return sent


def _active(app: str, user: str, day_ms: int, n: int, visit: int = 0, **of: str) -> Sent:
    at = day_ms + n * SECOND % (20 * HOUR)
    return active(f"{user}-{visit}", user, of.get("arm") or None, app=app, rule=of.get("rule", ""), at=at)


async def _fold(shelf: Shelf, sent: list[Sent]) -> None:
    """Through the worker's core into Redis, read up to the end of the day after the last."""
    memory = await shelf.owner()
    ordered = sorted(sent, key=lambda each: each.at)
    for at in range(0, len(ordered), 1_000):
        await memory.fold(*ordered[at : at + 1_000])
        await memory.save()
    for progress in memory.state.topics.values():
        progress.watermark_ms = MONDAY + 31 * DAY
    await memory.fold(active("the-end", "nobody", app="none", at=MONDAY + 31 * DAY))
    await memory.save()


def _model(shelf: Shelf, now_ms: int = MONDAY + 31 * DAY + HOUR, **changed: Any) -> ReadModel:
    settings = Settings(partitions=1, redis_prefix=shelf.prefix, **changed)
    return ReadModel(ReadStore(shelf.client, shelf.prefix, 1), settings, lambda: now_ms)


@on_redis()
async def test_the_published_table_at_a_thousandth(shelf: Shelf) -> None:
    """Resso 1 000 to 10 000 (+900 %), TikTok Plus 500 to 8 000 (+1500 %), TikTok Shop 2 000 to 12 000
    (+500 %), within the sketches' stated error, and against the arm that was held out."""
    await _fold(shelf, [sent for app, row in TABLE.items() for sent in _history(app, *row)])
    model = _model(shelf)
    assert await read_names(model) == sorted(f"to-{app}" for app in TABLE)
    for app, (before, after, treated, held_out) in TABLE.items():
        told: Any = await read_rule(model, f"to-{app}")
        json.dumps(told)
        assert told["pre_mau"] == pytest.approx(before, rel=NEAR), app
        assert told["post_mau"] == pytest.approx(after, rel=NEAR), app
        assert told["uplift_percent"] == pytest.approx(100 * (after / before - 1), rel=3 * NEAR), app
        assert told["uplift_percent"] == 100 * (told["post_mau"] - told["pre_mau"]) / told["pre_mau"]
        assert (told["pre_from_ms"], told["pre_to_ms"]) == (MONDAY - 30 * DAY, MONDAY)
        assert (told["post_from_ms"], told["post_to_ms"]) == (MONDAY + DAY, MONDAY + 31 * DAY)
        assert (told["pre_days_with_activity"], told["days_to_come"], told["capped"]) == (30, 0, False)
        assert (told["first_redirect_ms"], told["to_app"]) == (NOON, app)
        arms = told["arms"]
        assert [arms[arm]["assigned"] for arm in ("treated", "held_out")] == [ASSIGNED, ASSIGNED]
        assert arms["treated"]["active"] == pytest.approx(treated, rel=NEAR)
        assert arms["held_out"]["active"] == pytest.approx(held_out, rel=NEAR)
        low, high = told["interval_percent"]
        assert low < 100 * (treated / held_out - 1) < high
        assert low < told["uplift_against_held_out_percent"] < high
        assert (told["sample_ratio_p"], told["sample_ratio_is_off"]) == (1.0, False)
        assert (told["stop"], told["stop_reasons"]) == (False, [])
        answer: Any = await model.kpis(f"app:{app}", None, MONDAY, MONDAY + 31 * DAY)
        assert answer["active_users"]["month"] == told["post_mau"]
        assert answer["active_users"]["day"] == pytest.approx(
            answer["events_by_type"]["active"] / 30, rel=0.3
        )
    # A tenth was meant to be held out: half is off.
    off: Any = await read_rule(_model(shelf, held_out_percent=10), "to-resso")
    assert off["sample_ratio_is_off"] is True
    assert await read_rule(model, "nobody's") is None


NAMED = {"rules": ["r1", "r2"]}


def _small_history() -> list[Sent]:
    """Two rules of few users, one of which a redirect tells nothing of but that it is there; and what the
    first one's targets sold, before and since."""
    sent = [active(f"before{n}", f"u{n}", at=MONDAY - (1 + n % 30) * DAY) for n in range(12)]
    for n in range(40):
        arm = ("treated", "held_out")[n % 2]
        more = {"from_product_id": "p1", "to_product_id": "p2", "creator_id": "c1"}
        sent.append(redirected(f"r{n}", f"u{n}", arm, at=NOON + n * SECOND, **more))
        if n % 3 or n % 2 == 0:
            sent.append(active(f"after{n}", f"u{n}", arm, at=MONDAY + (1 + n % 30) * DAY))
    sent.append(redirected("again", "u1", "treated", at=NOON + HOUR))
    sent.append(redirected("plain", "u1", "treated", rule="r2", at=NOON + HOUR, to_app=None))
    return sent + [each for day in range(-31, 31) for each in _day_of_targets(day)]


def _day_of_targets(day: int) -> Iterator[Sent]:
    """A product that is sent back more and rated less since Monday, and a creator who earns less; in euro
    too little is sold to tell."""
    at, is_since = MONDAY + day * DAY + HOUR, day > 0
    for n in range(3):
        creator = {"creator_id": "c1", "commission_bps": 500 if is_since else 1_000}
        yield purchase(f"o{day}-{n}", at + n, line("p2", 1, 1_000 + n * 10 + day % 4, **creator))
        stars = 1 + (day + n) % 3 if is_since else 4 + (day + n) % 2
        yield Sent(
            topic="engagement",
            value=event("review", f"v{day}-{n}", at + n, product_id="p2", rating=stars),
            at=at + n,
        )
    if day % 10 == 0:
        yield purchase(f"e{day}", at + 9, line("p2", 1, 700), currency="EUR", creator_id="c1")
    if is_since or day % 10 == 0:
        yield refund(f"f{day}", f"o{day}-0", at + HOUR, 1_000)


def _log(sent: list[Sent]) -> Totals:
    """What `verify` makes of the same events."""
    the_end = active("the-end", "nobody", app="none", at=MONDAY + 31 * DAY)
    return totals_of(scenario(*sorted(sent, key=lambda each: each.at), the_end))


def _differing(totals: Totals, told: dict[str, Any], rules: Any = NAMED) -> list[str]:
    report, told = Report(), {**told, "": rules}
    with patch("verify.api.time.time", lambda: (MONDAY + 31 * DAY + HOUR) / 1_000):
        compare_redirections(report, totals, told.__getitem__, pause=0)
    return sorted(each.what for each in report.differences)


@on_redis()
async def test_verify_holds_an_answer_to_the_log(shelf: Shelf) -> None:
    """What is told of a rule is recomputed from the log; each number that is changed is found."""
    sent = _small_history()
    await _fold(shelf, sent)
    model, totals = _model(shelf), _log(sent)
    answers: dict[str, Any] = {rule: await read_rule(model, rule) for rule in await read_names(model)}
    assert sorted(answers) == NAMED["rules"]
    assert _differing(totals, answers) == []
    for wrong in ({"rules": ["r1"]}, {"rules": ["r2", "r1"]}, "HTTP 503"):
        assert _differing(totals, answers, wrong) == ["rules"]
    assert answers["r1"]["arms"]["held_out"]["contradicted"] == 1
    for name, value in answers["r1"].items():
        if name in NOT_HELD or isinstance(value, dict):
            continue
        changed = answers | {"r1": answers["r1"] | {name: WRONG[type(value)]}}
        assert _differing(totals, changed), name
    for arm in ("treated", "held_out"):
        for name in ("assigned", "contradicted", "active", "active_per_assigned"):
            changed = copy.deepcopy(answers)
            changed["r1"]["arms"][arm][name] += 9
            assert f"arms.{arm}.{name}" in _differing(totals, changed)
    # A whole month that was over, but is not the last one.
    week_old = {name: answers["r1"][name] - 7 * DAY for name in ("post_from_ms", "post_to_ms")}
    assert {"post_from_ms", "post_to_ms"} <= set(
        _differing(totals, answers | {"r1": answers["r1"] | week_old})
    )
    assert _differing(totals, answers | {"r1": "HTTP 404"}) == ["answer"]
    # Before anything was read to its end all that lies after the first redirect is null.
    await shelf.client.hdel(shelf.key("meta"), "wm:engagement")
    early: Any = await read_rule(model, "r1")
    assert (early["as_of_ms"], early["guardrails"]) == (None, [])
    assert _differing(totals, answers | {"r1": early}) == []


# A setting of the reader, which the log does not tell.
NOT_HELD = {"sample_ratio_expected_held_out_percent"}
WRONG: dict[type, Any] = {int: 123, float: 12.5, bool: "no", str: "else", list: ["else"], type(None): 7}


@on_redis()
async def test_verify_holds_the_stop_signal_to_the_log(shelf: Shelf) -> None:
    """Shares, means, verdicts and reasons follow from the log; each that is changed, left out or moved is
    found, and so is one refund too much in Redis."""
    sent = _small_history()
    await _fold(shelf, sent)
    model, totals = _model(shelf), _log(sent)
    right: Any = await read_rule(model, "r1")
    other: Any = await read_rule(model, "r2")
    assert {f"{each['figure']} of {each['scope']}": each["verdict"] for each in right["guardrails"]} == {
        "refunds_per_gmv EUR of product:p2": "not_enough",
        "refunds_per_gmv USD of product:p2": "worse",
        "mean_rating of product:p2": "worse",
        "refunds_per_gmv EUR of creator:c1": "not_enough",
        "refunds_per_gmv USD of creator:c1": "worse",
        "mean_rating of creator:c1": "not_enough",
        "commission_minor_per_day USD of creator:c1": "worse",
    }
    assert (right["stop"], len(right["stop_reasons"])) == (True, 4)

    def of(**changed: Any) -> list[str]:
        return _differing(totals, {"r1": right | changed, "r2": other})

    assert of() == []
    for at, figure in enumerate(right["guardrails"]):
        label = f"guardrails.{figure['figure']} of {figure['scope']}"
        for name in ("before", "since", "verdict"):
            broken = copy.deepcopy(right["guardrails"])
            broken[at][name] = "better" if name == "verdict" else (broken[at][name] or 0) + 0.001
            assert of(guardrails=broken) == [f"{label}.{name}"]
        assert "guardrails.order" in of(
            guardrails=[*right["guardrails"][:at], *right["guardrails"][at + 1 :]]
        )
    assert of(guardrails=right["guardrails"][::-1]) == ["guardrails.order"]
    assert of(stop_reasons=right["stop_reasons"][1:]) == ["stop_reasons"]
    await shelf.add("product", f"1d:{MONDAY + 5 * DAY}", "refunds_of_purchases:USD|p2", 1)
    right = await read_rule(model, "r1")
    assert of() == ["guardrails.refunds_per_gmv USD of product:p2.since"]


@on_redis()
async def test_verify_finds_another_rule_of_stopping(shelf: Shelf) -> None:
    """With one number of the pipeline's rule changed, its answer is not what the contract's rule gives."""
    sent = _small_history()
    await _fold(shelf, sent)
    model, totals = _model(shelf), _log(sent)
    other: Any = await read_rule(model, "r2")
    for name, number in (
        ("guardrails.Z_WORSE", 9.0),
        ("guardrails.ORDERS_MIN", 91),
        ("guardrails.ORDERS_PER_TRIAL", 50),
        ("guardrails.REVIEWS_MIN", 91),
        ("guardrails.DAYS_SINCE_MIN", 31),
        ("stops.COMPARED_DAYS", 29),
    ):
        with patch(f"streams.{name}", number):
            told: Any = await read_rule(model, "r1")
        assert _differing(totals, {"r1": told, "r2": other}), name
