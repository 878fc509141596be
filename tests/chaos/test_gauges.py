"""Gauges are compared with answers by the catalogue's names, and one that differs is found."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos import gauges
from tests.chaos.gauges import Gauge, compare_gauges, figures, is_equal, told
from verify.compare import Report
from verify.rules import Rules
from verify.totals import Range, Totals

TEXT = """
# HELP shop_pulse_orders Orders.
# TYPE shop_pulse_orders gauge
shop_pulse_orders{scope="",scope_kind="all",window="5m"} 3.0
shop_pulse_orders{scope="other",scope_kind="live",window="5m"} 2.0
shop_pulse_orders{scope="other",scope_kind="platform",window="5m"} 1.0
# HELP shop_pulse_gmv_paid_minor GMV.
# TYPE shop_pulse_gmv_paid_minor gauge
shop_pulse_gmv_paid_minor{currency="USD",scope="p1",scope_kind="product",window="30m"} 700.0
# HELP shop_pulse_redis_up Whether.
# TYPE shop_pulse_redis_up gauge
shop_pulse_redis_up 1.0
"""


def test_figures_have_a_place_in_answers() -> None:
    """By path and currency; the pipeline's own gauges and the rest of many values have none."""
    assert list(figures(TEXT)) == [
        Gauge("5m", "all", "", "orders", 3.0),
        Gauge("5m", "platform", "other", "orders", 1.0),
        Gauge("30m", "product", "p1", "money.USD.gmv_paid_minor", 700.0),
    ]


def test_what_an_answer_tells() -> None:
    """Nested as it is sent; a currency without amounts is not named, and is 0; what is null stays null."""
    answer = {"orders": 3, "money": {"USD": {"gmv_paid_minor": 700}}, "ratios": None, "items": None}
    assert told(answer, "orders") == 3
    assert told(answer, "money.USD.gmv_paid_minor") == 700
    assert told(answer, "money.CNY.gmv_paid_minor") == 0
    assert told(answer, "items") is None
    assert told(answer, "ratios.x") is None


@pytest.mark.parametrize(
    ("gauge", "figure", "equal"),
    [(3.0, 3, True), (3.0, 4, False), (0.0, None, False), (1 / 3, 1 / 3, True), (1 / 3, 0.3333, False)],
)
def test_a_gauge_equals_a_figure_or_not(gauge: float, figure: object, equal: bool) -> None:
    """To nine digits; nothing equals null."""
    assert is_equal(gauge, figure) is equal


class Service:
    """Answers about a shop of three orders; `orders` is what it says instead of them, up to `until_ms`."""

    def __init__(self, orders: int, until_ms: int = 300_000) -> None:
        self._orders = orders
        self._until_ms = until_ms

    def ask(self, _path: str, _query: dict[str, str]) -> dict[str, Any]:
        """The window as of now."""
        return {"from_ms": 0, "to_ms": 300_000}

    def kpis(self, _scope: object, span: Range) -> dict[str, Any]:
        """The figures of any scope."""
        orders = self._orders if span.to_ms <= self._until_ms else 0
        return {"orders": orders, "money": {"USD": {"gmv_paid_minor": 700}}}


class Text:
    """What `/metrics` sends."""

    def __enter__(self) -> Text:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""

    def read(self) -> bytes:
        """The exposition text."""
        return TEXT.encode()


def test_a_gauge_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it was asked for again and again; where all agree, nothing is told."""
    monkeypatch.setattr(gauges, "PANES", {"5m": "10s", "30m": "1m"})
    monkeypatch.setattr(gauges, "PAUSE_S", 0.0)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Text())
    monkeypatch.setattr(gauges, "compare_answer", lambda *_, **__: None)
    totals = Totals(0, Rules())
    # The last: the exporter was half a minute behind, and all but one agree over that window.
    for orders, until_ms, wrong in ((3, 300_000, 1), (1, 300_000, 1), (2, 300_000, 2), (3, 270_000, 1)):
        service = Service(orders, until_ms)
        monkeypatch.setattr(gauges, "ReadService", lambda _url, _token, it=service: it)
        report = Report()
        compare_gauges(report, "http://nowhere", totals)
        assert len(report.differences) == wrong
        assert report.compared >= 3
