"""Redirection through the worker's core and a real Redis: the published table, and `verify` on answers."""

from __future__ import annotations

import copy
import json
from typing import Any
from unittest.mock import patch

import pytest

from streams.answer_body import USERS_STANDARD_ERROR
from streams.read_model import ReadModel
from streams.read_store import ReadStore
from streams.redirection import read_names, read_rule
from streams.settings import Settings
from tests.scenario_kit import DAY, HOUR, MONDAY, NOON, SECOND, Sent
from tests.scenarios_redirects import active, redirected
from tests.store_kit import Shelf, on_redis
from verify.api import compare_redirections
from verify.compare import Report
from verify.model import LogRecord
from verify.recompute import recompute
from verify.rules import Rules
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


def _small_history() -> list[Sent]:
    """Two rules of few users, one of which a redirect tells nothing of but that it is there."""
    sent = [active(f"before{n}", f"u{n}", at=MONDAY - (1 + n % 30) * DAY) for n in range(12)]
    for n in range(40):
        arm = ("treated", "held_out")[n % 2]
        sent.append(redirected(f"r{n}", f"u{n}", arm, at=NOON + n * SECOND, from_product_id="p1"))
        if n % 3 or n % 2 == 0:
            sent.append(active(f"after{n}", f"u{n}", arm, at=MONDAY + (1 + n % 30) * DAY))
    sent.append(redirected("again", "u1", "treated", at=NOON + HOUR))
    sent.append(redirected("plain", "u1", "treated", rule="r2", at=NOON + HOUR, to_app=None))
    return sent


@on_redis()
async def test_verify_holds_an_answer_to_the_log(shelf: Shelf) -> None:
    """What is told of a rule is recomputed from the log; each number that is changed is found."""
    sent = _small_history()
    await _fold(shelf, sent)
    model = _model(shelf)
    answers: dict[str, Any] = {rule: await read_rule(model, rule) for rule in await read_names(model)}
    assert sorted(answers) == ["r1", "r2"]
    ordered = sorted(sent, key=lambda each: each.at)
    ordered.append(active("the-end", "nobody", app="none", at=MONDAY + 31 * DAY))
    log = [LogRecord("redirects", 0, n, each.at, b"u1", each.data) for n, each in enumerate(ordered)]
    [part] = recompute(log, Rules(partitions=1)).partitions.values()
    totals = Totals(MONDAY + 31 * DAY, Rules(partitions=1))
    totals.add(part)

    def differing(told: dict[str, Any]) -> list[str]:
        report = Report()
        with patch("verify.api.time.time", lambda: (MONDAY + 31 * DAY + HOUR) / 1_000):
            compare_redirections(report, totals, told.__getitem__, pause=0)
        return sorted(each.what for each in report.differences)

    assert differing(answers) == []
    assert answers["r1"]["arms"]["held_out"]["contradicted"] == 1
    for name, value in answers["r1"].items():
        if name in NOT_HELD or isinstance(value, dict):
            continue
        is_interval = name == "interval_percent"
        wrong = [each + 1 for each in value] if is_interval else WRONG.get(type(value), 7)
        assert differing(answers | {"r1": answers["r1"] | {name: wrong}}), name
    for arm in ("treated", "held_out"):
        for name in ("assigned", "contradicted", "active"):
            changed = copy.deepcopy(answers)
            changed["r1"]["arms"][arm][name] += 9
            assert f"arms.{arm}.{name}" in differing(changed)
    # A whole month that was over, but is not the last one.
    week_old = {name: answers["r1"][name] - 7 * DAY for name in ("post_from_ms", "post_to_ms")}
    assert {"post_from_ms", "post_to_ms"} <= set(differing(answers | {"r1": answers["r1"] | week_old}))
    assert differing(answers | {"r1": "HTTP 404"}) == ["answer"]


# Of the reader alone: its clock and setting, and what stands where it is stored.
NOT_HELD = {
    *("as_of_ms", "capped", "sample_ratio_expected_held_out_percent", "stop", "stop_reasons", "guardrails"),
    *(f"guardrails_{side}_{end}_ms" for side in ("before", "since") for end in ("from", "to")),
}
WRONG = {int: 123, float: 12.5, bool: "no", str: "else"}
