"""What exists in the simulated shop: markets, creators, products, mini-programs, shoppers.

All of it follows from the seed. It stands before the way of an event and sends nothing itself.
"""

from __future__ import annotations

import random
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from typing import Final


@dataclass(frozen=True, slots=True)
class Market:
    """A group of countries that pays in one currency through the same gateways."""

    name: str
    share: float
    currency: str
    platforms: tuple[str, ...]
    countries: tuple[str, ...]
    gateways: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Creator:
    """Someone who shows products, on one platform."""

    creator_id: str
    affiliate_id: str
    platform: str
    market: Market


@dataclass(frozen=True, slots=True)
class Product:
    """Something on sale. `fragment` is its part of an event's JSON, rendered once.

    `skus` are its variants; a product without any has the one that is called "".
    """

    product_id: str
    brand_id: str
    merchant_id: str
    title: str
    category: str
    price_minor: int
    commission_bps: int
    fee_bps: int
    market: Market
    skus: tuple[str, ...]
    fragment: str


@dataclass(frozen=True, slots=True)
class Shopper:
    """A person; `context` is the part of every event's JSON that says where and with what."""

    user_id: str
    key: bytes
    number: int
    context: str


MARKETS: Final = (
    Market("us", 0.4, "USD", ("tiktok", "instagram", "youtube"), ("US", "CA"), ("adyen", "stripe")),
    Market("eu", 0.25, "EUR", ("tiktok", "instagram", "youtube"), ("DE", "FR", "ES"), ("adyen", "stripe")),
    Market("cn", 0.35, "CNY", ("douyin", "kuaishou", "wechat", "taobao"), ("CN",), ("alipay", "wechatpay")),
)
APP_VERSIONS: Final = ("31.2", "31.4", "32.0")
SYSTEMS: Final = ("android", "ios", "android", "web")
CATEGORIES: Final = ("beauty", "fashion", "home", "food", "electronics", "toys")
PRODUCTS_PER_MARKET: Final = 150
CREATORS_PER_MARKET: Final = 20
MINI_PROGRAMS: Final = tuple(f"mp{number}" for number in range(1, 9))
# One look-up per draw: a table of quantiles is five times as fast as random.choices with weights.
QUANTILES: Final = 4096


def zipf_table(size: int) -> tuple[int, ...]:
    """Indices 0 … size-1, each as often as Zipf's law (exponent 1) wants it, QUANTILES entries in all."""
    weights = list(accumulate(1 / rank for rank in range(1, size + 1)))
    return tuple(min(size - 1, bisect(weights, weights[-1] * step / QUANTILES)) for step in range(QUANTILES))


class World:
    """All that exists; equal seeds give equal worlds."""

    def __init__(self, seed: int, shoppers: int) -> None:
        """`shoppers` = how many people there are in each market."""
        rng = random.Random(f"world {seed}")
        self._shoppers_per_market = shoppers
        self.products = {each.name: _products(each, rng) for each in MARKETS}
        self.creators = {each.name: _creators(each) for each in MARKETS}
        self._product_table = zipf_table(PRODUCTS_PER_MARKET)
        self._creator_table = zipf_table(CREATORS_PER_MARKET)
        self._known: dict[tuple[str, int], Shopper] = {}
        borders = list(accumulate(each.share for each in MARKETS))
        self._markets = tuple(MARKETS[bisect(borders, step / 100)] for step in range(100))

    def market(self, draw: float) -> Market:
        """The market at this place of [0, 1)."""
        return self._markets[int(draw * 100)]

    def product(self, market: Market, draw: float) -> Product:
        """A product of this market; few are asked for often."""
        return self.products[market.name][self._product_table[int(draw * QUANTILES)]]

    def creator(self, market: Market, draw: float) -> Creator:
        """A creator of this market; few are seen often."""
        return self.creators[market.name][self._creator_table[int(draw * QUANTILES)]]

    def shopper(self, market: Market, draw: float) -> Shopper:
        """A shopper of this market; some come back often."""
        number = int(draw * draw * self._shoppers_per_market)
        known = self._known.get((market.name, number))
        if known is None:
            known = self._known[market.name, number] = _shopper(market, number)
        return known


def newcomer(market: Market, number: int, run: str) -> Shopper:
    """Someone whom no earlier event knows: the new user of this number in a run."""
    return _shopper(market, number, f"{market.name}-{run}-{number}")


def _shopper(market: Market, number: int, user_id: str = "") -> Shopper:
    """The person of this number: country, system and app stay the same in every session."""
    mixed = number * 2_654_435_761 % 2**32 >> 8  # Knuth's multiplier spreads neighbours
    user_id = user_id or f"{market.name}-{number:07d}"
    context = (
        f'"user_id":"{user_id}","country":"{market.countries[mixed % len(market.countries)]}",'
        f'"client_os":"{SYSTEMS[mixed // 7 % len(SYSTEMS)]}",'
        f'"app_version":"{APP_VERSIONS[mixed // 29 % len(APP_VERSIONS)]}"'
    )
    return Shopper(user_id, user_id.encode(), number, context)


def _products(market: Market, rng: random.Random) -> tuple[Product, ...]:
    """The catalogue of a market, the most wanted product first."""
    return tuple(_product(market, number, rng) for number in range(1, PRODUCTS_PER_MARKET + 1))


def _product(market: Market, number: int, rng: random.Random) -> Product:
    product_id = f"{market.name}-p{number}"
    brand_id = f"{market.name}-b{rng.randrange(1, 25)}"
    merchant_id = f"{market.name}-m{rng.randrange(1, 13)}"
    category = rng.choice(CATEGORIES)
    price = rng.choice((499, 999, 1999, 2999, 4999, 12_900)) * (7 if market.currency == "CNY" else 1)
    return Product(
        product_id=product_id,
        brand_id=brand_id,
        merchant_id=merchant_id,
        title=f"{category.title()} no. {number}",
        category=category,
        price_minor=price + rng.randrange(100),
        commission_bps=rng.choice((0, 500, 1000, 1500, 2000)),
        fee_bps=rng.choice((200, 500, 800)),
        market=market,
        # Every third product comes in variants.
        skus=("",) if number % 3 else tuple(f"{product_id}-s{variant}" for variant in (1, 2, 3)),
        fragment=f'"product_id":"{product_id}","brand_id":"{brand_id}","merchant_id":"{merchant_id}"',
    )


def _creators(market: Market) -> tuple[Creator, ...]:
    """The creators of a market, spread over its platforms."""
    return tuple(
        Creator(
            f"{market.name}-c{number}",
            f"{market.name}-a{number}",
            market.platforms[number % len(market.platforms)],
            market,
        )
        for number in range(1, CREATORS_PER_MARKET + 1)
    )
