"""Lists that the read service answers beside single scopes: what runs short, and creators by whole days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from verify.answers import half_even, stock_state, units_left
from verify.compare import Report
from verify.rules import DAY_MS, SECOND_MS
from verify.totals import Totals

Get = Callable[[str, Mapping[str, str]], Any]
DAYS = (7, 30)
# So long a record may be on its way into Redis.
WRITTEN_WITHIN_MS = 10 * SECOND_MS
TOP = 10
STOPPED_SHOWN = 100
SHORT = ("oversold", "out", "low")
NOT_YET = "no day is known to be read to its end"
"""What the service says in its first moments, before each topic-partition has a watermark."""
Work = Mapping[str, Counter[str]]


def compare_lists(report: Report, totals: Totals, get: Get) -> list[str]:
    """Asks for each list and compares it; returns notes on what could not be compared."""
    compare_stock(report, totals, get("stock", {"window": "1h"}))
    newest_ms = totals.creators_ingest_ms + WRITTEN_WITHIN_MS
    for platform in (None, *sorted(totals.creators_platforms)):
        for days in DAYS:
            asked = {"days": str(days)} | ({} if platform is None else {"platform": platform})
            answer = get("creators", asked)
            if isinstance(answer, str) and NOT_YET in answer:
                return ["creators were not compared: the service knows of no day that is read to its end yet"]
            if isinstance(answer, dict) and answer.get("read_ms", 0) <= newest_ms:
                return ["creators were not compared: they are read every 5 min, and records came since"]
            compare_creators(report, totals, answer, platform, days)
    return []


def compare_stock(report: Report, totals: Totals, answer: Any) -> None:
    """Every product in the list; which were looked at, and how fast they sell, is for the service to say."""
    products = answer.get("products") if isinstance(answer, dict) else None
    if not isinstance(products, list):
        report.check("answer", "api stock", "products", answer)
        return
    for product in products:
        product_id = product["product_id"]
        where = f"api stock product:{product_id}"
        listed = totals.shelves.titles.get(product_id)
        title = (listed.title, listed.unit_price_minor, listed.currency) if listed else (None,) * 3
        found = tuple(product.get(name) for name in ("title", "unit_price_minor", "currency"))
        report.check("title and price", where, title, found)
        known = units_left(totals, product_id)
        skus = {each["sku_id"] or "": (each["units"], each["since_ms"]) for each in product["skus"]}
        report.check("skus", where, known, skus)
        left = [units for units, _ in known.values()]
        report.check("units", where, sum(left), product["units"])
        report.check("oversold_units", where, sum(max(0, -each) for each in left), product["oversold_units"])
        state = stock_state(left, product["minutes_left"]) if left else None
        report.check("state", where, state if state in SHORT else "none in this list", product["state"])


def compare_creators(report: Report, totals: Totals, answer: Any, platform: str | None, days: int) -> None:
    """Who sold, went live, earned and stopped in the days that the answer names, which must be whole ones."""
    where = f"api creators {platform or 'all'} {days}"
    if not isinstance(answer, dict):
        report.check("answer", where, "creators", answer)
        return
    to_ms = answer["to_ms"]
    from_ms, before_ms = to_ms - days * DAY_MS, to_ms - 2 * days * DAY_MS
    report.check("to_ms", where, 0, to_ms % DAY_MS)
    report.check("range", where, (from_ms, before_ms), (answer["from_ms"], answer["before_from_ms"]))
    now, before = (totals.creators(*span, platform) for span in ((from_ms, to_ms), (before_ms, from_ms)))
    for name, does in (("sale", _sells), ("live", _goes_live)):
        active, were = ({of for of, sums in work.items() if does(sums)} for work in (now, before))
        report.check(f"with_a_{name}", where, len(active), answer[f"with_a_{name}"])
        report.check(f"with_a_{name}_before", where, len(were), answer[f"with_a_{name}_before"])
        stopped = answer["stopped_selling" if name == "sale" else "stopped_going_live"]
        gone = were - active
        report.check(f"stopped ({name})", where, len(gone), stopped["count"])
        named = {each["creator_id"] for each in stopped["creators"]}
        report.check(f"stopped ({name}), named", where, min(len(gone), STOPPED_SHOWN), len(named & gone))
    sold_in = {
        name.partition(":")[2] for sums in now.values() for name, n in sums.items() if n and ":" in name
    }
    for currency in sorted(sold_in | answer["earnings"].keys()):
        found = answer["earnings"].get(currency)
        for name, amount in earnings(now, currency).items():
            report.check(name, f"{where} {currency}", amount, found and _plain(found.get(name)))


def earnings(work: Work, currency: str) -> dict[str, Any]:
    """Commission of who sold in the currency: how many, all of it, quarters, and the ten with most."""
    earned = {
        of: sums[f"commission:{currency}"] for of, sums in work.items() if sums[f"orders:{currency}"] > 0
    }
    ascending = sorted(earned.values())
    best = sorted(earned, key=lambda of: (-earned[of], -work[of][f"gmv_paid:{currency}"], of))[:TOP]
    quarters = [_quarter(ascending, number) for number in (1, 2, 3)]
    return {
        "creators": len(earned),
        "total_minor": sum(ascending),
        **dict(zip(("p25_minor", "median_minor", "p75_minor"), quarters, strict=True)),
        "top": [(of, earned[of]) for of in best],
    }


def _quarter(ascending: list[int], number: int) -> int | None:
    """So many quarters up: between two ranks in proportion, halves to even."""
    if not ascending:
        return None
    at, rest = divmod((len(ascending) - 1) * number, 4)
    above = ascending[min(at + 1, len(ascending) - 1)]
    return half_even(ascending[at] * (4 - rest) + above * rest, 4)


def _sells(sums: Mapping[str, int]) -> bool:
    return sum(n for measure, n in sums.items() if measure.startswith("orders:")) > 0


def _goes_live(sums: Mapping[str, int]) -> bool:
    return sums.get("live_starts", 0) > 0


def _plain(found: Any) -> Any:
    """Of a list of creators who and how much."""
    if isinstance(found, Iterable) and not isinstance(found, str):
        return [(each["creator_id"], each["commission_minor"]) for each in found]
    return found
