"""The records of events and the tables about them say what the contract says."""

from __future__ import annotations

import json

import msgspec
import pytest

from schemas import events as ev
from schemas.envelope import Envelope
from tests.golden import accepted


def test_every_type_belongs_to_exactly_one_topic() -> None:
    """A type stands in one topic; the heartbeat of a producer in all."""
    for cls in ev.EVENT_TYPES:
        topics = [topic for topic in ev.INPUT_TOPICS if cls in ev.TYPES_OF_TOPIC[topic]]
        assert len(topics) == (len(ev.INPUT_TOPICS) if cls is ev.SourceHeartbeat else 1), cls


def test_topics() -> None:
    """The topics that are read, in the contract's order."""
    assert ev.INPUT_TOPICS == (
        "views",
        "tag-taps",
        "carts",
        "purchases",
        "livestreams",
        "engagement",
        "catalogue",
        "redirects",
        "ads",
    )


def test_event_types_are_named_after_their_classes() -> None:
    """`event_type` is the class's name in snake case, so that one can be found from the other."""
    for cls in ev.EVENT_TYPES:
        assert ev.event_type(cls).replace("_", "") == cls.__name__.lower()
    assert len({ev.event_type(cls) for cls in ev.EVENT_TYPES}) == len(ev.EVENT_TYPES) == 33


@pytest.mark.parametrize("cls", ev.EVENT_TYPES)
def test_subject_is_a_required_field(cls: type[ev.Event]) -> None:
    """The field that is the Kafka key can never be absent from an accepted event."""
    subject = ev.SUBJECT[cls]
    if cls is ev.SourceHeartbeat:
        assert subject is None
    else:
        assert subject in {field.encode_name for field in msgspec.structs.fields(cls) if field.required}


@pytest.mark.parametrize(
    ("cls", "subject"),
    [
        (ev.View, "user_id"),
        (ev.Purchase, "user_id"),
        (ev.LiveJoin, "user_id"),
        (ev.LiveHeartbeat, "live_id"),
        (ev.ProductPin, "live_id"),
        (ev.StockSet, "product_id"),
        (ev.Redirect, "user_id"),
        (ev.AdCharge, "campaign_id"),
    ],
)
def test_subject(cls: type[ev.Event], subject: str) -> None:
    """Shoppers and orders are keyed by user, rooms by live, the catalogue by product, ads by campaign."""
    assert ev.SUBJECT[cls] == subject


def test_every_event_has_the_envelope() -> None:
    """Every type carries the envelope and may carry all of the context, as figures take scopes from there."""
    for cls in ev.EVENT_TYPES:
        assert set(Envelope.__struct_fields__) <= set(cls.__struct_fields__)


def test_events_are_frozen_and_not_tracked() -> None:
    """Events are values, and the garbage collector does not visit the thousands of them in a batch."""
    for cls in ev.EVENT_TYPES:
        assert cls.__struct_config__.frozen
        assert not cls.__struct_config__.gc


def test_every_type_has_an_accepted_sample() -> None:
    """The golden samples show each event type at least once."""
    shown = {json.loads(sample.value)["event_type"] for sample in accepted()}
    assert shown == {ev.event_type(cls) for cls in ev.EVENT_TYPES}
