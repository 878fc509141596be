"""Shoppers: each session of one is written down whole, from the first view to the checkout.

They stand before the calendar. What they see leads to a tag tap, a product, a cart, a checkout; what becomes
of the checkout is decided in `orders`.
"""

from __future__ import annotations

import random
from typing import Final

from streams.sources.incidents import Incidents
from streams.sources.orders import Line, Orders
from streams.sources.record import Calendar
from streams.sources.rooms import Rooms
from streams.sources.sharing import Sharing
from streams.sources.stock import sku_json
from streams.sources.world import MINI_PROGRAMS, Market, Product, Shopper, World

# Where a session begins that begins in no live room and no mini-program; twice = twice as often.
FEED_SURFACES: Final = (
    "short_video",
    "short_video",
    "short_video",
    "explore",
    "recommendation",
    "search",
    "showcase",
    "profile",
)
ENTRIES: Final = ("explore", "explore", "qr_code", "qr_code", "shared_link", "search", "search", "other")
# Of visits to mini-programs: to the one that the shopper likes best.
FAITHFUL_SHARE: Final = 0.7
CODES_PER_PROGRAM: Final = 10
LIVE_SHARE: Final = 0.35
MINI_PROGRAM_SHARE: Final = 0.12
RULES: Final = (("rule-1", "resso", "tiktok_plus"), ("rule-2", "tiktok", "tiktok_shop"))
# Half of the users are held out, as SHOP_PULSE_HELD_OUT_PERCENT expects.
ARMS: Final = ("treated", "held_out")
USES_TARGET_OF_10: Final = {"treated": 7, "held_out": 4}
# Which apps are used before anybody is redirected, in turns; the targets seldom.
APPS_BEFORE: Final = (*("tiktok", "resso", "tiktok") * 6, "tiktok_plus", "tiktok_shop", "tiktok_shop")
# Of one line in so many the order service is not told who sold it: then the shopper's tap says it.
UNTOLD_ONE_IN: Final = 4
# Some apps save energy: they send what was viewed up to so much later than what was tapped and bought.
VIEW_TOPICS: Final = ("views", "livestreams")
DELAYED_SHARE: Final = 0.03
DELAY_MAX_MS: Final = 50_000


class Session:
    """One visit: its clock, its cart and the part of the JSON that all its events share."""

    __slots__ = (
        *("_put", "cart", "context", "delay_ms", "draw", "key", "market", "program", "seller", "time_ms"),
        "where",
    )

    def __init__(
        self, calendar: Calendar, draw: random.Random, market: Market, shopper: Shopper, time_ms: int
    ) -> None:
        self._put = calendar.put
        self.draw = draw.random
        self.market = market
        self.key = shopper.key
        self.time_ms = time_ms
        self.cart: list[Line] = []
        self.context = ""  # the envelope, as JSON
        self.program = ""  # the mini-program that is visited
        self.delay_ms = 0  # after which the app sends its views
        self.where = ""  # live room or content with its creator, as JSON
        self.seller = ""  # who gets the commission, as JSON of a line

    def put(self, topic: str, event_type: str, more: str, pause_ms: int) -> None:
        """Write down what happens now, then let up to `pause_ms` go by."""
        delay_ms = self.delay_ms if topic in VIEW_TOPICS else 0
        self._put(topic, event_type, self.time_ms, self.key, f"{self.context}{more}", delay_ms=delay_ms)
        self.time_ms += 200 + int(self.draw() * pause_ms)

    def look_at(self, product: Product) -> None:
        """A product was shown: perhaps its tag is tapped, its page opened, the product bought."""
        more = f",{self.where},{product.fragment}"
        self.put("views", "product_impression", more, 3_000)
        if self.draw() < 0.3:
            self.put("tag-taps", "tag_tap", more, 1_500)
            if self.draw() < 0.85:
                self.put("views", "product_view", more, 6_000)
                if self.draw() < 0.2:
                    self._add_to_cart(product, more)

    def _add_to_cart(self, product: Product, more: str) -> None:
        skus = product.skus
        sku = skus[0] if len(skus) == 1 else skus[int(self.draw() * len(skus))]
        quantity = 1 if self.draw() < 0.85 else 2 + int(self.draw() * 3)
        more = (
            f'{more}{sku_json(sku)},"quantity":{quantity},"unit_price_minor":{product.price_minor},'
            f'"currency":"{self.market.currency}"'
        )
        self.put("carts", "add_to_cart", more, 3_000)
        if self.draw() < 0.08:
            self.put("carts", "remove_from_cart", more, 1_000)
        else:
            # Without a draw: what else happens stays as it was.
            is_told = self.time_ms % UNTOLD_ONE_IN != 0
            self.cart.append(Line(product, sku, quantity, self.seller if is_told else ""))


class Shoppers:
    """All visits to the simulated shop."""

    def __init__(
        self,
        world: World,
        calendar: Calendar,
        rng: random.Random,
        *,
        rooms: Rooms,
        orders: Orders,
        incidents: Incidents,
        start_ms: int,
        delays_from_ms: int | None,
        rules_from_ms: int = 0,
    ) -> None:
        """What happens before `start_ms` is not sent. Sessions that begin at `delays_from_ms` or later may
        send views late; None: none does. Before `rules_from_ms` nobody is redirected."""
        self._rules_from_ms = rules_from_ms
        self._start_ms = start_ms
        self._world = world
        self._calendar = calendar
        self._rooms = rooms
        self._orders = orders
        self._incidents = incidents
        self._delays_from_ms = delays_from_ms
        self._rng = rng
        self._draw = rng.random
        self._sessions = 0
        self._sharing = Sharing(world, calendar.run, rng, self._visit_by_share)
        self._assigned: set[bytes] = set()
        self._uses = 0  # of apps, before anybody is redirected

    def start_session(self, time_ms: int) -> None:
        """Write down a whole session that begins at `time_ms`."""
        draw = self._draw
        market = self._world.market(draw())
        shopper = self._world.shopper(market, draw())
        session = Session(self._calendar, self._rng, market, shopper, time_ms)
        if self._delays_from_ms is not None and time_ms >= self._delays_from_ms and draw() < DELAYED_SHARE:
            session.delay_ms = int(draw() * DELAY_MAX_MS)
        if (kind := draw()) < LIVE_SHARE:
            self._watch_live(session, shopper)
        elif kind < LIVE_SHARE + MINI_PROGRAM_SHARE:
            self._use_mini_program(session, shopper)
        else:
            self._watch_feed(session, shopper)
        if session.cart and draw() < 0.5:
            self._check_out(session)
        self._sharing.end_visit(session, session.program)
        if draw() < 0.04 and time_ms >= self._rules_from_ms:
            self._note_activity(session, shopper)

    def use_app(self, market: Market, shopper: Shopper, time_ms: int) -> None:
        """A visit that only tells of redirection: which app the shopper uses."""
        visit = Session(self._calendar, self._rng, market, shopper, time_ms)
        self._begin(visit, shopper, market.platforms[shopper.number % len(market.platforms)], "other")
        if time_ms >= self._rules_from_ms:
            self._note_activity(visit, shopper)
        else:
            app = APPS_BEFORE[self._uses % len(APPS_BEFORE)]
            self._uses += 1
            visit.put("redirects", "active", f',"app":"{app}"', 500)

    def _begin(self, session: Session, shopper: Shopper, platform: str, surface: str) -> None:
        """Fix what all events of the session share."""
        self._sessions += 1
        session.context = (
            f'"platform":"{platform}",{shopper.context},'
            f'"session_id":"s{self._calendar.run}-{self._sessions}","surface":"{surface}"'
        )

    def _watch_live(self, session: Session, shopper: Shopper) -> None:
        draw = self._draw
        room = self._rooms.pick(session.market, draw())
        creator = room.creator
        self._begin(session, shopper, creator.platform, "live")
        session.where = room.fragment
        session.seller = f',{room.fragment},"affiliate_id":"{creator.affiliate_id}"'
        more = f",{room.fragment}"
        session.put("livestreams", "live_join", more, 8_000)
        for _ in range(1 + int(draw() * 4)):
            if (what := draw()) < 0.25:
                session.put("livestreams", "live_like", more, 6_000)
            elif what < 0.35:
                session.put("livestreams", "live_comment", more, 6_000)
            session.look_at(room.pinned if draw() < 0.7 else room.products[int(draw() * len(room.products))])
        if draw() < 0.02:
            session.put("engagement", "follow", more, 500)
        room.join(session.time_ms)
        if draw() < 0.9:  # the others close the app, which tells nobody
            session.put("livestreams", "live_leave", more, 500)

    def _watch_feed(self, session: Session, shopper: Shopper) -> None:
        draw = self._draw
        platforms = session.market.platforms
        surface = FEED_SURFACES[int(draw() * len(FEED_SURFACES))]
        self._begin(session, shopper, platforms[shopper.number % len(platforms)], surface)
        for _ in range(1 + int(draw() * 5)):
            creator = self._world.creator(session.market, draw())
            session.where = f'"creator_id":"{creator.creator_id}","content_id":"v{int(draw() * 5_000)}"'
            # Only some creators are paid a commission.
            session.seller = f',"creator_id":"{creator.creator_id}"'
            if draw() < 0.6:
                session.seller += f',"affiliate_id":"{creator.affiliate_id}"'
            session.put("views", "view", f",{session.where}", 8_000)
            if draw() < 0.6:
                session.look_at(self._world.product(session.market, draw()))

    def _use_mini_program(self, session: Session, shopper: Shopper) -> None:
        draw = self._draw
        platforms = session.market.platforms
        number = shopper.number if draw() < FAITHFUL_SHARE else int(draw() * len(MINI_PROGRAMS) ** 2)
        session.program = program = _liked(number)
        entry = ENTRIES[int(draw() * len(ENTRIES))]
        self._begin(session, shopper, platforms[shopper.number % len(platforms)], entry)
        session.where = f'"mini_program_id":"{program}"'
        # The order, too, counts for the mini-program it was placed in: its scope comes from the envelope.
        session.context += f",{session.where}"
        session.where = f'"merchant_id":"{session.market.name}-m1"'
        code = f"{program}-qr{int(draw() * draw() * CODES_PER_PROGRAM)}"
        qr = f',"qr_id":"{code}"' if entry == "qr_code" else ""
        session.put("views", "mini_program_open", f',"entry":"{entry}"{qr}', 4_000)
        for _ in range(1 + int(draw() * 3)):
            session.put("views", "mini_program_action", ',"name":"browse"', 4_000)
            session.look_at(self._world.product(session.market, draw()))

    def _check_out(self, session: Session) -> None:
        session.put("carts", "begin_checkout", "", 10_000)
        if self._incidents.holds("checkout-broken", "", session.time_ms):
            return
        bought_ms = self._orders.check_out(
            session.key, session.context, session.market, session.cart, session.time_ms
        )
        if bought_ms is not None:
            session.time_ms = bought_ms + 1_000

    def _visit_by_share(self, market: Market, friend: Shopper, time_ms: int, program: str) -> Session:
        visit = Session(self._calendar, self._rng, market, friend, time_ms)
        platforms = market.platforms
        self._begin(visit, friend, platforms[friend.number % len(platforms)], "shared_link")
        if program:
            visit.context += f',"mini_program_id":"{program}"'
        return visit

    def _note_activity(self, session: Session, shopper: Shopper) -> None:
        """The shopper is in a redirection rule: assigned once, then active with its assignment."""
        rule, from_app, to_app = RULES[shopper.number % len(RULES)]
        arm = ARMS[shopper.number // len(RULES) % len(ARMS)]
        assigned = f'"rule_id":"{rule}","arm":"{arm}"'
        if session.key not in self._assigned:
            if session.time_ms >= self._start_ms:  # what comes before is never sent
                self._assigned.add(session.key)
            product = self._world.products[session.market.name][0].product_id
            creator = self._world.creators[session.market.name][0].creator_id
            more = f',{assigned},"from_app":"{from_app}","to_app":"{to_app}","to_product_id":"{product}"'
            session.put("redirects", "redirect", f'{more},"creator_id":"{creator}"', 500)
        # Who is not sent may find the way, and who is sent may turn back.
        app = to_app if self._sessions % 10 < USES_TARGET_OF_10[arm] else from_app
        session.put("redirects", "active", f',"app":"{app}","assignments":[{{{assigned}}}]', 500)


def _liked(number: int) -> str:
    """The mini-program that the shopper of this number likes best; few are liked by many."""
    count = len(MINI_PROGRAMS)
    return MINI_PROGRAMS[min(number % count, number // count % count)]
