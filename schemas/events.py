"""What arrives: one frozen record per event type, and the topics and Kafka keys that they travel with.

The first station of an event: `codec` turns a record's bytes into one of these classes. Times are UTC
milliseconds, amounts are minor units of `currency`. An optional field that is absent or null is None
(amounts and rates: 0).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias, get_args

from msgspec import Meta, Struct

from schemas.envelope import Envelope, OrderEvent, RoomEvent, Shopper
from schemas.fields import (
    MAX_ASSIGNMENTS,
    MAX_ITEMS,
    Amount,
    Arm,
    Bps,
    Count,
    Currency,
    Entry,
    Id,
    Outcome,
    Quantity,
    Rating,
    RefundAmount,
    RefundKind,
    Status,
    Title,
    UnitPrice,
)


class View(Shopper, tag="view", frozen=True, kw_only=True):
    """Shoppable content was seen (in a live room: `live_join` instead)."""


class ProductImpression(Shopper, tag="product_impression", frozen=True, kw_only=True):
    """A product card or tag was shown."""

    product_id: Id


class ProductView(Shopper, tag="product_view", frozen=True, kw_only=True):
    """A product's details or reviews were opened."""

    product_id: Id


class MiniProgramOpen(Shopper, tag="mini_program_open", frozen=True, kw_only=True):
    """A mini-program was opened, by the given entry."""

    mini_program_id: Id
    entry: Entry
    qr_id: Id | None = None


class MiniProgramAction(Shopper, tag="mini_program_action", frozen=True, kw_only=True):
    """Something was done in a mini-program."""

    mini_program_id: Id
    name: Id


class TagTap(Shopper, tag="tag_tap", frozen=True, kw_only=True):
    """A product tag was tapped."""

    product_id: Id


class CartChange(Shopper, frozen=True, kw_only=True):
    """What both changes of a cart carry."""

    product_id: Id
    quantity: Quantity
    unit_price_minor: UnitPrice
    currency: Currency


class AddToCart(CartChange, tag="add_to_cart", frozen=True, kw_only=True):
    """A product was put into the cart."""


class RemoveFromCart(CartChange, tag="remove_from_cart", frozen=True, kw_only=True):
    """A product was taken out of the cart."""


class BeginCheckout(Shopper, tag="begin_checkout", frozen=True, kw_only=True):
    """The checkout was opened; with `product_id`: by buy now."""


class Payment(OrderEvent, tag="payment", frozen=True, kw_only=True):
    """A step of a payment attempt; moves no money figure."""

    order_id: Id
    attempt_id: Id | None = None
    gateway: Id
    outcome: Outcome
    reason: Id | None = None


class PurchaseItem(Struct, frozen=True, kw_only=True, gc=False):
    """One line of an order; its value = quantity * unit_price_minor - seller_discount_minor."""

    product_id: Id
    sku_id: Id | None = None
    quantity: Quantity
    unit_price_minor: UnitPrice
    seller_discount_minor: Amount = 0
    platform_discount_minor: Amount = 0
    tax_minor: Amount = 0
    creator_id: Id | None = None
    live_id: Id | None = None
    brand_id: Id | None = None
    merchant_id: Id | None = None
    affiliate_id: Id | None = None
    commission_bps: Bps = 0
    platform_fee_bps: Bps = 0


class Purchase(OrderEvent, tag="purchase", frozen=True, kw_only=True):
    """An order was paid."""

    order_id: Id
    gateway: Id
    currency: Currency
    items: Annotated[tuple[PurchaseItem, ...], Meta(min_length=1, max_length=MAX_ITEMS)]
    shipping_minor: Amount = 0


class RefundItem(Struct, frozen=True, kw_only=True, gc=False):
    """What is refunded of one product."""

    product_id: Id
    quantity: Quantity
    amount_minor: Amount


class Refund(OrderEvent, tag="refund", frozen=True, kw_only=True):
    """Money for goods went back, at line value, without tax and shipping; the items add up to the amount."""

    refund_id: Id
    order_id: Id
    currency: Currency
    amount_minor: RefundAmount
    kind: RefundKind | None = None
    reason: Id | None = None
    items: Annotated[tuple[RefundItem, ...], Meta(min_length=1, max_length=MAX_ITEMS)] | None = None


class OrderStatus(OrderEvent, tag="order_status", frozen=True, kw_only=True):
    """An order reached a status."""

    order_id: Id
    status: Status


class LiveShopper(Shopper, frozen=True, kw_only=True):
    """What a shopper does in a live room."""

    live_id: Id


class LiveJoin(LiveShopper, tag="live_join", frozen=True, kw_only=True):
    """A shopper entered a live room: a view."""


class LiveLeave(LiveShopper, tag="live_leave", frozen=True, kw_only=True):
    """A shopper left a live room."""


class LiveLike(LiveShopper, tag="live_like", frozen=True, kw_only=True):
    """A shopper liked a live room."""


class LiveComment(LiveShopper, tag="live_comment", frozen=True, kw_only=True):
    """A shopper wrote a comment in a live room."""


class LiveStart(RoomEvent, tag="live_start", frozen=True, kw_only=True):
    """A live room went on air."""


class LiveEnd(RoomEvent, tag="live_end", frozen=True, kw_only=True):
    """A live room went off air."""


class LiveHeartbeat(RoomEvent, tag="live_heartbeat", frozen=True, kw_only=True):
    """A live room's viewers at this moment, at least every 10 s."""

    concurrent_viewers: Count


class ProductPin(RoomEvent, tag="product_pin", frozen=True, kw_only=True):
    """The overlay of a live room shows a product."""

    product_id: Id


class ProductUnpin(RoomEvent, tag="product_unpin", frozen=True, kw_only=True):
    """The overlay of a live room shows a product no longer."""

    product_id: Id


class Share(Shopper, tag="share", frozen=True, kw_only=True):
    """A shopper shared something."""

    share_id: Id
    channel: Id | None = None


class ShareOpen(Shopper, tag="share_open", frozen=True, kw_only=True):
    """A share was opened."""

    share_id: Id
    channel: Id | None = None


class ShareConvert(Shopper, tag="share_convert", frozen=True, kw_only=True):
    """A new user came through a share."""

    share_id: Id


class Review(Shopper, tag="review", frozen=True, kw_only=True):
    """A product was reviewed, with 1 to 5 stars."""

    product_id: Id
    order_id: Id | None = None
    rating: Rating


class Follow(Shopper, tag="follow", frozen=True, kw_only=True):
    """A shopper follows a creator."""

    creator_id: Id


class ProductListed(Envelope, tag="product_listed", frozen=True, kw_only=True):
    """A product is in the catalogue, at this price."""

    product_id: Id
    title: Title
    category: Id | None = None
    unit_price_minor: UnitPrice
    currency: Currency


class StockSet(Envelope, tag="stock_set", frozen=True, kw_only=True):
    """Units available to sell, from this moment."""

    product_id: Id
    units: Count


class Redirect(Shopper, tag="redirect", frozen=True, kw_only=True):
    """A user was assigned to an arm of a redirection rule."""

    rule_id: Id
    arm: Arm
    from_app: Id | None = None
    to_app: Id | None = None
    from_product_id: Id | None = None
    to_product_id: Id | None = None


class Assignment(Struct, frozen=True, kw_only=True, gc=False):
    """The arm of a rule that a user is in."""

    rule_id: Id
    arm: Arm


class Active(Shopper, tag="active", frozen=True, kw_only=True):
    """A user used an app."""

    app: Id
    assignments: Annotated[tuple[Assignment, ...], Meta(max_length=MAX_ASSIGNMENTS)] | None = None


class AdCharge(Envelope, tag="ad_charge", frozen=True, kw_only=True):
    """An advertising campaign was charged."""

    campaign_id: Id
    amount_minor: Amount
    currency: Currency


class SourceHeartbeat(Envelope, tag="source_heartbeat", frozen=True, kw_only=True):
    """A producer is alive, every 10 s to every partition: tells a silent producer from a quiet shop."""

    source: Id


ViewsEvent: TypeAlias = View | ProductImpression | ProductView | MiniProgramOpen | MiniProgramAction
CartsEvent: TypeAlias = AddToCart | RemoveFromCart | BeginCheckout
PurchasesEvent: TypeAlias = Payment | Purchase | Refund | OrderStatus
RoomsEvent: TypeAlias = LiveStart | LiveEnd | LiveHeartbeat | ProductPin | ProductUnpin
LivestreamsEvent: TypeAlias = LiveJoin | LiveLeave | LiveLike | LiveComment | RoomsEvent
EngagementEvent: TypeAlias = Share | ShareOpen | ShareConvert | Review | Follow
CatalogueEvent: TypeAlias = ProductListed | StockSet
RedirectsEvent: TypeAlias = Redirect | Active

Event: TypeAlias = (
    ViewsEvent
    | TagTap
    | CartsEvent
    | PurchasesEvent
    | LivestreamsEvent
    | EngagementEvent
    | CatalogueEvent
    | RedirectsEvent
    | AdCharge
    | SourceHeartbeat
)

EVENT_TYPES: Final[tuple[type[Event], ...]] = get_args(Event)

_OWN_TYPES: Final[dict[str, tuple[type[Event], ...]]] = {
    "views": get_args(ViewsEvent),
    "tag-taps": (TagTap,),
    "carts": get_args(CartsEvent),
    "purchases": get_args(PurchasesEvent),
    "livestreams": get_args(LivestreamsEvent),
    "engagement": get_args(EngagementEvent),
    "catalogue": get_args(CatalogueEvent),
    "redirects": get_args(RedirectsEvent),
    "ads": (AdCharge,),
}

INPUT_TOPICS: Final = tuple(_OWN_TYPES)
"""Topics that are read, without the prefix that a setting puts before them in Kafka."""
DEAD_LETTERS: Final = "dead-letters"
LATE: Final = "late"

TYPES_OF_TOPIC: Final[Mapping[str, frozenset[type[Event]]]] = MappingProxyType(
    {topic: frozenset((*types, SourceHeartbeat)) for topic, types in _OWN_TYPES.items()}
)


def event_type(cls: type[Event]) -> str:
    """The word in `event_type` that stands for this class."""
    return str(cls.__struct_config__.tag)


def _subject(cls: type[Event]) -> str | None:
    if cls is SourceHeartbeat:
        return None
    if issubclass(cls, RoomEvent):
        return "live_id"
    if cls is AdCharge:
        return "campaign_id"
    return "product_id" if cls in TYPES_OF_TOPIC["catalogue"] else "user_id"


SUBJECT: Final[Mapping[type[Event], str | None]] = MappingProxyType(
    {cls: _subject(cls) for cls in EVENT_TYPES}
)
"""The attribute that is the record's Kafka key; None: the key says nothing (heartbeats of producers)."""
