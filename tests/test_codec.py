"""The fast decoder: golden samples, what it fills in, and that batches change nothing but the speed."""

from __future__ import annotations

import json
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec, exact
from schemas.codec import Reason, Rejected, decode, decode_batch
from schemas.events import INPUT_TOPICS, Event, Purchase, View
from tests.agreement import agreed_verdict, verdict_of
from tests.golden import ACCEPTED, Sample, accepted, samples
from tests.poison import purchase, text, view

SAMPLES = samples()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.verdict}: {sample.why}")
def test_golden_sample(sample: Sample) -> None:
    """Each golden sample gets its stated verdict from all decoders."""
    assert agreed_verdict(sample.value, sample.topic) == sample.verdict


def test_golden_samples_show_every_reason() -> None:
    """At least two samples for each reason that the decoders give."""
    shown = Counter(sample.verdict for sample in SAMPLES)
    behind = {Reason.FUTURE_TIME, Reason.LATE, Reason.CONFLICTING_DUPLICATE}
    assert all(shown[reason] >= 2 for reason in set(Reason) - behind)
    assert shown.keys() == {ACCEPTED, *(set(Reason) - behind)}


def test_reasons_stand_in_verdict_order() -> None:
    """The order of the closed list is the order of judgement, on which `exact` relies."""
    assert [str(reason) for reason in Reason] == [
        "too_large",
        "not_json",
        "unknown_type",
        "wrong_topic",
        "missing_field",
        "bad_field",
        "out_of_range",
        "future_time",
        "late",
        "conflicting_duplicate",
    ]


def _view(value: bytes, platforms: frozenset[str] = codec.DEFAULT_PLATFORMS) -> View:
    (event,) = decode_batch([value], "views", platforms)
    assert event == decode(value, "views", platforms)
    assert isinstance(event, View)
    return event


def test_unknown_words_become_other() -> None:
    """Unknown platforms and surfaces come out as "other"; known ones, and no surface, as they are."""
    event = _view(text(view(platform="myspace", surface="billboard")))
    assert (event.platform, event.surface) == ("other", "other")
    event = _view(text(view(platform="douyin", surface="search")))
    assert (event.platform, event.surface) == ("douyin", "search")
    assert _view(text(view())).surface is None


def test_platforms_are_a_setting() -> None:
    """The set of known platforms is the caller's."""
    shop = frozenset({"myspace", "other"})
    assert _view(text(view(platform="myspace")), shop).platform == "myspace"
    assert _view(text(view(platform="tiktok")), shop).platform == "other"


def test_absent_is_null_is_default() -> None:
    """An optional field that is null is as if it were not there: None, 0 for amounts, "real" for traffic."""
    optional = {"surface": None, "live_id": None, "country": None, "traffic": None}
    assert _view(text(view(**optional))) == _view(text(view()))
    bare, nulls = (
        decode(text(fields), "purchases")
        for fields in (purchase(), purchase(tax_minor=None, commission_bps=None) | {"shipping_minor": None})
    )
    assert isinstance(bare, Purchase)
    assert bare == nulls
    assert (bare.shipping_minor, bare.items[0].tax_minor, bare.items[0].commission_bps) == (0, 0, 0)


def test_fast_and_exact_ways_build_the_same_event() -> None:
    """An event is the same whether msgspec or the exact way built it."""
    for sample in accepted():
        event = decode(sample.value, sample.topic)
        judged = exact.judge(sample.value, sample.topic)
        assert not isinstance(judged, Rejected)
        assert (
            msgspec.structs.replace(judged, platform=event_platform(event), surface=event_surface(event))
            == event
        )


def event_platform(event: Event | Rejected) -> str:
    """The platform of a record that must be an event."""
    assert not isinstance(event, Rejected)
    return event.platform


def event_surface(event: Event | Rejected) -> str | None:
    """The surface of a record that must be an event."""
    assert not isinstance(event, Rejected)
    return event.surface


def test_right_batches_take_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of right one-line records never reaches the exact way, nor the way of single records."""

    def refuse(*_: object) -> None:
        raise AssertionError("left the fast way")

    monkeypatch.setattr(exact, "judge", refuse)
    monkeypatch.setattr(codec, "decode", refuse)
    many = [text(view(event_id=f"e{n}", country="é" * (n % 3), surface="live")) for n in range(1, 500)]
    many = [value for value in many if b'"country": ""' not in value]
    assert len(decode_batch(many, "views")) == len(many)
    orders = [text(purchase() | {"order_id": f"o{n}", "items": purchase()["items"] * 60}) for n in range(10)]
    assert all(isinstance(event, Purchase) for event in decode_batch(orders, "purchases"))


WHOLE = text(view())
# Cut where white space may stand, so that the halves would be whole again with a line break between them.
HALVES = WHOLE[: WHOLE.index(b",") + 1], WHOLE[WHOLE.index(b",") + 1 :]
ALIGNMENTS = [
    [WHOLE + WHOLE, b""],
    [b"", WHOLE + WHOLE],
    [WHOLE + b" " + WHOLE, b" "],
    [WHOLE[:-1] + b', "x":[{}', b"{}]}", WHOLE + WHOLE],
    [WHOLE[:-1], b"}" + WHOLE],
    [WHOLE[:-1], b"}", WHOLE + WHOLE],
    [WHOLE[:-1] + b', "x":{}', b"}" + WHOLE],
    [WHOLE[:-1] + b', "x":"}', b'{"}', WHOLE + WHOLE],
    [WHOLE + b"\n" + WHOLE, *HALVES],
    [*HALVES, WHOLE + WHOLE],
    [WHOLE + b"\n" + WHOLE, b""],
    [WHOLE + b"\n"],
    [b"\n" + WHOLE, WHOLE],
    [text(view(), ',"x":"é"').replace("é".encode(), b"\xc3"), WHOLE],
    [None, WHOLE, None],
    [WHOLE, text(view(), ',"x":' + "[" * 64 + "]" * 64)],
    [WHOLE, WHOLE.ljust(65_537)],
    [],
]


@pytest.mark.parametrize("values", ALIGNMENTS, ids=range(len(ALIGNMENTS)))
def test_records_of_a_batch_do_not_flow_into_each_other(values: list[bytes | None]) -> None:
    """Halves of objects, doubled objects, line breaks and gaps are judged record by record."""
    assert decode_batch(values, "views") == [decode(value, "views") for value in values]


PIECES = st.sampled_from([WHOLE, WHOLE[:-1], *HALVES, b"{", b"}", b"[", b"]", b"\n", b" ", b"", b",", b'"'])


@given(st.lists(st.lists(PIECES, max_size=4).map(b"".join), max_size=5))
def test_no_pieces_flow_into_each_other(values: list[bytes]) -> None:
    """Whatever pieces the records of a batch are made of, each is judged alone."""
    assert decode_batch(values, "views") == [decode(value, "views") for value in values]


@given(st.lists(st.sampled_from(SAMPLES), max_size=12), st.sampled_from(INPUT_TOPICS))
def test_batch_is_decode_of_each(chosen: list[Sample], topic: str) -> None:
    """Any mixture of golden samples, in any topic, comes out of a batch as one by one."""
    values = [sample.value for sample in chosen]
    assert decode_batch(values, topic) == [decode(value, topic) for value in values]


def test_event_in_each_other_topic_is_wrong_there() -> None:
    """An accepted event is `wrong_topic` in every topic but its own; a producer's heartbeat nowhere."""
    for sample in accepted():
        heartbeat = json.loads(sample.value)["event_type"] == "source_heartbeat"
        for topic in INPUT_TOPICS:
            expected = ACCEPTED if heartbeat or topic == sample.topic else "wrong_topic"
            assert verdict_of(decode(sample.value, topic)) == expected


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        (view(user_id=None), "user_id: null is not a string"),
        (view(event_type="x" * 100), "event_type: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx is not known"),
        (view(event_time_ms=5), "event_time_ms: less than 1262304000000"),
        (view(traffic="fake"), "traffic: 'fake' is none of bot real replacement sample test"),
    ],
)
def test_detail_names_the_field_and_what_is_wrong(fields: dict[str, object], detail: str) -> None:
    """Whoever reads a dead letter learns the field and the fault, with little of the user's text."""
    judged = decode(text(fields), "views")
    assert isinstance(judged, Rejected)
    assert judged.detail == detail


def test_detail_names_the_line() -> None:
    """A fault in an order's line is found by its place."""
    order = purchase() | {"items": [*purchase()["items"], *purchase(quantity=0)["items"]]}
    judged = decode(text(order), "purchases")
    assert judged == Rejected(Reason.OUT_OF_RANGE, "items[1].quantity: less than 1")
