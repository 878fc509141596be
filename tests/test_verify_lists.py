"""verify.lists: what runs short and creators by whole days, as a stand-in tells it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.scenario_kit import DAY, MONDAY, NOON, Scenario, Sent, event, in_room, line, purchase, refund, view
from tests.test_verify_api import scenario, totals_of
from verify.compare import Report
from verify.lists import compare_lists, earnings
from verify.totals import Totals


def _catalogue(kind: str, event_id: str, **more: Any) -> Sent:
    value = event(kind, event_id, NOON, product_id="p1", **more)
    return Sent(topic="catalogue", value=value, at=NOON)


SHOP = scenario(
    _catalogue("product_listed", "e1", title="Cup", unit_price_minor=990, currency="EUR"),
    _catalogue("stock_set", "e2", units=5, sku_id="red"),
    in_room("live_start", "e3", NOON, creator_id="c2"),
    purchase(
        "o1",
        NOON,
        line("p1", 7, 100, sku_id="red", creator_id="c1", commission_bps=1_000),
        line("p2", 1, 500, creator_id="c2", commission_bps=1_000),
    ),
    purchase("o2", NOON + DAY, line("p3", 1, 300), creator_id="c1", platform="kuaishou"),
    refund("r1", "o1", NOON + DAY, 100, items=[{"product_id": "p2", "quantity": 1, "amount_minor": 100}]),
)
STOCK: dict[str, Any] = {
    "products": [
        {
            "product_id": "p1", "title": "Cup", "unit_price_minor": 990, "currency": "EUR",
            "units": -2, "state": "oversold", "minutes_left": None, "oversold_units": 2,
            "skus": [{"sku_id": "red", "units": -2, "oversold_units": 2, "since_ms": NOON - NOON % 60_000}],
        }
    ]
}  # fmt: skip


def _creators(days: int, to_ms: int = MONDAY + DAY) -> dict[str, Any]:
    """Of Monday: c1 and c2 sold and earned 70 and 40; c2 went live."""
    best = [{"creator_id": "c1", "commission_minor": 70}, {"creator_id": "c2", "commission_minor": 40}]
    return {
        "from_ms": to_ms - days * DAY, "to_ms": to_ms, "before_from_ms": to_ms - 2 * days * DAY,
        "read_ms": NOON + 2 * DAY,
        "with_a_sale": 2, "with_a_live": 1, "with_a_sale_before": 0, "with_a_live_before": 0,
        "stopped_selling": {"count": 0, "creators": []},
        "stopped_going_live": {"count": 0, "creators": []},
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


def _answers(name: str, asked: Mapping[str, str]) -> Any:
    if name == "stock":
        return copy.deepcopy(STOCK)
    answer = _creators(int(asked["days"]))
    return answer | copy.deepcopy(NOBODY) if asked.get("platform") == "kuaishou" else answer


def _compared(get: Any = _answers, shop: Scenario = SHOP) -> tuple[list[str], list[str], int]:
    report = Report()
    notes = compare_lists(report, _totals(shop), get)
    return [difference.what for difference in report.differences], notes, report.compared


def _totals(shop: Scenario) -> Totals:
    return totals_of(shop)


def test_right_lists_agree() -> None:
    """Every product and every platform is asked for, and nothing differs."""
    differences, notes, compared = _compared()
    assert (differences, notes) == ([], [])
    assert compared == 5 + 3 * 2 * (2 + 2 * 4 + 6)


@pytest.mark.parametrize(
    ("path", "wrong", "what"),
    [
        (("units",), -3, "units"),
        (("oversold_units",), 3, "oversold_units"),
        (("state",), "out", "state"),
        (("unit_price_minor",), 991, "title and price"),
        (("skus", 0, "since_ms"), NOON - 10_000_000, "skus"),
    ],
)
def test_a_wrong_stock_is_found(path: tuple[Any, ...], wrong: Any, what: str) -> None:
    """One broken number of a product is one difference."""
    broken = copy.deepcopy(STOCK)
    at = broken["products"][0]
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = wrong
    assert _compared(lambda name, asked: broken if name == "stock" else _answers(name, asked))[0] == [what]


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

    def get(name: str, asked: Mapping[str, str]) -> Any:
        answer = _answers(name, asked)
        if asked == {"days": "30"}:
            at = answer
            for each in path[:-1]:
                at = at[each]
            at[path[-1]] = wrong
        return answer

    assert _compared(get)[0] == [what]


def test_who_stopped_is_named() -> None:
    """A week later nobody of Monday sold any more: both are told, and who is not told is missed."""
    to_ms = MONDAY + 8 * DAY
    stopped = {"count": 2, "creators": [{"creator_id": "c1"}, {"creator_id": "c2"}]}
    gone = {"count": 1, "creators": [{"creator_id": "c2"}]}
    # c1 sold on Tuesday, on another platform.
    tuesday = Counter({"orders:USD": 1, "gmv_paid:USD": 300})
    of_all = {
        **_creators(7, to_ms), **NOBODY, "with_a_sale": 1, "with_a_sale_before": 2, "with_a_live_before": 1,
        "stopped_selling": {"count": 1, "creators": [{"creator_id": "c2"}]}, "stopped_going_live": gone,
        "earnings": {"USD": earnings({"c1": tuesday}, "USD") | {
            "top": [{"creator_id": "c1", "commission_minor": 0}]
        }},
    }  # fmt: skip
    on_tiktok = of_all | copy.deepcopy(NOBODY) | {"stopped_selling": stopped}

    def get(name: str, asked: Mapping[str, str]) -> Any:
        if asked == {"days": "7"}:
            return of_all
        return on_tiktok if asked == {"days": "7", "platform": "tiktok"} else _answers(name, asked)

    assert _compared(get)[0] == []
    stopped["creators"] = [{"creator_id": "c1"}, {"creator_id": "c9"}]
    assert _compared(get)[0] == ["stopped (sale), named"]


def test_what_was_read_before_the_last_record_is_not_compared() -> None:
    """Creators are read now and then: a reading from before the end of the log proves nothing wrong."""
    old = _creators(7) | {"read_ms": NOON + DAY, "with_a_sale": 99}
    differences, notes, _ = _compared(
        lambda name, asked: old if name == "creators" else _answers(name, asked)
    )
    assert differences == []
    assert len(notes) == 1
    # Of other topics something may come all the time: a canary, every 10 s.
    later = scenario(*SHOP.records, view("e9", NOON + 5 * DAY))
    assert _compared(shop=later)[1] == []


def test_a_service_that_knows_no_day_yet_is_no_difference() -> None:
    """In its first moments it says nothing of creators; what it says of stock is held to the log."""
    refusal = "HTTP 400: {'error': 'no day is known to be read to its end yet; ask again in a moment'}"
    differences, notes, _ = _compared(
        lambda name, asked: refusal if name == "creators" else _answers(name, asked)
    )
    assert differences == []
    assert [note.partition(":")[0] for note in notes] == ["creators were not compared"]


def test_a_refusal_is_a_difference() -> None:
    """A list that can't be had is told as such."""
    assert _compared(lambda *_: "HTTP 400: no")[0] == ["answer"] * 7
