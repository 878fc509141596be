"""What the watch found as gauges: the numbers that alert rules compare, and those in the text of pages.

It stands between the watch and the exporter. What is not known has no sample: then a rule has nothing to
compare, and does not fire. Names of scopes come from clients, but their number is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.answer import Scope
from streams.cohorts import State
from streams.drops import lost_minor_per_minute
from streams.judgement import Judged
from streams.samples import Samples
from streams.scopes import split_pair
from streams.watch import Findings
from streams.window import MINUTE_MS, SECOND_MS

_SCOPE = ("scope_kind", "scope")
_STEP = (*_SCOPE, "step")
_WINDOW = (*_STEP, "window")
_GATEWAY = ("platform", "gateway", "window")
_USUAL = "Second lowest of that hour in four weeks, at most the median of seven days."

_Made = dict[tuple[str, ...], float]


def figures(found: Findings) -> Iterable[Samples]:
    """Every family; `streams.exporter.gauge` takes each as its arguments."""
    yield from _cohorts(found.judged)
    yield from _drops(found)
    yield from _gateways(found)
    yield from _sales(found)
    yield from _refunds(found)


def _labels(scope: Scope) -> tuple[str, str]:
    """Kind and value, of a pair as the API writes it: ``tiktok,gateway:adyen``."""
    return scope.kind, str(scope).partition(":")[2]


def _step(judged: Judged) -> tuple[str, ...]:
    return (*_labels(judged.scope), judged.step.name)


def _cohorts(judged: Iterable[Judged]) -> Iterable[Samples]:
    size: _Made = {}
    reached: _Made = {}
    usual: _Made = {}
    usual_reached: _Made = {}
    state: _Made = {}
    for each in judged:
        for name in State:
            state[*_step(each), name.value] = int(each.state is name)
        for reading in each.readings:
            labels = (*_step(each), f"{reading.window_min}m")
            size[labels], reached[labels], usual[labels] = reading.n, reading.k, reading.ratio
            if reading.usual_reached is not None:
                usual_reached[labels] = reading.usual_reached
    yield Samples(
        "cohort_size", "Sessions (attempts) of the window that took part in the step.", _WINDOW, size
    )
    yield Samples("cohort_reached", "Those of them that reached the step in time.", _WINDOW, reached)
    yield Samples("cohort_baseline_ratio", "The part of them that usually does.", _WINDOW, usual)
    yield Samples("cohort_usual_reached", "How many usually reach it in so long.", _WINDOW, usual_reached)
    yield Samples("cohort_state", "1 for what can be said of the step.", (*_STEP, "state"), state)


def _drops(found: Findings) -> Iterable[Samples]:
    since: _Made = {}
    unseen: _Made = {}
    orders: _Made = {}
    rate: _Made = {}
    money: _Made = {}
    causes: _Made = {}
    for each in found.judged:
        if each.fall is None:
            continue
        labels = _step(each)
        since[labels] = each.fall.since_minute * MINUTE_MS / SECOND_MS
        if (each.scope, each.step) in found.unseen:
            unseen[labels] = 1
        orders[labels] = each.fall.lost_orders
        rate[labels] = each.fall.lost_orders_per_minute
        for currency, minor in lost_minor_per_minute(found, each, each.fall).items():
            money[*labels, currency] = minor
        explained = found.explained.get((each.scope, each.step))
        for rank, cause in enumerate(explained.causes if explained else (), 1):
            causes[*labels, str(rank), cause.cause] = cause.share
    yield Samples("drop_since_timestamp_seconds", "When the drop began.", _STEP, since)
    yield Samples("drop_begun_unseen", "1 for a drop that may have begun before that.", _STEP, unseen)
    yield Samples("drop_lost_orders", "Orders lost since the drop began.", _STEP, orders)
    yield Samples("drop_lost_orders_per_minute", "The same a minute.", _STEP, rate)
    yield Samples("drop_lost_minor_per_minute", "The same in money.", (*_STEP, "currency"), money)
    yield Samples(
        "drop_cause_share", "Part of the loss that a cause explains.", (*_STEP, "rank", "cause"), causes
    )


def _gateways(found: Findings) -> Iterable[Samples]:
    attempts: _Made = {}
    failed: _Made = {}
    usual: _Made = {}
    for each in found.failing:
        for window in each.windows:
            labels = (*split_pair(each.pair), f"{window.window_min}m")
            attempts[labels], failed[labels] = window.n, window.failed
            if window.usual_ratio is not None:
                usual[labels] = window.usual_ratio
    yield Samples(
        "gateway_attempts", "Payment attempts of the window, which ended 2 min ago.", _GATEWAY, attempts
    )
    yield Samples(
        "gateway_technical_failures", "Errors, time-outs and what never ended of these.", _GATEWAY, failed
    )
    yield Samples("gateway_baseline_ratio", "The part of them that usually fails.", _GATEWAY, usual)


def _sales(found: Findings) -> Iterable[Samples]:
    gmv: _Made = {}
    usual_gmv: _Made = {}
    orders: _Made = {}
    usual_orders: _Made = {}
    for each in found.sales:
        labels = _labels(each.scope)
        orders[labels] = each.orders
        if each.usual_orders is not None:
            usual_orders[labels] = each.usual_orders
        gmv |= {(*labels, currency): minor for currency, minor in each.gmv_minor.items()}
        usual_gmv |= {(*labels, currency): minor for currency, minor in each.usual_gmv_minor.items()}
    of_currency = (*_SCOPE, "currency")
    yield Samples("gmv_last_hour_minor", "GMV paid in the hour before as-of.", of_currency, gmv)
    yield Samples("gmv_baseline_minor", _USUAL, of_currency, usual_gmv)
    yield Samples("orders_last_hour", "Orders in the hour before as-of.", _SCOPE, orders)
    yield Samples("orders_baseline", _USUAL, _SCOPE, usual_orders)


def _refunds(found: Findings) -> Iterable[Samples]:
    ratio: _Made = {}
    usual: _Made = {}
    for each in found.refunds:
        labels = _labels(each.scope)
        ratio |= {(*labels, currency): of for currency, of in each.ratio.items()}
        usual |= {(*labels, currency): of for currency, of in each.usual.items()}
    of_currency = (*_SCOPE, "currency")
    yield Samples("refund_last_day_ratio", "Refunds of a day per GMV paid of that day.", of_currency, ratio)
    yield Samples("refund_baseline_ratio", "Median of that over the 28 days before.", of_currency, usual)
