"""Scope kinds: the dimensions by which figures are kept, and how a scope's value is stored.

Declared once; what an order or an event counts in, which hashes Redis holds and which scopes a reader can
name are derived from here.
"""

from __future__ import annotations

from types import MappingProxyType

from streams.kpi import Level, ScopeKind

ALL = ScopeKind("all", (), Level.ORDER)
PLATFORM = ScopeKind("platform", ("platform",), Level.ORDER)
SURFACE = ScopeKind("surface", ("surface",), Level.ORDER)
GATEWAY = ScopeKind("gateway", ("gateway",), Level.ORDER)
PLATFORM_SURFACE = ScopeKind("platform,surface", ("platform", "surface"), Level.ORDER)
PLATFORM_GATEWAY = ScopeKind("platform,gateway", ("platform", "gateway"), Level.ORDER)
# What an order's record keeps of its envelope: the order-level pairs follow from these.
SINGLE_ORDER_SCOPES = (
    PLATFORM,
    SURFACE,
    GATEWAY,
    ScopeKind("mini_program", ("mini_program_id",), Level.ORDER),
    ScopeKind("country", ("country",), Level.ORDER),
    ScopeKind("client_os", ("client_os",), Level.ORDER),
    ScopeKind("app_version", ("app_version",), Level.ORDER),
)
ORDER_SCOPES = (ALL, *SINGLE_ORDER_SCOPES, PLATFORM_SURFACE, PLATFORM_GATEWAY)
LIVE = ScopeKind("live", ("live_id",), Level.LINE)
CREATOR = ScopeKind("creator", ("creator_id",), Level.LINE)
PRODUCT = ScopeKind("product", ("product_id",), Level.LINE)
LIVE_PRODUCT = ScopeKind("live,product", ("live_id", "product_id"), Level.LINE)
BRAND = ScopeKind("brand", ("brand_id",), Level.LINE)
MERCHANT = ScopeKind("merchant", ("merchant_id",), Level.LINE)
SINGLE_LINE_SCOPES = (
    PRODUCT,
    CREATOR,
    LIVE,
    BRAND,
    MERCHANT,
    ScopeKind("affiliate", ("affiliate_id",), Level.LINE),
)
LINE_SCOPES = (*SINGLE_LINE_SCOPES, LIVE_PRODUCT)
# Kinds of which only some types of events have the fields: measures of stories that name them are kept there,
# nothing else; no order counts in them.
QR = ScopeKind("qr", ("qr_id",), Level.EVENT)
CHANNEL = ScopeKind("channel", ("channel",), Level.EVENT)
MINI_PROGRAM_CHANNEL = ScopeKind("mini_program,channel", ("mini_program_id", "channel"), Level.EVENT)
CAMPAIGN = ScopeKind("campaign", ("campaign_id",), Level.EVENT)
APP = ScopeKind("app", ("app",), Level.EVENT)
EVENT_SCOPES = (QR, CHANNEL, MINI_PROGRAM_CHANNEL, CAMPAIGN, APP)
# The pipeline's own counts: by topic and ingest time, never a scope that a reader can name.
PIPELINE = ScopeKind("pipeline", (), Level.INTERNAL)
# Units sold of a SKU, for what is left of its stock; stock without `sku_id` is of the whole product.
PRODUCT_SKU = ScopeKind("product,sku", ("product_id", "sku_id"), Level.INTERNAL)
# Why payments failed, by platform and gateway (a pair themselves), and why money went back, by platform and
# kind of refund: shown as lists, never a scope that a reader can name.
PAYMENT_REASON = ScopeKind("payment,reason", ("gateway", "reason"), Level.INTERNAL)
REFUND_REASON = ScopeKind("refund,reason", ("kind", "reason"), Level.INTERNAL)
# What a creator sold and earned on a platform, and how often they went live, day by day: who stopped is asked
# of whole days only, and of all creators at once.
PLATFORM_CREATOR = ScopeKind(
    "platform,creator", ("platform", "creator_id"), Level.INTERNAL, frozenset({"1d"})
)
# What a live sold, minute by minute and product by product: one hash per live and hour, so that it can be
# compared with the creator's later lives once the panes of a minute are gone. See `room_kind`.
ROOM = ScopeKind("room", ("live_id",), Level.INTERNAL, frozenset({"1h"}))
# Who was assigned to an arm of a redirection rule.
RULE_ARM = ScopeKind("rule,arm", ("rule_id", "arm"), Level.INTERNAL, frozenset({"1d"}))
# Sketches of the users of an app by arm; of these there are no cells. See `app_arm_value`.
APP_RULE_ARM = "app,rule,arm"

# Commission by the hour in which it becomes final: see `commission.due_value`. Only old panes are asked for
# it, which are of an hour or a day.
DUE = ScopeKind("due", (), Level.INTERNAL, frozenset({"1h", "1d"}))
SCOPES = MappingProxyType({kind.name: kind for kind in (*ORDER_SCOPES, *LINE_SCOPES, *EVENT_SCOPES)})

EVERYWHERE = frozenset(kind.name for kind in (*ORDER_SCOPES, *LINE_SCOPES))
ON_ORDERS = frozenset(kind.name for kind in ORDER_SCOPES)
ON_PIPELINE = frozenset({PIPELINE.name})
# No shopper event but a payment and a purchase names a gateway.
ON_TRAFFIC = EVERYWHERE - {GATEWAY.name, PLATFORM_GATEWAY.name}
ON_APPS = frozenset({APP.name})
# Who is paid a commission, and who pays it.
WITH_COMMISSION = frozenset({ALL.name, PLATFORM.name, CREATOR.name, "affiliate", "brand"})
WITH_TAKE = frozenset({ALL.name, PLATFORM.name})
WITH_ADS = WITH_TAKE | {CAMPAIGN.name}
ON_SOME_EVENTS = frozenset(kind.name for kind in EVENT_SCOPES)
WITH_UNKNOWN_ORDERS = frozenset({ALL.name, PLATFORM.name})
WITH_SESSIONS = frozenset(
    {ALL.name, PLATFORM.name, SURFACE.name, LIVE.name, CREATOR.name, PLATFORM_SURFACE.name}
)
WITH_USERS = frozenset({ALL.name, PLATFORM.name, LIVE.name, CREATOR.name, PRODUCT.name, "mini_program"})
SELLERS = (BRAND.name, MERCHANT.name)
# Whose showcase it is.
WITH_SHOWCASE = frozenset({CREATOR.name, *SELLERS})
# Who bought again: of whole orders. One for each product of each order would be most of all sketches.
WITH_REPEAT_BUYERS = WITH_USERS & ON_ORDERS

# By whose word a line belongs to a live or creator: two cells more an order, so not everywhere.
WITH_ATTRIBUTION = frozenset(
    {ALL.name, PLATFORM.name, SURFACE.name, LIVE.name, CREATOR.name, PRODUCT.name, LIVE_PRODUCT.name}
)
# Whom a tap can give a line to.
BOUGHT_FROM = frozenset({LIVE.name, CREATOR.name})

# Where a cap on the number of values was met, what is above it is counted under this value.
OTHER = "other"
# Lines of orders that belong to no live are counted under this live, those of no creator under this creator.
UNATTRIBUTED = "unattributed"
# Values that are counted and shown, and that are no live, creator or product of anybody.
NO_NAMES = frozenset({OTHER, UNATTRIBUTED})
# Of what counts in a kind for sure, but says no value.
UNKNOWN = "unknown"


def room_kind(live_id: str) -> str:
    """The stored kind of a live's own hashes; values are ``m`` + minute of the hour, ``p`` + product."""
    return f"{ROOM.name}:{live_id}"


def pair_value(first: str, second: str) -> str:
    """How a pair's value is stored; the length keeps any two pairs of ids apart."""
    return f"{len(first)}:{first}{second}"


def app_arm_value(app: str, rule_id: str, arm: str) -> str:
    """How the users of an app who are in an arm of a rule are stored."""
    return pair_value(app, pair_value(rule_id, arm))


def split_pair(stored: str) -> tuple[str, str]:
    """The two values of a stored pair. Raises ValueError for what `pair_value` did not make."""
    length, colon, rest = stored.partition(":")
    at = int(length)
    # Numbers have more than one spelling, of which one is written.
    if not colon or not 0 <= at <= len(rest) or str(at) != length:
        raise ValueError(f"{stored!r} is no pair")
    return rest[:at], rest[at:]
