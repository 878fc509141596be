"""Products that run short: which stand in `/api/v1/stock`, in which order, and what it says of each.

By the moment that the answer names: stocks are as of then, and how fast a product sells is told up to then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from verify.answers import stock_state, units_left
from verify.api import Service, check_flat, compare_until_agreed
from verify.asked import CLOCK_SLACK_MS
from verify.compare import Report
from verify.pace import Pace
from verify.rules import MINUTE_MS
from verify.scopes import OTHER, UNATTRIBUTED
from verify.totals import Totals
from verify.windows import Piece, named

WINDOWS = ("5m", "30m", "1h")
LOOKED_AT = 200
SHOWN = 100
RANKED_A_PANE = 1_000
"""Of a pane with more products it is not exactly known which are the largest."""
SHORT = ("oversold", "out", "low")
VIEWS = ("events.view", "events.live_join", "events.mini_program_open")
TAPS = "events.tag_tap"

Skus = Mapping[str, tuple[int, int]]
"""By SKU (or empty) the units left and since when sales count."""


def compare_stock_lists(report: Report, totals: Totals, service: Service) -> list[str]:
    """The list of each window; returns notes on what could not be compared."""
    notes: dict[str, None] = {}

    def compare(single: Report, window: str) -> None:
        answer = service.ask("/api/v1/stock", {"window": window})
        notes.update(dict.fromkeys(compare_stock(single, totals, answer, window, service.clock_ms())))

    compare_until_agreed(report, WINDOWS, compare, service.pause)
    return list(notes)


def compare_stock(report: Report, totals: Totals, answer: Any, window: str, now_ms: int) -> list[str]:
    """One list, product by product; `now_ms` is the clock when it was given."""
    where = f"api stock {window}"
    products = answer.get("products") if isinstance(answer, dict) else None
    if not isinstance(products, list):
        report.check("answer", where, "products", answer)
        return []
    read_ms = answer.get("read_ms")
    is_current = isinstance(read_ms, int) and abs(read_ms - now_ms) <= CLOCK_SLACK_MS
    report.check("read_ms", where, True, is_current or read_ms)
    if not is_current:
        return []
    from_ms, to_ms = named(window, read_ms)
    report.check("range", where, (from_ms, to_ms), (answer.get("from_ms"), answer.get("to_ms")))
    span = totals.pieces(from_ms, to_ms)
    if span is None:
        return [f"{where} was not compared: the newest event lies so far ahead that its panes are gone"]
    of = {each["product_id"]: each for each in products}
    looked_at = products_looked_at(totals, span)
    # Of a shop with more products than are ranked, those that stand in the list are compared all the same.
    wanted = {each.product_id: each for each in shortages(totals, (from_ms, to_ms), looked_at or of, read_ms)}
    for product_id, found in of.items():
        _compare_product(report, totals, f"{where} product:{product_id}", wanted.get(product_id), found)
    if looked_at is None:
        return [
            f"which products stand in {where} was not compared: "
            f"of panes with more than {RANKED_A_PANE} products not all are ranked"
        ]
    report.check("products", where, list(wanted)[:SHOWN], list(of))
    figures = {
        "looked_at": len(looked_at),
        "count": len(wanted),
        "tag_taps_while_sold_out": sum(each.taps_in_vain for each in wanted.values()),
    }
    check_flat(report, where, figures, answer)
    return []


def _compare_product(
    report: Report, totals: Totals, where: str, wanted: Shortage | None, found: Mapping[str, Any]
) -> None:
    if wanted is None:
        report.check("state", where, "none in this list", found.get("state"))
        return
    skus = {each["sku_id"] or "": (each["units"], each["since_ms"]) for each in found["skus"]}
    report.check("skus", where, wanted.skus, skus)
    listed = totals.shelves.titles.get(wanted.product_id)
    left = [units for units, _ in wanted.skus.values()]
    figures = {
        "title": listed and listed.title,
        "unit_price_minor": listed and listed.unit_price_minor,
        "currency": listed and listed.currency,
        "units": sum(left),
        "oversold_units": sum(max(0, -each) for each in left),
        "since_ms": min(since_ms for _, since_ms in wanted.skus.values()),
        "state": wanted.state,
        "minutes_left": wanted.minutes_left,
        "tag_taps": wanted.taps,
        "sold_out_since_ms": wanted.sold_out_ms,
        "tag_taps_while_sold_out": wanted.taps_in_vain,
    }
    check_flat(report, where, figures, found)


class Shortage(NamedTuple):
    """A product that runs short; `sold_out_ms`: since when nothing is left, None where something is."""

    product_id: str
    skus: Skus
    state: str
    minutes_left: float | None
    taps: int
    sold_out_ms: int | None
    taps_in_vain: int

    @property
    def rank(self) -> tuple[object, ...]:
        """The most urgent first."""
        lasts = float("inf") if self.minutes_left is None else self.minutes_left
        return SHORT.index(self.state), -self.taps_in_vain, lasts, -self.taps, self.product_id


def products_looked_at(totals: Totals, span: Sequence[Piece]) -> set[str] | None:
    """The most tapped products of the window and its best-selling; None where no exact order is kept."""
    if totals.lately.most_in_a_pane("product", span) > RANKED_A_PANE:
        return None
    sums = totals.lately.values("product", span)
    orders: Counter[str] = Counter()
    for each in sums.values():
        orders.update({name: n for name, n in each.items() if name.startswith("orders:")})
    currencies = sorted(
        {name.partition(":")[2] for name in orders}, key=lambda of: (-orders[f"orders:{of}"], of)
    )
    gmv = [f"gmv_paid:{currency}" for currency in currencies]

    def viewed(of: str) -> int:
        return sum(sums[of][name] for name in VIEWS)

    named_ones = [of for of in sums if of not in (OTHER, UNATTRIBUTED)]
    tapped = sorted((of for of in named_ones if sums[of][TAPS]), key=lambda of: (-sums[of][TAPS], of))
    best = sorted(
        (of for of in named_ones if viewed(of) or any(sums[of][name] for name in gmv)),
        key=lambda of: (*(-sums[of][name] for name in gmv), -viewed(of), of),
    )
    return {*tapped[:LOOKED_AT], *best[:LOOKED_AT]}


def shortages(
    totals: Totals, window: tuple[int, int], products: Iterable[str], read_ms: int
) -> list[Shortage]:
    """Those of the products that run short, the most urgent first."""
    pace = Pace(totals, read_ms)
    span = totals.pieces(*window) or []
    found = []
    for of in products:
        skus = units_left(totals, of)
        left = [units for units, _ in skus.values()]
        lasts = pace.minutes_left(of, sum(left))
        state = stock_state(left, lasts) if left else ""
        if state in SHORT:
            sold_out_ms, in_vain = _sold_out(totals, of, skus, window)
            vain = totals.lately.sums("product", of, in_vain)[TAPS]
            own = totals.lately.sums("product", of, span)[TAPS]
            found.append(Shortage(of, skus, state, lasts, own, sold_out_ms, vain))
    return sorted(found, key=lambda each: each.rank)


def _sold_out(
    totals: Totals, of: str, skus: Skus, window: tuple[int, int]
) -> tuple[int | None, Sequence[Piece]]:
    """The earliest border of the window's panes at which nothing was left of any SKU, nor has been since; and
    the panes from there on.

    At a border there was what is left now, and all that was sold from there on: after the window too, by a
    clock that is ahead. Before a SKU's `stock_set` nobody knows.
    """
    if any(units > 0 for units, _ in skus.values()):
        return None, ()
    span = totals.pieces(*window, MINUTE_MS) or totals.pieces(*window) or []
    after = totals.border_before(window[1])
    known_from_ms = max(since_ms for _, since_ms in skus.values())
    sold = {sku: [totals.units_in(pane, of, sku) for pane in span] for sku in skus}
    later = {sku: totals.units_sold(of, sku, *after) if after is not None else 0 for sku in skus}
    empty = [
        place
        for place, (_, start_ms) in enumerate(span)
        if start_ms >= known_from_ms
        and all(units + later[sku] + sum(sold[sku][place:]) <= 0 for sku, (units, _) in skus.items())
    ]
    return (span[empty[0]][1], span[empty[0] :]) if empty else (None, ())
