"""The read service's answers against the recomputation."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from verify import VerifyError
from verify.compare import Report, scope_text
from verify.model import Scope
from verify.totals import LINE_KINDS, Range, Totals

ATTEMPTS = 6
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 20.0
TOP = 20

VIEW_EVENTS = ("view", "live_join", "mini_program_open")
ANSWER_EVENTS = ("view", "product_impression", "tag_tap", "add_to_cart", "begin_checkout", "purchase")
PAYMENTS = ("attempts", "authorised", "declined", "errors", "pending")
MONEY_WHERE_GIVEN = frozenset({"unattributed_refunds_minor"})

Ask = Callable[[Scope, Range], Any]


class ReadService:
    """Asks one read service. Raises VerifyError when it can't be reached or refuses the token."""

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def kpis(self, scope: Scope, span: Range) -> Any:
        """The answer as read from JSON, or the text of a 400."""
        query = urllib.parse.urlencode(
            {"scope": scope_text(*scope), "from_ms": span.from_ms, "to_ms": span.to_ms}
        )
        request = urllib.request.Request(f"{self._base_url}/api/v1/kpis?{query}", headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise VerifyError(
                    f"the read service at {self._base_url} refuses the token; set SHOP_PULSE_TOKEN"
                ) from error
            return f"HTTP {error.code}: {error.read(200).decode(errors='replace')}"
        except (OSError, ValueError) as error:
            raise VerifyError(
                f"the read service at {self._base_url} can't be asked ({error}); "
                "start it (`shop-pulse serve`) or name another with --api"
            ) from error


def questions(totals: Totals, all_scopes: bool) -> Iterator[tuple[Scope, Range]]:
    """Each day of `all`; of every chosen scope all days together and the last hours, minutes, seconds."""
    for day in totals.days():
        yield ("all", ""), day
    whole = totals.whole()
    ranges = ([] if whole is None else [whole]) + totals.recent()
    for scope in totals.scopes(None if all_scopes else TOP):
        for span in ranges:
            yield scope, span


def compare_answers(
    report: Report, totals: Totals, asked: list[tuple[Scope, Range]], ask: Ask, pause: float = PAUSE_SECONDS
) -> None:
    """Asks until the answers agree: the read service may be a moment behind Redis. The last time counts."""
    left = asked
    for attempt in range(ATTEMPTS):
        again = []
        for scope, span in left:
            single = Report()
            compare_answer(single, totals, scope, span, ask(scope, span))
            if single.differences and attempt < ATTEMPTS - 1:
                again.append((scope, span))
            else:
                report.compared += single.compared
                report.differences += single.differences
        if not again:
            return
        left = again
        time.sleep(pause)


def compare_answer(report: Report, totals: Totals, scope: Scope, span: Range, answer: Any) -> None:
    """One answer, figure by figure."""
    where = f"api {scope_text(*scope)} [{span.from_ms}, {span.to_ms})"
    if not isinstance(answer, dict):
        report.check("answer", where, "figures", answer)
        return
    flat = dict(_flat("", answer))
    for name, want in expected_answer(totals, scope, span, answer).items():
        have = flat.get(name, "absent")
        if isinstance(want, float) and isinstance(have, (int, float)) and abs(want - have) <= 1e-6:
            have = want
        report.check(name, where, want, have)


def expected_answer(totals: Totals, scope: Scope, span: Range, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Flat names ("money.USD.gmv_paid_minor") and what they must be.

    Events and currencies that the answer has beyond the contract's are expected too: they must be right.
    """
    sums = totals.of(scope, span)
    views = sum(sums[f"events.{name}"] for name in VIEW_EVENTS)
    expected: dict[str, Any] = {
        "scope": scope_text(*scope),
        "from_ms": span.from_ms,
        "to_ms": span.to_ms,
        "orders": sum(n for measure, n in sums.items() if measure.startswith("orders:")),
        "items": sums["items"],
    }
    for name in {*ANSWER_EVENTS, *_keys(answer, "events")}:
        expected[f"events.{name}"] = views if name == "view" else sums[f"events.{name}"]
    counted = {measure.partition(":")[2] for measure, n in sums.items() if ":" in measure and n}
    # Views by gateway do not exist: nothing can be said per view.
    views_known = 0 if scope[0] == "gateway" else views
    for currency in counted | _keys(answer, "money"):
        for name, amount in money(sums, currency, views_known).items():
            if name not in MONEY_WHERE_GIVEN or name in _keys(answer.get("money", {}), currency):
                expected[f"money.{currency}.{name}"] = amount
    tag_taps = sums["events.tag_tap"]
    expected["ratios.tag_taps_per_view_events"] = tag_taps / views_known if views_known else None
    if scope[0] not in LINE_KINDS and (sums["pay.attempts"] or "payments" in answer):
        expected |= {f"payments.{state}": sums[f"pay.{state}"] for state in PAYMENTS}
        attempts = sums["pay.attempts"]
        expected["payments.success_rate"] = sums["pay.authorised"] / attempts if attempts else None
    expected |= {f"quality.{name}": count for name, count in totals.quality(span).items()}
    return expected


def money(sums: Counter[str], currency: str, views: int) -> dict[str, int | None]:
    """The amounts of one currency, in minor units."""
    gmv, orders = sums[f"gmv_paid:{currency}"], sums[f"orders:{currency}"]
    of_purchases = sums[f"refunds_of_purchases:{currency}"]
    return {
        "gmv_paid_minor": gmv,
        "buyer_paid_minor": sums[f"buyer_paid:{currency}"],
        "refunds_minor": sums[f"refunds:{currency}"],
        "refunds_of_purchases_minor": of_purchases,
        "gmv_net_minor": gmv - of_purchases,
        "commission_minor": sums[f"commission:{currency}"],
        "unattributed_refunds_minor": sums[f"unattributed_refunds:{currency}"],
        "aov_minor": half_even(gmv, orders),
        "gmv_per_1000_view_events_minor": half_even(gmv * 1000, views),
    }


def half_even(amount: int, count: int) -> int | None:
    """amount / count as a whole number, halves to the even one; None for a count of 0."""
    if count == 0:
        return None
    whole, rest = divmod(amount, count)
    return whole + (2 * rest > count or (2 * rest == count and whole % 2 == 1))


def _keys(answer: Mapping[str, Any], name: str) -> set[str]:
    part = answer.get(name)
    return set(part) if isinstance(part, dict) else set()


def _flat(head: str, value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(f"{head}{name}.", inner)
        else:
            yield f"{head}{name}", inner
