"""Two decoders that share no rule give the same verdict for any bytes, and accept the same content."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import decode, decode_batch
from schemas.events import INPUT_TOPICS
from schemas.plain import decode_plain
from schemas.verdicts import Rejected
from tests.agreement import agreed_verdict, assert_same_content, verdict_of
from tests.golden import Sample, samples
from tests.mutations import FRAGMENTS
from tests.poison import corpus

SAMPLES = [sample for sample in samples() if len(sample.value) < 65_536]
ACCEPTED_SAMPLES = [sample for sample in SAMPLES if sample.verdict == "accepted"]
TOPICS = st.sampled_from(INPUT_TOPICS)

FRAGMENT = st.sampled_from(FRAGMENTS)
BYTES_FRAGMENT = st.one_of(
    FRAGMENT.map(str.encode), st.binary(min_size=1, max_size=4), st.just(b"\xed\xa0\x80")
)


@settings(max_examples=400)
@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode), TOPICS)
def test_any_bytes(value: bytes, topic: str) -> None:
    """Any bytes at all."""
    agreed_verdict(value, topic)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, str]:
    """A golden sample with a few bytes flipped, cut, doubled, or with fragments put in."""
    sample = draw(st.sampled_from(SAMPLES))
    value = bytearray(sample.value)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(value)))
        end = min(len(value), start + draw(st.integers(0, 12)))
        match draw(st.integers(0, 4)):
            case 0 if start < len(value):
                value[start] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del value[start:end]
            case 2:
                del value[start:]
            case 3:
                value[end:end] = value[start:end]
            case _:
                value[start:end] = draw(BYTES_FRAGMENT)
    return bytes(value), sample.topic


@settings(max_examples=1_500)
@given(mutated())
def test_mutated_samples(case: tuple[bytes, str]) -> None:
    """Golden samples after small damages of any kind."""
    agreed_verdict(*case)


def _render(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{raw}" for name, raw in pairs) + "}"


def _pairs(fields: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, json.dumps(value)) for name, value in fields.items()]


def _damaged(draw: st.DrawFn, fields: dict[str, Any], names: list[str]) -> str:
    """`fields` as JSON text, some replaced, left out, doubled, or joined by others out of `names`."""
    pairs = _pairs(fields)
    for name in ("items", "assignments"):
        if isinstance(fields.get(name), list) and draw(st.booleans()):
            parts = [_damaged(draw, part, ["x", *part]) for part in fields[name]]
            pairs = [(key, f"[{','.join(parts)}]" if key == name else raw) for key, raw in pairs]
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(pairs)))
        match draw(st.integers(0, 3)):
            case 0 if place < len(pairs):
                del pairs[place]
            case 1 if place < len(pairs):
                pairs[place] = (pairs[place][0], draw(FRAGMENT))
            case _:
                pairs.insert(place, (draw(st.sampled_from(names)), draw(FRAGMENT)))
    return _render(pairs)


@st.composite
def structured(draw: st.DrawFn) -> tuple[bytes, str]:
    """An accepted sample whose fields hold other things: well-formed mostly, often of the wrong kind."""
    sample = draw(st.sampled_from(ACCEPTED_SAMPLES))
    fields = json.loads(sample.value)
    names = ["x", "event_type", "traffic", "surface", "platform", "live_id", "items", *fields]
    return _damaged(draw, fields, names).encode(), sample.topic


@settings(max_examples=1_500)
@given(structured())
def test_structured_values(case: tuple[bytes, str]) -> None:
    """Events of every type with random values, of right and wrong kinds, in their fields."""
    agreed_verdict(*case)


WHOLE_NUMBERS = st.one_of(
    st.integers(-2, 12), st.integers(0, 2**54), st.sampled_from([10**4, 10**11, 2**53 - 1, 2**53])
)
LINES = st.lists(
    st.fixed_dictionaries(
        {
            "product_id": st.just("p"),
            "quantity": st.integers(0, 10_001),
            "unit_price_minor": st.integers(0, 10**11),
        },
        optional={
            "seller_discount_minor": WHOLE_NUMBERS,
            "platform_discount_minor": WHOLE_NUMBERS,
            "tax_minor": WHOLE_NUMBERS,
            "commission_bps": st.integers(0, 10_001),
        },
    ),
    max_size=14,
)


@settings(max_examples=400)
@given(LINES, st.none() | WHOLE_NUMBERS)
def test_totals_of_orders(lines: list[dict[str, Any]], shipping: int | None) -> None:
    """Orders around the limits of discounts and totals."""
    order = json.loads(next(sample.value for sample in ACCEPTED_SAMPLES if b'"purchase"' in sample.value))
    agreed_verdict(json.dumps(order | {"items": lines, "shipping_minor": shipping}).encode(), "purchases")


@settings(max_examples=200)
@given(st.lists(st.integers(-1, 3), max_size=4), st.integers(0, 9))
def test_sums_of_refunds(amounts: list[int], total: int) -> None:
    """Refunds whose items do, and do not, add up."""
    refund = json.loads(next(sample.value for sample in ACCEPTED_SAMPLES if b'"refund"' in sample.value))
    items = [{"product_id": "p", "quantity": 1, "amount_minor": amount} for amount in amounts]
    agreed_verdict(json.dumps(refund | {"items": items, "amount_minor": total}).encode(), "purchases")


@settings(max_examples=300)
@given(
    st.lists(mutated() | structured(), min_size=1, max_size=6),
    st.lists(st.sampled_from(corpus()), max_size=2),
)
def test_batches(cases: list[tuple[bytes, str]], poisons: list[Any]) -> None:
    """Batches of damaged records: each comes out as the plain decoder has it."""
    topic = cases[0][1]
    values = [value for value, _ in cases] + [poison.value for poison in poisons]
    for event, value in zip(decode_batch(values, topic), values, strict=True):
        plain = decode_plain(value, topic)
        assert verdict_of(event) == verdict_of(plain), value
        if not isinstance(plain, Rejected):
            assert not isinstance(event, Rejected)
            assert_same_content(event, plain)


@given(st.sampled_from(ACCEPTED_SAMPLES), st.sets(st.sampled_from(["tiktok", "douyin", "myspace", "other"])))
def test_platforms_setting(sample: Sample, platforms: set[str]) -> None:
    """Both decoders hold the same set of platforms against an event."""
    event = decode(sample.value, sample.topic, platforms)
    plain = decode_plain(sample.value, sample.topic, platforms)
    assert not isinstance(event, Rejected)
    assert not isinstance(plain, Rejected)
    assert_same_content(event, plain)
